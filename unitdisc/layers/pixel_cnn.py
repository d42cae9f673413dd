"""Gated PixelCNN (van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders").

Maps are (B, H, W, C), row by row: what stands at (row, column) is predicted from the rows above and from what stands to
its left::

    stack = GatedPixelCNN(channels, outputs, hidden=64, layers=7, condition=dim, places=(1, width))
    outputs = stack(maps, condition)                 # (B, H, W, outputs), for example logits
    maps = stack.scan(choose, (B, H, W), condition)  # one pixel after the other, from cached activations
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable


_GATE_GAIN = 2.95
"""1 / the deviation of tanh(x) * sigmoid(y) for normal x and y: E[tanh(x)^2] E[sigmoid(y)^2] = 0.394 * 0.293."""


class GatedPixelCNN(nn.Module):
    """Vertical and horizontal stacks of gated convolutions without a blind spot.

    The paper's masks are shifts here: the first layer reads the map moved by a row (vertical stack) and by a pixel
    (horizontal stack), which is mask A; all other convolutions reach up and to the left from where they stand,
    which is mask B. So no weight is multiplied by zero, and all that a pixel sees of the rows above is a rectangle.

    Args:
        channels: Numbers per pixel that come in; zeros stand outside of the map.
        outputs: Numbers per pixel that go out.
        hidden: Channels of both stacks.
        layers: Gated layers.
        kernel: Width of the convolutions, odd.
        first_kernel: Width of the first layer's, odd.
        condition: Size of a vector of the condition, 0 for none.
        places: (1, W) where all rows are W long and each place in a row gets biases of its own, as in the released
            code of paper A; (H, W) where the number of rows is fixed, too; (1, 1) where all places are alike.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        hidden: Annotated[int, Gt(0)] = 64,
        layers: Annotated[int, Gt(0)] = 7,
        kernel: Annotated[int, Ge(3)] = 3,
        first_kernel: Annotated[int, Ge(3)] = 7,
        condition: Annotated[int, Ge(0)] = 0,
        places: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.channels = channels
        self.layers = nn.ModuleList(
            _Layer(
                hidden if layer else channels,
                hidden,
                kernel if layer else first_kernel,
                condition=condition,
                places=places,
                is_first=layer == 0,
            )
            for layer in range(layers)
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, maps: Tensor, condition: Tensor | None = None, *, skip: int = 0) -> Tensor:
        """Return (B, H, W, outputs) of ``maps`` (B, H, W, channels), each from what stands before it.

        ``condition`` (B, H, W, condition) is added inside every gate; H and W of it may be 1, which costs less than
        the same vectors repeated. With ``skip`` the map is moved by so many rows more: (row, column) is predicted
        from what stands before (row - skip, column).
        """
        height, width = maps.shape[1:3]
        vertical = F.pad(maps, (0, 0, 0, 0, 1 + skip, 0))[:, :height]
        horizontal = F.pad(maps, (0, 0, 1, 0, skip, 0))[:, :height, :width]
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal, condition)
        return self.head(horizontal)  # type: ignore[no-any-return]

    @torch.no_grad()
    def scan(
        self,
        choose: Callable[[Tensor, int, int], Tensor],
        size: tuple[int, int, int],
        condition: Tensor | None = None,
        *,
        skip: int = 0,
    ) -> Tensor:
        """Return the map (B, H, W, channels) that ``choose`` makes of the outputs, pixel by pixel.

        Each pixel is computed once in every layer: the horizontal stack from cached neighbours to the left, the
        vertical stack row by row from the last few rows.

        Args:
            choose: Called as ``choose(outputs, row, column)`` with outputs (B, outputs) from all that was chosen
                before; returns what stands there, (B, channels).
            size: B, H and W.
            condition: As in ``forward``.
            skip: As in ``forward``.
        """
        batch, height, width = size
        first = next(self.parameters())
        # Rows and a column of zeros ahead, so that what stands outside needs no case of its own.
        maps = first.new_zeros(batch, height + 1 + skip, width + 1, self.channels)
        scans = [_Scan(layer, size) for layer in self.layers]  # type: ignore[arg-type]
        for row in range(height):
            vertical = maps[:, row, 1:]
            told = None if condition is None else condition.expand(-1, height, -1, -1)[:, row : row + 1]
            for scan in scans:
                vertical = scan.row(vertical, told, row)
            for column in range(width):
                horizontal = maps[:, row + 1, column]
                for scan in scans:
                    horizontal = scan.pixel(horizontal, column)
                maps[:, row + 1 + skip, column + 1] = choose(self.head(horizontal), row, column)
        return maps[:, 1 + skip :, 1:]


class _Layer(nn.Module):
    """A gated layer of both stacks (figure 2 of the paper); the vertical one's gate is left to the next layer.

    Differs from the figure: what the vertical stack tells the horizontal one has the condition in it.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        kernel: int,
        *,
        condition: int,
        places: tuple[int, int],
        is_first: bool,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a kernel of {kernel}: kernels of a PixelCNN are odd")
        self.is_first = is_first
        self.sides = kernel // 2
        self.reach = self.sides + (not is_first)
        """Rows of the vertical and columns of the horizontal kernel: mask A has one less."""
        self.vertical = nn.Conv2d(channels, 2 * hidden, (self.reach, kernel), bias=False)
        self.horizontal = nn.Conv2d(channels, 2 * hidden, (1, self.reach), bias=False)
        self.link = nn.Linear(2 * hidden, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, hidden)
        self.condition = nn.Linear(condition, 4 * hidden, bias=False) if condition else None
        self.bias = nn.Parameter(torch.zeros(*places, 4 * hidden))
        self._initialize_()

    def _initialize_(self) -> None:
        """Let signals of deviation 1 keep it; with torch's defaults the vertical stack fades by 0.3 in each layer."""
        gains = (
            (self.vertical, 1.0 if self.is_first else _GATE_GAIN),
            (self.horizontal, 1.0),
            (self.link, 1.0),
            (self.out, _GATE_GAIN),
        )
        for module, gain in gains:
            nn.init.normal_(module.weight, std=gain / module.weight[0].numel() ** 0.5)

    def forward(
        self, vertical: Tensor, horizontal: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return both stacks, (B, H, W, 2 * hidden) and (B, H, W, hidden), of those of the layer before."""
        rows = F.pad(self.opened(vertical), (0, 0, 0, 0, self.reach - 1, 0))
        down, told = self.down(rows, condition, self.bias)
        across = told + _convolved(self.horizontal, F.pad(horizontal, (0, 0, self.reach - 1, 0)))
        return down, self.across(across, horizontal)

    def opened(self, vertical: Tensor) -> Tensor:
        """Return what comes in of the vertical stack behind its gate."""
        return vertical if self.is_first else _gated(vertical)

    def down(self, rows: Tensor, condition: Tensor | None, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vertical stack and what it tells the horizontal one, each (B, H, W, 2 * hidden).

        ``rows`` are (B, reach - 1 + H, W, channels).
        """
        bias_down, bias_across = bias.chunk(2, -1)
        down = _convolved(self.vertical, F.pad(rows, (0, 0, self.sides, self.sides))) + bias_down
        if self.condition is None:
            return down, self.link(down) + bias_across
        told_down, told_across = self.condition(condition).chunk(2, -1)
        down += told_down
        across = self.link(down) + bias_across
        across += told_across
        return down, across

    def across(self, values: Tensor, horizontal: Tensor) -> Tensor:
        """Return the horizontal stack (..., hidden) of what its gate is given and of the one before."""
        across: Tensor = self.out(_gated(values))
        return across if self.is_first else across + horizontal


class _Scan:
    """What a layer remembers while a map is made pixel by pixel."""

    def __init__(self, layer: _Layer, size: tuple[int, int, int]) -> None:
        batch, self.num_rows, width = size
        channels = layer.vertical.in_channels
        self.layer = layer
        self.rows = layer.bias.new_zeros(batch, layer.reach, width, channels)
        self.line = layer.bias.new_zeros(batch, layer.reach - 1 + width, channels)
        self.weight = (
            layer.horizontal.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1)
        )  # (reach * channels, 2 * hidden)
        self.told: Tensor

    def row(self, vertical: Tensor, condition: Tensor | None, row: int) -> Tensor:
        """Begin a row: take the vertical stack of it (B, W, channels), return that of the next layer."""
        self.rows = torch.cat([self.rows[:, 1:], self.layer.opened(vertical)[:, None]], 1)
        bias = self.layer.bias.expand(self.num_rows, -1, -1)[row : row + 1]
        down, told = self.layer.down(self.rows, condition, bias)
        self.told = told[:, 0]
        return down[:, 0]

    def pixel(self, horizontal: Tensor, column: int) -> Tensor:
        """Take the horizontal stack (B, channels) of the next pixel, return that of the next layer."""
        reach = self.layer.reach
        self.line[:, column + reach - 1] = horizontal
        seen = self.line[:, column : column + reach].flatten(1)
        return self.layer.across(torch.addmm(self.told[:, column], seen, self.weight), horizontal)


def _convolved(convolution: nn.Conv2d, maps: Tensor) -> Tensor:
    """Return the convolution of (B, H, W, C); the permuted view is what torch calls channels_last."""
    return convolution(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


def _gated(values: Tensor) -> Tensor:
    """Return (..., hidden) of (..., 2 * hidden), equation 2 of the paper."""
    wave, gate = values.chunk(2, -1)
    return wave.tanh() * gate.sigmoid()
