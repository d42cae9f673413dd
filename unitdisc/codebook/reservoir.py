"""A uniform sample of a stream of vectors, in bounded memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor, nn

from unitdisc import distributed

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = 1024
"""Acceptances that are drawn at once."""
_SMALLEST = 2.0**-46
"""A threshold below this would overflow the places of a block; reached after 2 ** 46 * capacity vectors."""
_LARGEST = 1 - 2.0**-53
"""The number before 1, whose logarithm exists."""


class Reservoir(nn.Module):
    """Uniform sample without replacement of all vectors seen (paper A, Algorithm 1; Vitter 1985).

    Draws how many vectors to skip until the next that is kept, instead of a number per vector (Li 1994,
    algorithm L): each vector seen gets a uniform key and the ``capacity`` smallest keys are kept, of which only
    the largest, the threshold, has to be known. Skips are drawn in blocks from torch's global generator of the
    CPU, whatever the device, and what has been drawn is state. All state is in ``state_dict``: 4 * capacity * dim
    bytes and 16 KiB.

    Args:
        capacity: Vectors kept at most.
        dim: Size D of a vector.
    """

    def __init__(self, capacity: Annotated[int, Gt(0)], dim: Annotated[int, Gt(0)]) -> None:
        super().__init__()
        self.capacity = capacity
        self.vectors: Tensor  # (capacity, D), the first min(seen, capacity) of them samples
        # (1 + 2 * _BLOCK,): how many vectors were seen; the places in the stream of the next that are kept once
        # all slots are taken, ascending; the slots that these take.
        self.state: Tensor
        self.log_threshold: Tensor  # (), after the last of these places
        self.register_buffer("vectors", torch.zeros(capacity, dim))
        self.register_buffer("state", torch.zeros(1 + 2 * _BLOCK, dtype=torch.int64))
        self.register_buffer("log_threshold", torch.zeros((), dtype=torch.float64))
        self.clear()

    @property
    def seen(self) -> int:
        """Vectors added since the reservoir was made or cleared."""
        return int(self.state[0])

    @property
    def samples(self) -> Tensor:
        """(min(seen, capacity), D), a view."""
        return self.vectors[: self.seen]

    def clear(self) -> None:
        """Forget everything."""
        self._start(0, 0.0)

    def add(self, vectors: Tensor, *, shared: bool = False) -> None:
        """Take vectors (N, D) into account.

        Args:
            vectors: Finite; they are copied.
            shared: Called on every rank with vectors of its own, any number of them, and with the generators of
                all ranks in the same state. A reservoir that was equal on all ranks before is so afterwards,
                and the same as in one process that sees the vectors of all ranks in their order. Only counts
                and the vectors that are kept are exchanged.
        """
        vectors = vectors.detach().float()
        buffer = self.state
        state = buffer.cpu().numpy()  # on a CPU the buffer itself
        seen = int(state[0])
        start, end = _interval(seen, vectors, shared=shared)
        if seen < self.capacity:
            first = np.arange(seen, min(end, self.capacity))
            self._keep(first, first, vectors, start, shared=shared)
        while end > self.capacity:
            places, slots = state[1 : _BLOCK + 1], state[_BLOCK + 1 :]
            first, last = places.searchsorted((max(seen, self.capacity), end))
            if first < last:
                self._keep(places[first:last], slots[first:last], vectors, start, shared=shared)
            if last < _BLOCK:
                break
            self._draw(state)
        state[0] = end
        if buffer.device.type != "cpu":
            buffer.copy_(torch.from_numpy(state))

    def add_step(self, pieces: Sequence[Tensor]) -> None:
        """Take in the micro-batches (N, D) of one optimiser step, on every rank its own.

        The order is that of a single process: the first micro-batch of each rank, then the second, and so on.
        """
        if distributed.world_size() == 1:
            most = len(pieces)
        else:
            numbers = torch.zeros(distributed.world_size(), dtype=torch.int64, device=self.vectors.device)
            numbers[distributed.rank()] = len(pieces)
            most = int(distributed.all_sum_(numbers).max())
        nothing = self.vectors[:0]
        for number in range(most):
            self.add(pieces[number] if number < len(pieces) else nothing, shared=True)

    @staticmethod
    @torch.no_grad()
    def merge(reservoirs: Sequence[Reservoir]) -> Reservoir:
        """Return one reservoir of what several have seen, apart from each other.

        How many samples each gives is drawn from the hypergeometric distribution of what they have seen, so
        every subset of all vectors seen is as likely as in a single reservoir; vectors can be added to it.
        Its capacity is the smallest of theirs. Draws from torch's global generator; ``reservoirs`` stay as
        they are.
        """
        capacity = min(reservoir.capacity for reservoir in reservoirs)
        seen = [reservoir.seen for reservoir in reservoirs]
        total = sum(seen)
        ends = torch.tensor(seen).cumsum(0)
        drawn = _without_replacement(total, min(total, capacity))
        numbers = torch.bincount(torch.searchsorted(ends, drawn, right=True), minlength=len(seen)).tolist()
        chosen = [
            reservoir.samples[torch.randperm(len(reservoir.samples))[:number]]
            for reservoir, number in zip(reservoirs, numbers, strict=True)
        ]
        merged = Reservoir(capacity, reservoirs[0].vectors.shape[1]).to(reservoirs[0].vectors.device)
        merged.vectors[: len(drawn)] = torch.cat(chosen)
        merged._start(total, _log_key(total, capacity + 1))  # noqa: SLF001 - a Reservoir, too
        return merged

    def _start(self, seen: int, log_threshold: float) -> None:
        """Go on behind ``seen`` vectors with nothing drawn ahead."""
        self.state.fill_(max(seen, self.capacity) - 1)
        self.state[0] = seen
        self.log_threshold.fill_(log_threshold)

    def _draw(self, state: np.ndarray) -> None:
        """Draw the next block; the present one is past."""
        waits, falls, slots = 1 - torch.rand(3, _BLOCK, dtype=torch.float64).numpy()  # in (0, 1]
        # The largest of ``capacity`` uniform keys below a threshold is the next threshold.
        log_thresholds = float(self.log_threshold) + np.log(falls).cumsum() / self.capacity
        self.log_threshold.fill_(float(log_thresholds[-1]))
        thresholds = np.exp(log_thresholds).clip(_SMALLEST, _LARGEST)
        skips = np.log(waits) / np.log1p(-thresholds)
        state[1 : _BLOCK + 1] = state[_BLOCK] + (skips.astype(np.int64) + 1).cumsum()
        state[_BLOCK + 1 :] = self.capacity * (1 - slots)

    def _keep(
        self, places: np.ndarray, slots: np.ndarray, vectors: Tensor, start: int, *, shared: bool
    ) -> None:
        """Put the vectors at ``places`` of the stream into ``slots``, of several for one slot the last."""
        here = places - start
        if shared and distributed.world_size() > 1:
            vectors, here = _exchanged(vectors, torch.from_numpy(here)), np.arange(len(here))
        held = self.vectors
        if held.device.type == "cpu":
            held.numpy()[slots] = vectors.numpy()[here]  # in their order, so the last stays
            return
        last = dict(zip(slots.tolist(), here.tolist(), strict=True))
        kept, numbers = torch.tensor([[*last], [*last.values()]], dtype=torch.int64, device=vectors.device)
        held.index_copy_(0, kept, vectors[numbers])


def _interval(seen: int, vectors: Tensor, *, shared: bool) -> tuple[int, int]:
    """Return the place in the stream of the first vector here, and that behind the vectors of all ranks."""
    if not shared or distributed.world_size() == 1:
        return seen, seen + vectors.shape[0]  # len() of a tensor takes ten times as long
    counts = torch.zeros(distributed.world_size(), dtype=torch.int64, device=vectors.device)
    counts[distributed.rank()] = len(vectors)
    ends = distributed.all_sum_(counts).cumsum(0).tolist()
    return seen + ends[distributed.rank()] - len(vectors), seen + ends[-1]


def _exchanged(vectors: Tensor, places: Tensor) -> Tensor:
    """Return (M, D), the vectors at ``places``, each from the rank for which its place exists."""
    rows = torch.zeros(len(places), vectors.shape[1], device=vectors.device)
    own = ((places >= 0) & (places < len(vectors))).nonzero().squeeze(1)
    rows[own.to(rows.device)] = vectors[places[own].to(rows.device)]
    return distributed.all_sum_(rows)  # one rank's vector and zeros


def _log_key(total: int, rank: int) -> float:
    """Draw the logarithm of the ``rank``-th smallest of ``total`` uniform keys, 0 where there are fewer."""
    if total < rank:
        return 0.0
    shape = torch.tensor([rank, total - rank + 1], dtype=torch.float64)
    return math.log(float(torch.distributions.Beta(*shape).sample()))


def _without_replacement(total: int, number: int) -> Tensor:
    """Return (number,) different integers below ``total``, every set as likely."""
    if total <= 2 * number:
        return torch.randperm(total)[:number]
    drawn: Tensor = torch.randint(total, (number,)).unique()
    while len(drawn) < number:  # as if drawn one by one until there are enough: never more than are missing
        drawn = torch.cat([drawn, torch.randint(total, (number - len(drawn),))]).unique()
    return drawn
