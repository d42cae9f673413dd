"""Distances between single frames, exact enough that equal frames are at distance 0 and equal distances tie."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL = 1e-7
"""Less than this is 0: it is what rounding in float64 leaves between equal frames."""


class FrameDistance(ABC):
    """A distance between frames that is a function of products of two matrices.

    Products are taken in float64. In float32 the angle of a frame with itself comes out as up to 1e-3, at random,
    which breaks the ties that quantised vectors are full of.
    """

    def check(self, frames: Tensor) -> str | None:
        """Return what makes frames (T, D) unfit, or None."""
        return None if bool(torch.isfinite(frames).all()) else "numbers that are not finite"

    @abstractmethod
    def largest(self, frames: Tensor) -> float:
        """Return what no distance between two of the frames (F, D) is above."""

    @abstractmethod
    def left(self, frames: Tensor) -> Tensor:
        """Return what stands for frames (N, D) as the first of a pair."""

    @abstractmethod
    def right(self, frames: Tensor) -> Tensor:
        """Return what stands for frames (M, D) as the second of a pair."""

    @abstractmethod
    def between(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the distances (N, M), float64 or bool."""


class Angular(FrameDistance):
    """The angle between two frames, in [0, pi]; ZeroSpeech calls it cosine.

    Elsewhere it is divided by pi, which changes no comparison.

    Args:
        zero_frames: What a frame of zeros is, which has no angle. "far": at the largest distance from all
            others and 0 from another one, as in libri-light. "diagonal": a frame whose numbers are all equal, as
            fastabx takes it.
    """

    def __init__(self, zero_frames: Literal["far", "diagonal"] = "far") -> None:
        self.is_far = zero_frames == "far"

    def largest(self, frames: Tensor) -> float:
        """Return pi."""
        del frames
        return math.pi

    def left(self, frames: Tensor) -> Tensor:
        """Return frames of length 1 with a number more, whose products push frames of zeros to the ends."""
        sides = torch.empty(len(frames), frames.shape[1] + 1, dtype=torch.float64)
        directions = sides[:, :-1].copy_(frames)
        lengths = directions.norm(dim=1, keepdim=True)
        is_zero = lengths == 0
        directions /= lengths
        directions.masked_fill_(is_zero, 1 / math.sqrt(frames.shape[1]))
        # 1e-9 * -1e10 is below any cosine, 1e20 above, and 1e-18 is lost beside a cosine.
        sides[:, -1:] = torch.where(is_zero, -1e10, 1e-9) * self.is_far
        return sides

    def right(self, frames: Tensor) -> Tensor:
        """Return the same."""
        return self.left(frames)

    def between(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the distances (N, M) float64."""
        angles = (left @ right.T).clamp_(-1, 1).acos_()
        return torch.threshold_(angles, _SMALL, 0)


class Euclidean(FrameDistance):
    """The length of the difference."""

    def largest(self, frames: Tensor) -> float:
        """Return twice the largest length."""
        return 2 * float(frames.double().norm(dim=1).max())

    def left(self, frames: Tensor) -> Tensor:
        """Return frames and squared lengths, so that a product with the right ones is a squared distance."""
        frames = frames.double()
        squares = frames.square().sum(1, keepdim=True)
        return torch.cat([-2 * frames, squares, torch.ones_like(squares)], dim=1)

    def right(self, frames: Tensor) -> Tensor:
        """Return the other side of the product."""
        frames = frames.double()
        squares = frames.square().sum(1, keepdim=True)
        return torch.cat([frames, torch.ones_like(squares), squares], dim=1)

    def between(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the distances (N, M) float64."""
        largest = max(float(left[:, -2].max()), float(right[:, -1].max()))
        return torch.threshold_(left @ right.T, _SMALL**2 * largest, 0).sqrt_()


class KL(FrameDistance):
    """The symmetrised Kullback-Leibler divergence of distributions, (KL(p, q) + KL(q, p)) / 2 in nats.

    Logarithms are of p + 1e-6, as in libri-light and fastabx, so that zeros are allowed.
    """

    def check(self, frames: Tensor) -> str | None:
        """Return what makes frames (T, D) unfit, or None."""
        is_distribution = (frames.sum(1) - 1).abs().le(1e-3).all() and frames.ge(0).all()
        return super().check(frames) or (
            None if is_distribution else "frames that are no distributions, at least 0 and of sum 1"
        )

    def largest(self, frames: Tensor) -> float:
        """Return a little more than -ln 1e-6."""
        del frames
        return 14.0

    def left(self, frames: Tensor) -> Tensor:
        """Return p, ln p and their product, so that a product with the right ones is the divergence."""
        shares, logs, own = self._parts(frames)
        return torch.cat([shares, logs, own, torch.ones_like(own)], dim=1) / 2

    def right(self, frames: Tensor) -> Tensor:
        """Return the other side of the product."""
        shares, logs, own = self._parts(frames)
        return torch.cat([-logs, -shares, torch.ones_like(own), own], dim=1)

    def between(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the divergences (N, M) float64."""
        return torch.threshold_(left @ right.T, _SMALL**1.5, 0)

    def _parts(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shares = frames.double()
        logs = (shares + 1e-6).log()
        return shares, logs, (shares * logs).sum(1, keepdim=True)


class Identical(FrameDistance):
    """0 where two units are equal in all codebooks, else 1."""

    def largest(self, frames: Tensor) -> float:
        """Return 1."""
        del frames
        return 1.0

    def left(self, frames: Tensor) -> Tensor:
        """Return the units (N, Q)."""
        return frames

    def right(self, frames: Tensor) -> Tensor:
        """Return the units (M, Q)."""
        return frames

    def between(self, left: Tensor, right: Tensor) -> Tensor:
        """Return whether they differ (N, M) bool."""
        differs = left[:, None, 0] != right[:, 0]
        for book in range(1, left.shape[1]):
            differs |= left[:, None, book] != right[:, book]
        return differs


def frame_distance(name: str, zero_frames: Literal["far", "diagonal"]) -> FrameDistance:
    """Return the distance of this name."""
    makers: dict[str, Callable[[], FrameDistance]] = {
        "angular": lambda: Angular(zero_frames),
        "euclidean": Euclidean,
        "kl": KL,
        "identical": Identical,
    }
    return makers[name]()


def checked(distance: FrameDistance, frames: Tensor, where: str) -> Tensor:
    """Return the frames. Raises `DataError` where the distance does not exist between them."""
    problem = distance.check(frames)
    if problem:
        raise DataError(f"{where}: found {problem}; score others, or with another distance")
    return frames
