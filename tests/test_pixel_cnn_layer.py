"""The gated PixelCNN: the paper's masks, strict causality without a blind spot, and the cached scan."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from unitdisc.layers.pixel_cnn import GatedPixelCNN

HEIGHT, WIDTH = 7, 8


def stack(**parameters):
    """Return a small stack in float64 none of whose weights is zero."""
    torch.manual_seed(0)
    made = GatedPixelCNN(2, 3, **{"hidden": 4, "layers": 3, "first_kernel": 5, **parameters}).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def noise(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def masked(weight, kernel, *, rows, columns):
    """Return the kernel (kernel, kernel) of the paper, zero where mask and stack do not look."""
    full = weight.new_zeros(*weight.shape[:2], kernel, kernel)
    full[:, :, kernel // 2 + 1 - rows : kernel // 2 + 1, columns] = weight
    return full


def as_in_the_paper(made, maps, condition):
    """Return the outputs by convolutions with kernels whose masked weights are zero."""
    vertical = horizontal = maps.permute(0, 3, 1, 2)
    for number, layer in enumerate(made.layers):
        width = layer.vertical.kernel_size[1]
        half, seen = width // 2, width // 2 + (number > 0)
        down = F.pad(layer.vertical.weight, (0, 0, 0, half + 1 - seen))  # mask A: not the row itself
        down = masked(down, width, rows=half + 1, columns=slice(None))
        across = F.pad(layer.horizontal.weight, (0, half + 1 - seen))  # mask A: not the pixel itself
        across = masked(across, width, rows=1, columns=slice(0, half + 1))
        told = (condition @ layer.condition.weight.T + layer.bias).permute(0, 3, 1, 2).chunk(2, 1)
        down = F.conv2d(vertical, down, padding=half) + told[0]
        across = F.conv2d(horizontal, across, padding=half) + told[1]
        across = across + torch.einsum("oi,bihw->bohw", layer.link.weight, down)
        opened = [x.tanh() * y.sigmoid() for x, y in (down.chunk(2, 1), across.chunk(2, 1))]
        out = F.conv2d(opened[1], layer.out.weight[:, :, None, None], layer.out.bias)
        vertical, horizontal = opened[0], out + horizontal if number else out
    return made.head(horizontal.permute(0, 2, 3, 1))


@pytest.mark.parametrize("first_kernel", [3, 5, 7])
@pytest.mark.parametrize("kernel", [3, 5])
def test_shifts_are_the_masks_of_the_paper(kernel, first_kernel):
    made = stack(kernel=kernel, first_kernel=first_kernel, condition=3, places=(1, WIDTH))
    maps, condition = noise(2, HEIGHT, WIDTH, 2), noise(2, HEIGHT, 1, 3, seed=2)
    torch.testing.assert_close(made(maps, condition), as_in_the_paper(made, maps, condition))


@pytest.mark.parametrize("skip", [0, 1, 3])
@pytest.mark.parametrize(("layers", "first_kernel", "kernel"), [(1, 3, 3), (2, 3, 5), (3, 5, 3), (5, 7, 3)])
def test_a_pixel_sees_all_that_stands_before_it_within_reach_and_nothing_else(
    layers, first_kernel, kernel, skip
):
    made = stack(layers=layers, first_kernel=first_kernel, kernel=kernel, hidden=16)
    maps = noise(1, HEIGHT, WIDTH, 2).requires_grad_()
    outputs = made(maps, skip=skip)
    reach = first_kernel // 2 + (layers - 1) * (kernel // 2)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            weights = noise(3, seed=row)
            (gradient,) = torch.autograd.grad(outputs[0, row, column] @ weights, maps, retain_graph=True)
            seen = (gradient[0] != 0).any(-1)
            from_row = row - skip  # the row of the pixel that it is predicted in place of
            expected = [
                [
                    from_row - reach <= y <= from_row
                    and abs(x - column) <= reach
                    and (y, x) < (from_row, column)
                    for x in range(WIDTH)
                ]
                for y in range(HEIGHT)
            ]
            assert seen.tolist() == expected


def test_every_output_depends_on_the_condition_where_it_stands():
    made = stack(condition=3, hidden=16)
    condition = noise(1, HEIGHT, WIDTH, 3).requires_grad_()
    outputs = made(noise(1, HEIGHT, WIDTH, 2), condition)
    for row, column in ((0, 0), (0, WIDTH - 1), (3, 4), (HEIGHT - 1, 0)):
        (gradient,) = torch.autograd.grad(outputs[0, row, column].sum(), condition, retain_graph=True)
        assert (gradient[0, row, column] != 0).all()
        assert (gradient[0, row + 1 :] == 0).all()


def test_a_condition_of_one_row_or_column_stands_for_all():
    made = stack(condition=3)
    maps = noise(2, HEIGHT, WIDTH, 2)
    for rows, columns in ((1, 1), (HEIGHT, 1), (1, WIDTH)):
        condition = noise(2, rows, columns, 3)
        whole = made(maps, condition.expand(-1, HEIGHT, WIDTH, -1))
        torch.testing.assert_close(made(maps, condition), whole)


@pytest.mark.parametrize("places", [(1, 1), (1, WIDTH), (HEIGHT, WIDTH)])
@pytest.mark.parametrize("rows", [None, 1, HEIGHT])
@pytest.mark.parametrize("skip", [0, 2, 9])
def test_the_scan_computes_what_the_whole_map_gives(places, rows, skip):
    made = stack(places=places, condition=0 if rows is None else 3)
    condition = None if rows is None else noise(2, rows, WIDTH, 3)
    seen = torch.zeros(2, HEIGHT, WIDTH, 3, dtype=torch.float64)
    order = []

    def choose(outputs, row, column):
        order.append((row, column))
        seen[:, row, column] = outputs
        return outputs[:, :2].sin() + 0.1 * column

    maps = made.scan(choose, (2, HEIGHT, WIDTH), condition, skip=skip)
    torch.testing.assert_close(seen, made(maps, condition, skip=skip))
    assert order == [(row, column) for row in range(HEIGHT) for column in range(WIDTH)]
    torch.testing.assert_close(maps[:, 2, 5], seen[:, 2, 5, :2].sin() + 0.5)


def test_the_scan_of_no_rows_is_empty():
    assert stack().scan(lambda *_: pytest.fail("nothing to choose"), (2, 0, 3)).shape == (2, 0, 3, 2)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="a kernel of 4"):
        stack(kernel=4)


def test_signals_neither_fade_nor_grow_with_depth_at_the_start():
    torch.manual_seed(0)
    made = GatedPixelCNN(1, 4, hidden=64, layers=7)
    deviations = []
    for layer in made.layers:
        layer.register_forward_hook(lambda _, __, both: deviations.append(float(both[0].std())))
    with torch.no_grad():
        made(torch.randn(2, 24, 24, 1))
    assert all(0.5 < deviation < 2 for deviation in deviations)
