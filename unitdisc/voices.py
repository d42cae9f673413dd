"""Frames of features decoded from units in chosen voices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from unitdisc import suggest
from unitdisc.data import Example, Split
from unitdisc.errors import RecipeError
from unitdisc.infer import passes
from unitdisc.parts import Padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.run import Run


@runtime_checkable
class Reconstructing(Protocol):
    """A decoder that shows the frames that it decodes.

    Attributes:
        condition: Name of the condition that decides on the voice; None where there is none.
    """

    condition: str | None

    def reconstruct(
        self, latents: Padded, lengths: Tensor, conditions: dict[str, Tensor | Padded]
    ) -> list[Tensor]:
        """Return B predictions (T_b, *shape) for sequences of ``lengths`` (B,) input frames."""


class Voices:
    """The voices that a run's decoder knows: those of the training speakers, and the mean of them all.

    Raises `RecipeError` when the run has no decoder that shows its frames.

    Args:
        run: A trained run.

    Attributes:
        condition: What the decoder calls a voice, such as "speaker"; None when it knows but one.
        names: The training speakers, in the order of the condition.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        name = run.recipe.decoder.name if run.recipe.decoder else None
        decoder = run.model.decoder
        if not isinstance(decoder, Reconstructing):
            found = f"decoder {name} does not show its frames" if name else "its recipe has no decoder"
            raise RecipeError(
                f"{run.folder.path}: {found}, so units cannot be turned back; train a recipe with another, such "
                "as decoder: {use: frames}"
            )
        self._decoder: Reconstructing = decoder
        self.condition: str | None = decoder.condition
        self.names: list[str] = list(run.record["conditions"][self.condition]) if self.condition else []

    def check(self, speakers: Sequence[str]) -> None:
        """Raise `RecipeError` for a name that is no voice."""
        if speakers and not self.names:
            raise RecipeError(
                f"--speaker: the decoder of {self._run.folder.path} knows but one voice; train with decoder.condition "
                "set to a condition of the data, such as speaker"
            )
        for name in speakers:
            if name not in self.names:
                hint = suggest.hint(name, self.names)
                accepted = ", ".join(self.names)
                raise RecipeError(
                    f"--speaker: training knows no {self.condition} {name!r}{hint} (accepted: {accepted})"
                )

    def other(self, speaker: str | None, place: float) -> list[str]:
        """Return one voice other than that of ``speaker``, or none; ``place`` in [0, 1) goes through all of them."""
        start = int(place * len(self.names))
        turned = [self.names[(start + step) % len(self.names)] for step in range(len(self.names))]
        return [name for name in turned if name != speaker][:1]

    @torch.inference_mode()
    def decode(self, example: Example, speakers: Sequence[str | None]) -> list[Tensor]:
        """Return (T, *shape), not standardised, of ``example`` as each of ``speakers`` would say it.

        None is the mean of all voices. The frames of a speaker do not depend on who else is asked for.
        """
        model = self._run.model
        (passed,) = passes(model, _Only(example), batch_frames=1)
        lengths = passed.batch.inputs.lengths
        found = []
        for speaker in speakers:
            conditions = dict(passed.batch.conditions)
            if self.condition:
                number = -1 if speaker is None else self.names.index(speaker)
                conditions[self.condition] = torch.full_like(lengths, number)
            (frames,) = self._decoder.reconstruct(passed.seen, lengths, conditions)
            found.append(frames.float())
        if (measured := model.standardize) is not None:
            found = [frames * measured.deviation + measured.mean for frames in found]
        return [frames.cpu() for frames in found]


class _Only(Split):
    """A split of one example."""

    def __init__(self, example: Example) -> None:
        self.keys, self.lengths = [example.key], [len(example.inputs)]
        self._example = example

    def __getitem__(self, index: int) -> Example:
        return self._example
