"""Contracts of the trainable parts: what each receives, returns, and promises.

Letters of all shapes: B batch, T input frames, S latent frames, D latent size, Q codebooks, K codes each,
U target length; ``()`` is a scalar.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = Literal["bottleneck", "encoder", "input", "units", "codes"]
"""What a head looks at: the recipe's ``on``."""


@dataclass(frozen=True)
class Padded:
    """Sequences of different lengths in one tensor.

    Args:
        values: (B, T, ...); what stands beyond a sequence's length means nothing and must change nothing.
        lengths: (B,) int64, each in [0, T].
    """

    values: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, T) bool, true on valid frames."""
        return torch.arange(self.values.shape[1], device=self.lengths.device) < self.lengths[:, None]

    def detach(self) -> Padded:
        """Return the same sequences, through which no gradient passes."""
        return Padded(self.values.detach(), self.lengths)

    def to(self, device: torch.device) -> Padded:
        """Return the same sequences on ``device``."""
        return Padded(self.values.to(device, non_blocking=True), self.lengths.to(device, non_blocking=True))

    def pin_memory(self) -> Padded:
        """Return the same sequences in memory that a CUDA device reads while the program goes on."""
        return Padded(self.values.pin_memory(), self.lengths.pin_memory())


@dataclass(frozen=True)
class Batch:
    """What the data source gives to the parts.

    Args:
        keys: B ids.
        inputs: (B, T, *features.shape) float32; of tokens (B, T) int64.
        targets: By name. Kind "frames": (B, T) int64 with -1 where unlabelled. Kind "sequence": (B, U) int64.
        conditions: By name, (B,) int64 with -1 for a value that training did not know, or sequences (B, U) int64,
            such as the source sentence of a translation.
    """

    keys: list[str]
    inputs: Padded
    targets: dict[str, Padded] = field(default_factory=dict)
    conditions: dict[str, Tensor | Padded] = field(default_factory=dict)

    @cached_property
    def num_frames(self) -> int:
        """Valid input frames, the unit in which decoders and heads average their losses."""
        return int(self.inputs.lengths.sum())

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on ``device``; the frames are counted before, so that nothing waits for it."""
        moved = Batch(
            self.keys,
            self.inputs.to(device),
            {name: target.to(device) for name, target in self.targets.items()},
            {name: _moved(condition, device) for name, condition in self.conditions.items()},
        )
        return moved.counted(self.num_frames)

    def pin_memory(self) -> Batch:
        """Return the same batch in memory that a CUDA device reads while the program goes on."""
        pinned = Batch(
            self.keys,
            self.inputs.pin_memory(),
            {name: target.pin_memory() for name, target in self.targets.items()},
            {name: condition.pin_memory() for name, condition in self.conditions.items()},
        )
        return pinned.counted(self.num_frames)

    def with_inputs(self, inputs: Padded) -> Batch:
        """Return the batch with other inputs of the same lengths."""
        return replace(self, inputs=inputs).counted(self.num_frames)

    def counted(self, num_frames: int) -> Batch:
        """Take over the number of frames, which would have to be fetched from the device."""
        self.__dict__["num_frames"] = num_frames
        return self


def _moved(condition: Tensor | Padded, device: torch.device) -> Tensor | Padded:
    if isinstance(condition, Padded):
        return condition.to(device)
    return condition.to(device, non_blocking=True)


@dataclass(frozen=True)
class Quantized:
    """What a bottleneck returns.

    Args:
        values: (B, S, D), what the decoder and heads see; gradients pass to the encoder as the rule says.
        codes: (B, S, Q) int64 in [0, K), -1 on padding; Q = 0 where nothing is quantised.
        loss: (), mean over the valid latents of this batch (0 where there are none).
        stats: Numbers for the log, each ().
        samples: (B, S, Q, m) int64, -1 on padding, where a rule draws m codes per latent in training: the soft
            targets of what predicts codes.
    """

    values: Tensor
    codes: Tensor
    loss: Tensor
    stats: dict[str, Tensor] = field(default_factory=dict)
    samples: Tensor | None = None


@dataclass(frozen=True)
class Replaced:
    """Weights that a part has put into their place outside the gradient.

    Args:
        parameter: The parameter; what moves by averages of its own (a buffer) has neither moments nor copies.
        rows: Bool, the shape of the parameter's leading dimensions: which of its rows are new.
        moments: What the optimiser remembers of these rows: "keep" it or "reset" it to zero.
        average: The averaged copy of the weights (``train.average``): "keep" it, which mixes old and new rows
            for 1 / (1 - average) steps (paper A, Fig. 4), "copy" the new rows into it, or "restart" the average
            of all weights from where they are.
    """

    parameter: Tensor
    rows: Tensor
    moments: Literal["keep", "reset"] = "reset"
    average: Literal["keep", "copy", "restart"] = "copy"


class Part(nn.Module):
    """Base of everything trainable. The engine calls the two step methods on every Part inside the model.

    All state that training needs to go on lives in ``state_dict`` and consists of tensors.
    """

    def before_step(self, progress: float) -> None:
        """Start an optimiser step: forget statistics that a skipped step left. ``progress`` is in [0, 1]."""

    def after_step(self, progress: float) -> None:
        """Finish an optimiser step: the one place where a codebook or running mean moves outside the gradient.

        Called on every rank in the same order, after the gradient update, once per optimiser step whatever
        the number of ranks and micro-batches; statistics must be summed over ranks with
        ``unitdisc.distributed.all_sum_`` before they are used.
        """

    def replaced(self) -> Iterator[Replaced]:
        """Yield the weights replaced in the ``after_step`` that just ran; the engine asks after every step."""
        yield from ()

    def events(self) -> Iterator[dict[str, float | str]]:
        """Yield what happened in the ``after_step`` that just ran and is worth a place in ``log.jsonl``.

        Each is flat, with the key "event" for its name, and the same on every rank.
        """
        yield from ()

    def announce(self, steps: int) -> Iterator[str]:
        """Yield lines to show before the first of ``steps`` steps, such as a schedule with its steps.

        Raises `RecipeError` where the arguments ask for what will never happen in so many steps.
        """
        del steps
        yield from ()

    def param_groups(self) -> Iterator[dict[str, Any]]:
        """Yield ``{"params": [...], "lr_scale": x}`` for parameters that learn at their own rate.

        Parameters that no group names learn at the recipe's rate. A parameter may stand in one group only.
        """
        yield from ()


class Encoder(Part, ABC):
    """Turns input frames into latents.

    The engine supplies ``features`` (`FeatureSpec`) and ``conditions`` ({name: number of values}). Latent ``s`` stands
    for the input frames ``[s * stride, (s + 1) * stride)``, so S = ceil(T / stride).

    On pictures (``features.grid``) the frames are pixels row by row, and so are the latents: latent ``s`` stands
    for a cell of ``grid``, S = rows * columns of it, and stride is the number of pixels in a cell.

    Attributes:
        dim: Size of a latent.
        stride: Input frames per latent.
        grid: Rows and columns of latents of a picture; None for sequences.
        is_conditional: Whether the engine also hands ``forward`` the conditions of the batch, by name.
    """

    dim: int
    stride: int
    grid: tuple[int, int] | None = None
    is_conditional: bool = False

    @abstractmethod
    def forward(self, inputs: Padded) -> Padded:
        """Return latents (B, S, dim) with lengths ceil(lengths / stride)."""


class Bottleneck(Part, ABC):
    """Turns latents into codes and back; how its codebook learns is the rule. The engine supplies ``dim``.

    Attributes:
        dim: Size D of a latent.
        num_codes: K, 0 where nothing is quantised.
        num_codebooks: Q, 0 where nothing is quantised.
    """

    dim: int
    num_codes: int
    num_codebooks: int

    @abstractmethod
    def forward(self, latents: Padded) -> Quantized:
        """Quantise latents (B, S, D), float32 and finite. Training statistics use valid latents only."""

    @abstractmethod
    def lookup(self, codes: Tensor) -> Tensor:
        """Return (..., D), the vectors that ``codes`` (..., Q) stand for; -1 gives zeros."""

    def workspace(self, num_latents: int) -> int:
        """Return the bytes that ``forward`` needs at once beyond its inputs, outputs and saved tensors."""
        del num_latents
        return 0


class Decoder(Part, ABC):
    """Explains the inputs from the quantised latents.

    The engine supplies what the constructor names of: ``dim``, ``features`` (`FeatureSpec`), ``stride``, ``grid``
    (the encoder's), ``conditions`` ({name: number of values}), ``targets`` ({name: `TargetSpec`}), ``num_codes`` K and
    ``num_codebooks`` Q. The latents are `unitdisc.coded.Coded`: their codes come with them.

    Attributes:
        shows: What its ``reconstruct`` returns, where it has one: the "expected" value of each number, or pixel
            after pixel the "likeliest" one given those before, whose squared error says little.
    """

    shows: ClassVar[Literal["expected", "likeliest"]] = "expected"

    @abstractmethod
    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss () per valid input frame of ``batch`` and numbers for the log, each ()."""


class Head(Part, ABC):
    """Predicts a target from the quantised latents; a probe is a head that sends no gradient back.

    The engine supplies what the constructor names of: ``dim``, ``stride``, ``grid`` (the encoder's), ``targets``
    ({name: `TargetSpec`}), ``num_codes`` K and ``num_codebooks`` Q.
    With ``on`` in its recipe section a head sees something else than the quantised latents, with the same S and
    lengths and another ``dim``; it need not know. "codes" are the code numbers themselves, (B, S, Q) int64 with -1 on
    padding and ``dim`` Q; only heads that name it among their ``places`` can stand there.

    Attributes:
        places: What the recipe may put it on, the default first.
    """

    places: ClassVar[tuple[Place, ...]] = ("bottleneck", "encoder", "input", "units")

    @abstractmethod
    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss () per valid input frame of ``batch`` and numbers for the log, each ()."""

    @abstractmethod
    def predict(self, latents: Padded, lengths: Tensor) -> list[Tensor]:
        """Return B predictions, each (T_b,) for a "frames" target and (U_b,) for a "sequence" target.

        ``lengths`` (B,) are the numbers of input frames T_b.
        """
