"""The laws of priors over codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unitdisc.likelihood import Prior
from unitdisc.parts import Batch, Padded
from unitdisc.testing.explained import check_explained
from unitdisc.testing.laws import noise, require, require_close, spoil, supply

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Build = Callable[[], Prior]

_STRIDE = 3
_FRAMES = [17, 6, 1]
_LATENTS = [6, 2, 1]
_GRID = (2, 3)


def check_prior(make: Callable[..., Prior], *, num_codes: int = 5, num_codebooks: int = 2) -> None:
    """Raise an AssertionError that names the first law of `Prior` that a prior breaks.

    Args:
        make: Builds the prior when called with what it names of ``dim``, ``stride``, ``grid``, ``num_codes`` and
            ``num_codebooks``.
        num_codes: Size K of each codebook.
        num_codebooks: Number Q of codebooks.
    """
    available = {
        "dim": num_codebooks,
        "stride": _STRIDE,
        "grid": _GRID,
        "num_codes": num_codes,
        "num_codebooks": num_codebooks,
        "targets": {},
    }

    def build() -> Prior:
        torch.manual_seed(0)
        return supply(make, **available)

    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(num_codes, (len(_LATENTS), max(_LATENTS), num_codebooks), generator=generator)
    latents = spoil(Padded(codes, torch.tensor(_LATENTS)), -1)
    batch = Batch([f"u{number}" for number in range(len(_FRAMES))], noise(_FRAMES, 1))
    with torch.random.fork_rng(devices=[]):
        require(build().places == ("codes",), "a prior looks at codes", f"places are {build().places}")
        check_explained(build, latents, batch, sends_gradient=False)
        with torch.no_grad():
            _nats(build().eval(), latents, batch, num_codes)
            _order(build().eval(), latents, num_codes)
            _predictions(build().eval(), latents, num_codes)
            _draws(build().eval(), num_codes, num_codebooks)


def _nats(prior: Prior, latents: Padded, batch: Batch, num_codes: int) -> None:
    log_probs = prior.log_probs(latents)
    shape = (*latents.values.shape, num_codes)
    law = "log_probs are of all K codes in each place"
    require(log_probs.shape == shape, law, f"they have the shape {tuple(log_probs.shape)}")
    totals = log_probs.exp().sum(3)[latents.mask]
    require_close(
        totals, torch.ones_like(totals), "what a code can be has probabilities that sum to 1", "sums"
    )
    expected = torch.zeros(len(batch.keys))
    for b, length in enumerate(latents.lengths.tolist()):
        for s in range(length):
            for q, code in enumerate(latents.values[b, s].tolist()):
                expected[b] -= log_probs[b, s, q, code]
    require_close(
        prior.nats(latents, batch), expected, "nats are the sum of -ln p of the valid codes", "nats"
    )


def _order(prior: Prior, latents: Padded, num_codes: int) -> None:
    law = "a code is given those before it alone"
    before = prior.log_probs(latents)[0].flatten(0, 1)  # (S * Q, K) of the longest
    for place in range(len(before)):
        values = latents.values.clone()
        changed = values[0].view(-1)
        changed[place] = (changed[place] + 1) % num_codes
        after = prior.log_probs(Padded(values, latents.lengths))[0].flatten(0, 1)
        what = f"with another code in place {place}, what stands before or in it"
        require_close(after[: place + 1], before[: place + 1], law, what)


def _predictions(prior: Prior, latents: Padded, num_codes: int) -> None:
    law = "predict gives one code per frame"
    predictions = prior.predict(latents, torch.tensor(_FRAMES))
    for prediction, length in zip(predictions, _FRAMES, strict=True):
        shape = tuple(prediction.shape)
        require(shape == (length,), law, f"one for {length} frames has the shape {shape}")
        require(_in_range(prediction, num_codes), law, f"some are outside [0, {num_codes})")


def _draws(prior: Prior, num_codes: int, num_codebooks: int) -> None:
    law = "draw gives codes of the lengths asked for, -1 on padding, by torch's generator"
    lengths = torch.tensor(_LATENTS)
    drawn = []
    for _ in range(2):
        torch.manual_seed(2)
        drawn.append(prior.draw(lengths))
    found = drawn[0]
    shape = (len(_LATENTS), max(_LATENTS), num_codebooks)
    require(
        found.shape == shape and found.dtype == torch.int64, law, f"{found.dtype} of {tuple(found.shape)}"
    )
    mask = Padded(found, lengths).mask
    require(_in_range(found[mask], num_codes), law, f"some are outside [0, {num_codes})")
    require(bool((found[~mask] == -1).all()), law, "padding is not -1")
    require(torch.equal(*drawn), law, "the same seed gives other codes")


def _in_range(codes: Tensor, num_codes: int) -> bool:
    return codes.dtype == torch.int64 and bool(((codes >= 0) & (codes < num_codes)).all())
