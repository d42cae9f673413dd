"""What a trained run makes of a few examples: reconstructions, draws, draws from its prior, and their error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from unitdisc import device
from unitdisc.data import Example, Split
from unitdisc.errors import RecipeError
from unitdisc.infer import as_units, passes
from unitdisc.likelihood import Likelihood, Prior
from unitdisc.parts import Decoder, Padded
from unitdisc.suggest import hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from torch import Tensor

    from unitdisc.infer import Passed
    from unitdisc.run import Run
    from unitdisc.units import Units


@dataclass
class Look:
    """One run's view of the shown examples; lists are in their order.

    Args:
        shows: What the decoder shows: `Decoder.shows`.
        shown: That of each example, (T, *shape), given the units.
        units: Their units; without codebooks where nothing is quantised.
        draws: Draws given the units; empty where none are wanted or the decoder cannot draw.
        prior: The same given codes that a prior drew; empty where there is none.
        prior_draws: Draws given the same codes.
        prior_units: These codes.
        scores: Bits over the measured examples, and the error of expected values.
        measured: How many these are.
    """

    shows: str
    shown: list[Tensor] = field(default_factory=list)
    units: list[Units] = field(default_factory=list)
    draws: list[Tensor] = field(default_factory=list)
    prior: list[Tensor] = field(default_factory=list)
    prior_draws: list[Tensor] = field(default_factory=list)
    prior_units: list[Units] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    measured: int = 0

    def rows(self) -> Iterator[tuple[str, list[Tensor]]]:
        """Yield what there is to see, one row each, with what it is."""
        rows = {
            self.shows: self.shown,
            "draw": self.draws,
            f"from the prior, {self.shows}": self.prior,
            "from the prior, draw": self.prior_draws,
        }
        yield from ((name, row) for name, row in rows.items() if row)

    def sort(self, order: Sequence[int]) -> None:
        """Bring the lists, whose entries are of the examples ``order``, into the order of the examples."""
        places = sorted(range(len(order)), key=order.__getitem__)
        for name, row in vars(self).items():
            if isinstance(row, list) and row:
                setattr(self, name, [row[place] for place in places])


class Looker:
    """Looks at examples through one run. Raises `RecipeError` where its decoder shows nothing.

    Args:
        run: A trained run.
        prior: Name of a head to draw codes from; None takes the only one there is, "" none.
        with_draws: Whether the decoder draws, where it can, beside what it shows.
        temperature: Of all draws.
    """

    def __init__(self, run: Run, *, prior: str | None, with_draws: bool, temperature: float) -> None:
        self.run, self._temperature = run, temperature
        self._decoder: Any = run.model.decoder
        if not hasattr(self._decoder, "reconstruct"):
            use = run.recipe.decoder
            found = f"decoder {use.name} has no reconstruct" if use else "its recipe has no decoder"
            raise RecipeError(
                f"{run.folder.path}: {found}, so there is nothing to look at; train a recipe with a decoder that "
                "explains the inputs"
            )
        self._prior = self._chosen(prior)
        self._draws = with_draws and hasattr(self._decoder, "sample")

    @property
    def is_drawing(self) -> bool:
        """Whether anything is drawn, so that seed and temperature mean something."""
        return self._draws or self._prior is not None

    @torch.inference_mode()
    def look(self, split: Split, shown: Sequence[int], measured: Sequence[int] | None, *, seed: int) -> Look:
        """Return what the run makes of the examples ``shown``, with its scores on ``measured``, else on these."""
        model = self.run.model
        model.to(device.choose(self.run.recipe.train))
        tally, look = _Tally(self._decoder), Look(self._decoder.shows)
        order: list[int] = []
        with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
            torch.manual_seed(seed)
            for passed in self._passed(split, shown):
                frames = self._reconstructed(passed.seen, passed)
                if measured is None:
                    tally.add(passed, frames)
                order += passed.indices
                self._show(look, passed, frames)
        for passed in self._passed(split, measured or ()):
            tally.add(passed, self._reconstructed(passed.seen, passed) if tally.has_error else None)
        look.scores, look.measured = tally.scores(), tally.examples
        look.sort(order)
        return look

    def _show(self, look: Look, passed: Passed, frames: list[Tensor]) -> None:
        """Add what there is to see of a batch."""
        keys = passed.batch.keys
        look.shown += map(self._raw, frames)
        look.units += map(self._units, keys, [codes for _, codes in passed.codes()], frames)
        if self._draws:
            look.draws += self._sampled(passed.seen, passed)
        if self._prior is None:
            return
        lengths = passed.latents.lengths
        codes = self._prior.draw(lengths, temperature=self._temperature)
        latents = Padded(self.run.model.bottleneck.lookup(codes), lengths)
        shown = self._reconstructed(latents, passed)
        rows = [row[:length].cpu().numpy() for row, length in zip(codes, lengths.tolist(), strict=True)]
        look.prior += map(self._raw, shown)
        look.prior_units += map(self._units, keys, rows, shown)
        if self._draws:
            look.prior_draws += self._sampled(latents, passed)

    def _chosen(self, name: str | None) -> Prior | None:
        """Return the prior of that name. Raises `RecipeError` naming those there are."""
        if name == "":
            return None
        priors = {key: head for key, head in self.run.model.heads.items() if isinstance(head, Prior)}
        if name is None and len(priors) < 2:
            return next(iter(priors.values()), None)
        if name in priors:
            return priors[name]
        path, known = self.run.folder.path, ", ".join(priors) or "none"
        if name is None:
            raise RecipeError(f"{path}: has the priors {known}; choose one with --prior")
        raise RecipeError(
            f"--prior: {path} has no head {name!r} to draw codes from{hint(name, priors)} (it has: {known})"
        )

    def _passed(self, split: Split, indices: Sequence[int]) -> Iterator[Passed]:
        """Yield batches of the chosen examples, numbered anew."""
        frames = self.run.recipe.evaluate.batch_frames
        yield from passes(self.run.model, _Some(split, indices), batch_frames=frames)

    def _reconstructed(self, latents: Padded, passed: Passed) -> list[Tensor]:
        """Return what the decoder shows given these latents, as long as the batch."""
        found: list[Tensor] = self._decoder.reconstruct(
            latents, passed.batch.inputs.lengths, passed.batch.conditions
        )
        return found

    def _sampled(self, latents: Padded, passed: Passed) -> list[Tensor]:
        """Return draws given these latents."""
        lengths, conditions = passed.batch.inputs.lengths, passed.batch.conditions
        found = self._decoder.sample(latents, lengths, conditions, temperature=self._temperature)
        return [self._raw(frames) for frames in found]

    def _units(self, key: str, codes: np.ndarray, frames: Tensor) -> Units:
        return as_units(key, codes, len(frames), self.run.model.stride, self.run.features)

    def _raw(self, frames: Tensor) -> Tensor:
        """Return frames (T, *shape) that may be standardised as the data source gives them."""
        frames, measured = frames.float(), self.run.model.standardize
        return (frames if measured is None else frames * measured.deviation + measured.mean).cpu()


class _Tally:
    """Sums nats over examples, and squared errors of expected values: no others are the least, or mean much.

    Attributes:
        has_error: Whether it needs what the decoder shows.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.has_error = decoder.shows == "expected"
        self._decoder = decoder if isinstance(decoder, Likelihood) else None
        self.examples = self._frames = self._numbers = 0
        self._squares = self._nats = 0.0

    def add(self, passed: Passed, shown: Sequence[Tensor] | None) -> None:
        inputs = passed.batch.inputs
        if self.has_error:
            for row, frames in enumerate(shown or ()):
                error = frames.float() - inputs.values[row, : len(frames)]
                self._squares += float(error.double().square().sum())
        self._frames += passed.batch.num_frames
        self._numbers += passed.batch.num_frames * inputs.values[0, 0].numel()
        self.examples += len(passed.indices)
        if self._decoder is not None:
            self._nats += float(self._decoder.nats(passed.seen, passed.batch).double().sum())

    def scores(self) -> dict[str, float]:
        """Return "mse" per number of an input, and where there is a likelihood "bpd" and the decoder's numbers."""
        scores = {"mse": self._squares / self._numbers} if self.has_error else {}
        if self._decoder is not None:
            numbers = self._decoder.numbers(torch.tensor(self._nats / self._frames))
            scores["bpd"] = self._nats / self._numbers / math.log(2)
            scores |= {name: float(value) for name, value in numbers.items() if name != "bpd"}
        return scores


class _Some(Split):
    """Some examples of a split."""

    def __init__(self, split: Split, indices: Sequence[int]) -> None:
        self._split, self._indices = split, indices
        self.keys = [split.keys[index] for index in indices]
        self.lengths = [split.lengths[index] for index in indices]

    def __getitem__(self, index: int) -> Example:
        return self._split[self._indices[index]]
