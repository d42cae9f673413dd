"""The autoregressive Transformer: agrees with torch.nn.Transformer, gives exact probabilities, learns."""

from __future__ import annotations

from functools import partial
from itertools import product
from math import cos, log, sin

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_decoder, check_encoder
from unitdisc_translation.decoder import Autoregressive
from unitdisc_translation.encoder import Nothing
from unitdisc_translation.transformer import DecoderLayer, EncoderLayer, Stack, positions
from unitdisc_translation.vocabulary import END

V = 7
TOKENS = FeatureSpec((), 1.0, "token", standardize=False, vocab_size=V)
SMALL = {"hidden": 8, "layers": 2, "heads": 2, "inner": 16}
NO_LATENTS = Padded(torch.zeros(0), torch.zeros(0, dtype=torch.long))


def decoder(**parameters: object) -> Autoregressive:
    torch.manual_seed(2)
    return Autoregressive(features=TOKENS, conditions={"source": V}, **{**SMALL, **parameters})


def batch(target: torch.Tensor, lengths: list[int], source: torch.Tensor | None = None) -> Batch:
    source = torch.tensor([[4, 5, END]]).expand(len(target), -1) if source is None else source
    conditions = {"source": Padded(source, torch.full((len(source),), source.shape[1]))}
    return Batch(["u"] * len(target), Padded(target, torch.tensor(lengths)), {}, conditions)


def copy_weights(own: nn.Module, other: nn.Module, names: dict[str, str]) -> None:
    """Give ``own`` the weights of torch's layer; ``names`` says how it calls its parts."""
    state = {
        key.replace("in_proj_", "").replace("out_proj", "out"): value
        for key, value in other.state_dict().items()
    }
    renamed = {}
    for key, value in state.items():
        part, rest = key.split(".", 1)
        renamed[f"{names[part]}.{rest}"] = value
    own.load_state_dict(renamed)


ENCODER = {
    "self_attn": "own",
    "linear1": "inner.0",
    "linear2": "inner.3",
    "norm1": "around_own.norm",
    "norm2": "around_inner.norm",
}
DECODER = {
    **ENCODER,
    "multihead_attn": "source",
    "norm2": "around_source.norm",
    "norm3": "around_inner.norm",
}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_with_the_same_weights_it_is_the_transformer_of_torch(norm):
    torch.manual_seed(0)
    theirs = nn.Transformer(32, 4, 3, 3, 64, dropout=0.0, batch_first=True, norm_first=norm == "pre")
    if norm == "post":
        theirs.encoder.norm = theirs.decoder.norm = None  # theirs has one more than the paper
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    sizes = {"layers": 3, "heads": 4, "inner": 64, "dropout": 0.0, "norm": norm}
    encoder, decoder = Stack(EncoderLayer, 32, **sizes), Stack(DecoderLayer, 32, **sizes)
    for own, other, names in ((encoder, theirs.encoder, ENCODER), (decoder, theirs.decoder, DECODER)):
        for layer, their_layer in zip(own.layers, other.layers, strict=True):
            copy_weights(layer, their_layer, names)
        if other.norm is not None:
            own.norm.load_state_dict(other.norm.state_dict())
    source, target = torch.randn(3, 9, 32), torch.randn(3, 6, 32)
    mask = Padded(source, torch.tensor([9, 4, 1])).mask

    expected = theirs(
        source,
        target,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(6),
        src_key_padding_mask=~mask,
        memory_key_padding_mask=~mask,
        tgt_is_causal=True,
    )
    valid = mask[:, None, None]
    found = decoder(target, encoder(source, valid), valid)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert expected.std() > 0.1


def test_both_have_as_many_weights():
    theirs = nn.Transformer(32, 4, 2, 2, 64, batch_first=True, norm_first=False)
    sizes = {"layers": 2, "heads": 4, "inner": 64, "dropout": 0.1, "norm": "pre"}
    own = nn.ModuleList([Stack(EncoderLayer, 32, **sizes), Stack(DecoderLayer, 32, **sizes)])
    assert sum(p.numel() for p in own.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_positions_are_the_sinusoids_of_the_paper():
    found = positions(40, 6)
    for place, i in product(range(40), range(3)):
        angle = place / 10_000 ** (2 * i / 6)
        assert found[place, 2 * i].item() == pytest.approx(sin(angle), abs=1e-5)
        assert found[place, 2 * i + 1].item() == pytest.approx(cos(angle), abs=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_decoder_keeps_the_contract(norm, smoothing):
    make = partial(Autoregressive, **SMALL, norm=norm, smoothing=smoothing)
    check_decoder(make, TOKENS, conditions={"source": V}, sees_latents=False)


@pytest.mark.parametrize("stride", [1, 4])
def test_the_encoder_that_tells_nothing_keeps_the_contract(stride):
    check_encoder(partial(Nothing, stride=stride), TOKENS)


def test_probabilities_of_all_sequences_of_a_length_sum_to_1():
    every = torch.tensor(list(product(range(V), repeat=3)))
    with torch.no_grad():
        nats = decoder().eval().nats(NO_LATENTS, batch(every, [3] * len(every)))
    assert (-nats.double()).exp().sum() == pytest.approx(1, abs=1e-5)
    assert nats.max() - nats.min() > 0.5  # else it would show little


def test_no_token_is_explained_by_itself_or_by_later_ones():
    part = decoder().eval()
    one, other = torch.tensor([[4, 5, 6, END]]), torch.tensor([[4, 5, 4, 4]])
    with torch.no_grad():
        vectors = [
            part.decode(Padded(row, torch.tensor([4])), *part.encode(Padded(one, torch.tensor([4]))))
            for row in (one, other)
        ]
    torch.testing.assert_close(vectors[0][:, :2], vectors[1][:, :2])
    assert not torch.allclose(vectors[0][:, 2:], vectors[1][:, 2:])


def test_without_smoothing_the_trained_loss_is_the_code_length():
    made = batch(torch.tensor([[4, 5, END], [6, END, 0]]), [3, 2])
    part = decoder(smoothing=0.0, dropout=0.0).train()
    loss, numbers = part(NO_LATENTS, made)
    nats = part.nats(NO_LATENTS, made)
    torch.testing.assert_close(loss, nats.sum() / 5)
    torch.testing.assert_close(numbers["perplexity"], (nats.sum() / 5).exp())


def test_smoothing_counts_in_training_alone_and_the_log_stays_exact():
    made = batch(torch.tensor([[4, 5, END], [6, END, 0]]), [3, 2])
    part = decoder(smoothing=0.2, dropout=0.0).train()
    trained, numbers = part(NO_LATENTS, made)
    scored, exact = part.eval()(NO_LATENTS, made)
    logits, tokens = part._explain(made)
    torch.testing.assert_close(trained, F.cross_entropy(logits, tokens, label_smoothing=0.2))
    torch.testing.assert_close(scored, part.nats(NO_LATENTS, made).sum() / 5)
    torch.testing.assert_close(numbers["perplexity"], exact["perplexity"])
    assert not torch.isclose(trained, scored)


def test_it_learns_to_turn_sentences_round_and_writes_them():
    features = FeatureSpec((), 1.0, "token", standardize=False, vocab_size=10)
    torch.manual_seed(0)
    part = Autoregressive(
        features=features, conditions={"source": 10}, hidden=32, layers=1, heads=4, inner=64, dropout=0.0
    )
    optimizer = torch.optim.Adam(part.parameters(), lr=3e-3)
    for _ in range(250):
        source = torch.randint(4, 10, (64, 4))
        target = torch.cat([source.flip(1), torch.full((64, 1), END)], 1)
        loss, numbers = part(NO_LATENTS, batch(target, [5] * 64, source))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert log(numbers["perplexity"]) < 0.1
    source = torch.randint(4, 10, (20, 4))
    for beam in (1, 4):
        found = part.eval().candidates(
            Padded(source, torch.full((20,), 4)), lookup=torch.Tensor.float, beam=beam
        )
        rows = [row for (row,) in found]
        right = [
            row.tolist() == [*back, END] for row, back in zip(rows, source.flip(1).tolist(), strict=True)
        ]
        assert sum(right) >= 18


def test_data_without_sentences_is_refused_in_one_line():
    sound = FeatureSpec((80,), 100.0, "second", standardize=True)
    with pytest.raises(
        RecipeError, match=r"the data has seconds and the conditions: speaker; take data of parallel"
    ):
        Autoregressive(features=sound, conditions={"speaker": 3})
    with pytest.raises(RecipeError, match=r"decoder.hidden: 8 numbers cannot be shared equally by 3 heads"):
        decoder(heads=3)
