"""The non-autoregressive Transformer: a bound on -ln p, attention without order, noisy parallel decoding."""

from __future__ import annotations

from functools import partial
from itertools import product

import pytest
import torch
import torch.nn.functional as F

from unitdisc.data import FeatureSpec, TargetSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_decoder
from unitdisc_translation import nat
from unitdisc_translation.nat import NonAutoregressive
from unitdisc_translation.nat_layer import ParallelLayer, PositionalAttention
from unitdisc_translation.transformer import positions
from unitdisc_translation.vocabulary import END

V, MOST = 9, 3
TOKENS = FeatureSpec((), 1.0, "token", standardize=False, vocab_size=V)
TARGETS = {"fertility": TargetSpec("sequence", tuple(str(number) for number in range(MOST + 1)))}
SMALL = {"hidden": 8, "layers": 2, "heads": 2, "inner": 16}
NO_LATENTS = Padded(torch.zeros(0), torch.zeros(0, dtype=torch.long))


def decoder(**parameters: object) -> NonAutoregressive:
    torch.manual_seed(2)
    chosen = {**SMALL, **parameters}
    return NonAutoregressive(features=TOKENS, conditions={"source": V}, targets=TARGETS, **chosen)


def padded(rows: list[list[int]], value: int = 0) -> Padded:
    lengths = torch.tensor([len(row) for row in rows])
    tensors = [torch.tensor(row) for row in rows]
    return Padded(torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value), lengths)


def batch(target: list[list[int]], source: list[list[int]], fertility: list[list[int]]) -> Batch:
    targets = {"fertility": padded(fertility, -1)}
    return Batch(["u"] * len(target), padded(target), targets, {"source": padded(source)})


MADE = (
    [[4, 5, 6, END], [7, END]],
    [[4, 8, END], [5, 6, 7, END]],
    [[2, 1, 1], [0, 1, 0, 1]],
)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_decoder_keeps_the_contract(norm, smoothing):
    make = partial(NonAutoregressive, **SMALL, norm=norm, smoothing=smoothing)
    check_decoder(make, TOKENS, conditions={"source": V}, targets=TARGETS, sees_latents=False)


def test_the_loss_is_that_of_fertilities_and_of_the_target_given_them():
    part = decoder().eval()
    loss, numbers = part(NO_LATENTS, batch(*MADE))
    of_tokens = of_fertilities = 0.0
    for target, source, fertility in zip(*MADE, strict=True):
        read_ = part.read(padded([source]))
        guessed = part.predictor(read_.vectors)[0].log_softmax(1)
        of_fertilities -= sum(guessed[place, count].item() for place, count in enumerate(fertility))
        found = part.write(read_, torch.tensor([fertility]), torch.ones(1, len(target), dtype=torch.bool))
        log_probs = (found[0] @ part.embedding.T).log_softmax(1)
        of_tokens -= sum(log_probs[place, token].item() for place, token in enumerate(target))
    assert loss.item() == pytest.approx((of_tokens + of_fertilities) / 6, abs=1e-5)
    assert numbers["bound"].item() == pytest.approx(loss.item(), abs=1e-6)
    assert numbers["perplexity"].log().item() == pytest.approx(of_tokens / 6, abs=1e-5)
    assert numbers["fertility_perplexity"].log().item() == pytest.approx(of_fertilities / 7, abs=1e-5)


def test_the_loss_bounds_the_nats_of_the_target():
    part, source = decoder().eval(), [4, END]
    target = [5, 6, END]
    total = torch.zeros((), dtype=torch.float64)
    bounds = []
    for fertility in product(range(MOST + 1), repeat=2):
        if sum(fertility) == len(target):
            loss, _ = part(NO_LATENTS, batch([target], [source], [list(fertility)]))
            bounds.append(3 * loss.item())
            total += torch.tensor(-bounds[-1], dtype=torch.float64).exp()
    assert len(bounds) == 4
    assert min(bounds) > -total.log().item()


def test_smoothing_counts_in_training_and_for_tokens_alone():
    part = decoder(smoothing=0.2, dropout=0.0).train()
    trained, numbers = part(NO_LATENTS, batch(*MADE))
    scored, exact = part.eval()(NO_LATENTS, batch(*MADE))
    assert not torch.isclose(trained, scored)
    for name, value in exact.items():
        torch.testing.assert_close(numbers[name], value)


def test_positional_attention_is_that_of_torch_with_positions_as_queries_and_keys():
    torch.manual_seed(0)
    own, theirs = (
        PositionalAttention(16, heads=4, dropout=0.0),
        torch.nn.MultiheadAttention(16, 4, batch_first=True),
    )
    theirs.in_proj_weight, theirs.in_proj_bias = own.weight, own.bias
    theirs.out_proj = own.out
    x, places = torch.randn(3, 5, 16), positions(5, 16)
    valid = Padded(x, torch.tensor([5, 3, 1])).mask
    same = places.expand(3, -1, -1)
    expected, _ = theirs(same, same, x, key_padding_mask=~valid)
    torch.testing.assert_close(own.look(x, places, mask=valid[:, None, None]), expected)


def test_each_place_sees_all_others_before_and_behind_and_not_itself():
    layer = ParallelLayer(8, heads=2, inner=16, dropout=0.0, norm="pre")
    valid = torch.tensor([[True, True, True], [True, False, False]])
    seen = layer._others(valid)[:, 0]
    assert seen[0].tolist() == [[False, True, True], [True, False, True], [True, True, False]]
    assert seen[1, 0].tolist() == [True, False, False]  # what is alone sees itself


@pytest.mark.parametrize("beam", [1, 5])
def test_a_sentence_alone_is_translated_as_in_a_batch(beam):
    part = decoder().eval()
    rows = [[4, 5, 6, 7, END], [8, END], [6, 6, 4, END]]
    options = {"lookup": torch.Tensor.float, "beam": beam}
    together = part.candidates(
        Padded(F.pad(padded(rows).values, (0, 2), value=8), padded(rows).lengths), **options
    )
    for row, found in zip(rows, together, strict=True):
        (alone,) = part.candidates(padded([row]), **options)
        assert [each.tolist() for each in found] == [each.tolist() for each in alone]
        assert len(found) == beam
        for each in found:
            assert each[-1] == END
            assert (each[:-1] > 3).all()  # no mark inside


def test_the_first_guess_is_the_likeliest_and_all_stand_in_the_order_of_their_scores():
    part = decoder().eval()
    source = padded([[4, 5, 6, END]])
    read_ = part.read(source)
    guesses, values = part._guess(read_, 8)
    log_probs = part.predictor(read_.vectors)[0].log_softmax(1)
    assert guesses[0, 0, :3].tolist() == log_probs[:3].argmax(1).tolist()
    assert (guesses[..., -1] >= 1).all()
    assert values.max().item() == pytest.approx(log_probs.max(1).values.sum().item(), abs=1e-5)
    lengths = guesses[0].sum(1)
    filled = [part._fill(read_, guesses[:, number], lengths[number : number + 1]) for number in range(8)]
    scores = [
        (value.item() + values[0, number].item()) / ((5 + len(row)) / 6) ** 0.6
        for number, ((row,), value) in enumerate(filled)
    ]
    order = sorted(range(8), key=lambda number: -scores[number])
    (found,) = part.candidates(source, lookup=torch.Tensor.float, beam=8)
    assert [row.tolist() for row in found] == [filled[number][0][0].tolist() for number in order]
    assert len({tuple(row.tolist()) for row in found}) > 1


def test_many_guesses_are_written_in_pieces(monkeypatch):
    part, source = decoder().eval(), padded([[4, 5, 6, END], [7, END]])
    whole = part.candidates(source, lookup=torch.Tensor.float, beam=6)
    monkeypatch.setattr(nat, "_MOST_LOGITS", 200)
    pieces = part.candidates(source, lookup=torch.Tensor.float, beam=6)
    assert [[row.tolist() for row in rows] for rows in pieces] == [
        [row.tolist() for row in rows] for rows in whole
    ]


def test_shown_the_truth_it_writes_with_the_true_fertilities():
    part = decoder().eval()
    found = part.forced(NO_LATENTS, batch(*MADE))
    for row, target, source, fertility in zip(found, *MADE, strict=True):
        ((alone,), _) = part._fill(
            part.read(padded([source])), torch.tensor([fertility]), torch.tensor([len(target)])
        )
        assert row.tolist() == alone.tolist()
        assert len(row) == len(target)
        assert row[-1] == END


def test_drawing_leaves_the_generator_of_training_alone():
    part = decoder().eval()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    part.candidates(padded([[4, 5, END]]), lookup=torch.Tensor.float, beam=4)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_translation_is_as_long_as_is_allowed():
    part = decoder().eval()
    with torch.no_grad():
        part.predictor.bias[MOST] = 100.0
    source = padded([[4, 5, 6, END]])
    for longest, expected in ((None, 12), (5, 5), (1, 1)):
        ((row,),) = part.candidates(source, lookup=torch.Tensor.float, max_length=longest)
        assert len(row) == expected
        assert row[-1] == END


def test_a_line_of_a_thousand_tokens_is_translated_whole():
    part = decoder(layers=1).eval()
    with torch.no_grad():
        part.predictor.bias[1] = 100.0  # each token stands for one
    ((row,),) = part.candidates(padded([[4, 5] * 500 + [END]]), lookup=torch.Tensor.float)
    assert (len(row), int(row[-1])) == (1001, END)


def test_what_was_done_is_told_in_order():
    class Heard:
        def __init__(self) -> None:
            self.works: list[str] = []

        def done(self, work: str) -> None:
            self.works.append(work)

    heard = Heard()
    decoder().eval().candidates(padded([[4, END]]), lookup=torch.Tensor.float, beam=2, watch=heard)
    assert heard.works == ["source", "fertility", "decoder"]


def test_it_learns_to_say_words_twice_and_to_leave_words_out():
    """4 is said twice, 5 is left out, the others are said once."""
    torch.manual_seed(0)
    part = NonAutoregressive(
        features=TOKENS,
        conditions={"source": V},
        targets=TARGETS,
        hidden=32,
        layers=1,
        heads=4,
        inner=64,
        dropout=0.0,
    )
    optimizer = torch.optim.Adam(part.parameters(), lr=1e-2)

    def draw(number: int) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
        sources = [[*row, END] for row in torch.randint(4, V, (number, 4)).tolist()]
        fertilities = [[{4: 2, 5: 0}.get(token, 1) for token in row] for row in sources]
        targets = [
            [token for token, count in zip(*pair, strict=True) for _ in range(count)]
            for pair in zip(sources, fertilities, strict=True)
        ]
        return targets, sources, fertilities

    for _ in range(100):
        loss, _ = part(NO_LATENTS, batch(*draw(32)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    targets, sources, _ = draw(30)
    for beam in (1, 3):
        found = part.eval().candidates(padded(sources), lookup=torch.Tensor.float, beam=beam)
        right = sum(rows[0].tolist() == target for rows, target in zip(found, targets, strict=True))
        assert right >= 27


def test_data_without_fertilities_or_sentences_are_refused_in_one_line():
    sound = FeatureSpec((80,), 100.0, "second", standardize=True)
    with pytest.raises(
        RecipeError, match=r"nat writes tokens given the sentence 'source'; the data has seconds and"
    ):
        NonAutoregressive(features=sound, conditions={}, targets=TARGETS)
    with pytest.raises(RecipeError, match=r"the targets: none; set data.fertilities \(50 in the paper\)"):
        NonAutoregressive(features=TOKENS, conditions={"source": V}, targets={})
    with pytest.raises(RecipeError, match=r"decoder.hidden: 8 numbers cannot be shared equally by 3 heads"):
        decoder(heads=3)
