"""Prefix beam search against all paths, and the mixer in front of the CTC head."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import groupby, product

import numpy as np
import pytest
import torch

from tests.plugins.test_heads import TARGETS, ctc, example
from unitdisc.parts import Padded
from unitdisc.testing import check_head
from unitdisc_heads.beam import likeliest
from unitdisc_heads.ctc import CTC
from unitdisc_heads.mixer import Mixer


def random_log_probs(seed: int, latents: int = 5, outputs: int = 4) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(seed))
    logits = 2 * rng.normal(size=(latents, outputs))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def every_transcript(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """Return the probability of each transcript by listing every path."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        transcript = tuple(symbol - 1 for symbol, _ in groupby(path) if symbol > 0)
        found[transcript] += np.exp(sum(log_probs[s, symbol] for s, symbol in enumerate(path)))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_a_wide_beam_finds_the_likeliest_transcript_of_all(seed: int):
    log_probs = random_log_probs(seed)
    everything = every_transcript(log_probs)
    assert tuple(likeliest(log_probs, 10_000)) == max(everything, key=everything.__getitem__)


def test_it_beats_the_best_path_where_many_paths_spell_the_same():
    log_probs = np.log([[0.4, 0.3, 0.3], [0.4, 0.35, 0.25]])  # the best path says nothing
    assert likeliest(log_probs, 4) == [0]
    head = ctc(beam=4)
    head.log_probs = lambda _: torch.tensor(log_probs)[None].log_softmax(2)  # type: ignore[method-assign]
    latents = Padded(torch.zeros(1, 2, 5), torch.tensor([2]))
    assert head.predict(latents, torch.tensor([4]))[0].tolist() == [0]
    head.beam = None
    assert head.predict(latents, torch.tensor([4]))[0].tolist() == []


def test_a_symbol_twice_needs_a_blank_between():
    sure = np.log(np.array([[0.01, 0.98, 0.01], [0.98, 0.01, 0.01], [0.01, 0.98, 0.01]]))
    assert likeliest(sure, 3) == [0, 0]
    assert likeliest(sure[[0, 2]], 3) == [0]
    assert likeliest(sure[:0], 3) == []


def test_wider_beams_do_not_lose_much_and_narrow_ones_still_work():
    better = 0
    for seed in range(20):
        log_probs = random_log_probs(seed)
        everything = every_transcript(log_probs)
        narrow, wide = (everything[tuple(likeliest(log_probs, beam))] for beam in (1, 8))
        better += wide >= narrow
    assert better == 20


@pytest.mark.parametrize("detach", [True, False])
def test_beam_and_mixer_keep_the_contract(*, detach: bool):
    make = partial(CTC, beam=3, mixer=6, hidden=7, detach=detach)
    check_head(make, TARGETS, target="phones_sequence", sends_gradient=not detach)


def test_the_mixer_is_residual_convolutions_over_valid_latents():
    torch.manual_seed(0)
    mixer = Mixer(5, 6)
    latents, _ = example([[], []])
    found = mixer(latents)
    for row, length in enumerate((4, 3)):
        values = latents.values[row, :length] @ mixer.linear.weight.T + mixer.linear.bias
        for layer, dilation in zip(mixer.convolutions, (1, 2, 1, 1), strict=True):
            seen, out = values.relu(), torch.zeros(length, 6)
            for s in range(length):
                for tap in range(3):
                    at = s + (tap - 1) * dilation
                    if 0 <= at < length:
                        out[s] += layer.weight[:, :, tap] @ seen[at]
                out[s] += layer.bias
            values = values + out
        torch.testing.assert_close(found.values[row, :length], values.relu(), rtol=1e-4, atol=1e-5)
