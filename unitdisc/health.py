"""How well the codebook is used while it learns, over epochs and not over batches; the figures of the log."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from unitdisc import distributed
from unitdisc.codebook import MovingCodebook, dead_share, perplexity
from unitdisc.data import Example, collate
from unitdisc.model import NonFiniteLatentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.data import Split
    from unitdisc.model import Model
    from unitdisc.parts import Batch
    from unitdisc.settings import Train

_MOST_LATENTS = 4096
_NEAR_ZERO = 1e-3


class Health:
    """Counts codes since the epoch began, and follows the codes of a fixed set of latents.

    The figures, in the lines of the log:

    - ``running_perplexity``, ``running_dead``, ``running_latents``: perplexity and share of unused codes over
      the epoch so far (a step belongs to the epoch in which it begins), and the latents that they rest on;
    - ``epoch_perplexity``, ``epoch_dead``, ``epoch_latents``: the same over the last whole epoch, in the first
      line after its end;
    - ``churn``: in the same line, the share of codes of a probe that changed since the last such line. The probe
      is one micro-batch at most of training examples that stay the same, read without dropout. It costs the
      forward pass of one micro-batch per line at most, and under 1 % of training where lines are 50 steps apart;
    - ``near_zero_counts``: for rules of moving averages, the share of codes whose count is below 1e-3 latents
      per step: such a codeword is a quotient of two numbers that vanish.

    Args:
        model: Whose bottleneck to watch.
        split: Training examples.
        settings: The recipe's ``train`` section.
        seed: Chooses the examples of the probe.
    """

    def __init__(self, model: Model, split: Split, settings: Train, *, seed: int) -> None:
        self.model = model
        self.split = split
        self.settings = settings
        self.seed = seed
        self.device = model.device
        bottleneck = model.bottleneck
        self.is_needed = min(bottleneck.num_codes, bottleneck.num_codebooks) > 0
        shape = (bottleneck.num_codebooks, bottleneck.num_codes)
        # (Q, K) of this rank; the whole is only added up when it is asked for.
        self.running = torch.zeros(shape, dtype=torch.int64, device=self.device)
        self.finished: Tensor | None = None
        self.probe: Batch | None = None
        self.codes: Tensor | None = None

    def add(self, counts: Tensor | None) -> None:
        """Take in the code counts (Q, K) of one step of this rank."""
        if counts is not None:
            self.running += counts

    def end_epoch(self) -> None:
        """Begin to count anew."""
        self.finished = self.running
        self.running = torch.zeros_like(self.running)

    def figures(self) -> dict[str, float]:
        """Return the numbers for a line of the log; all ranks call it, and the first alone gets the churn."""
        if not self.is_needed:
            return {}
        named = _usage("running", self.running)
        if self.finished is not None:
            named |= _usage("epoch", self.finished)
        counts = [part.counts for part in self.model.bottleneck.modules() if isinstance(part, MovingCodebook)]
        if counts:
            named["near_zero_counts"] = (
                torch.cat([(c < _NEAR_ZERO).flatten() for c in counts]).double().mean()
            )
        values = torch.stack([value.double() for value in named.values()]).tolist()
        figures: dict[str, float] = {
            name: int(value) if name.endswith("latents") else value
            for name, value in zip(named, values, strict=True)
        }
        if not figures["running_latents"]:  # an epoch has just begun
            figures = {name: value for name, value in figures.items() if not name.startswith("running")}
        if self.finished is not None and distributed.rank() == 0:
            figures |= self._churn()
        self.finished = None
        return figures

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint holds, added up over ranks; all ranks call it."""
        if not self.is_needed:
            return {}
        held = {"running": distributed.all_sum_(self.running.clone())}
        if self.finished is not None:
            held["finished"] = distributed.all_sum_(self.finished.clone())
        return held | ({} if self.codes is None else {"codes": self.codes})

    def load(self, held: Mapping[str, Tensor]) -> None:
        """Go on from ``state``; a checkpoint without it goes on with an epoch that seems to begin here."""
        mine = 1 if distributed.rank() == 0 else 0
        if "running" in held:
            self.running.copy_(held["running"] * mine)
        if "finished" in held:
            self.finished = (held["finished"] * mine).to(self.device)
        self.codes = held.get("codes")

    def _churn(self) -> dict[str, float]:
        before, self.codes = self.codes, self._probed()
        if before is None or self.codes is None or before.shape != self.codes.shape:
            return {}
        return {"churn": float((before != self.codes).double().mean())}

    @torch.no_grad()
    def _probed(self) -> Tensor | None:
        """Return the codes (N, Q) of the probe's latents; None when its latents are not finite."""
        if self.probe is None:
            self.probe = self._chosen().to(self.device)
        self.model.eval()
        try:
            latents = self.model.encode(self.model.standardized(self.probe))
            return self.model.quantize(latents).codes[latents.mask].cpu()
        except NonFiniteLatentsError:
            return None
        finally:
            self.model.train()

    def _chosen(self) -> Batch:
        """Return inputs that fill one micro-batch, 4,096 latents at most, and their conditions."""
        room = min(self.settings.batch_frames, _MOST_LATENTS * self.model.stride)
        most = min(self.settings.crop or room, room)
        if self.model.features.grid is not None:  # a picture is seen as a whole
            most = prod(self.model.features.grid)
        order = np.random.Generator(np.random.PCG64(self.seed)).permutation(len(self.split)).tolist()
        chosen: list[Example] = []
        longest = 0
        for index in order:
            longest = max(longest, min(self.split.lengths[index], most))
            if chosen and longest * (len(chosen) + 1) > room:
                break
            example = self.split[index]
            chosen.append(Example(example.key, example.inputs[:most], {}, example.conditions))
        return collate(chosen)


def _usage(name: str, counts: Tensor) -> dict[str, Tensor]:
    """Return perplexity, dead share (means over codebooks) and latents of counts (Q, K) of this rank."""
    counts = distributed.all_sum_(counts.clone())
    return {
        f"{name}_perplexity": perplexity(counts).mean(),
        f"{name}_dead": dead_share(counts).mean(),
        f"{name}_latents": counts[0].sum(),
    }
