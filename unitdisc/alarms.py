"""Watches the lines of the log for what ruins a codebook, and says which key of the recipe to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitdisc.advice import advice, keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.log import Event
    from unitdisc.recipe import Recipe

_LATENTS_PER_CODE = 10


class Alarms:
    """Tells of each kind of trouble once, until it is over: a pure function of the lines of the log.

    The kinds, all but the last two only after the warm-up (of training, and of a rule that has the parameter
    ``warm_up``) and the first tenth of the steps:

    - "collapse": the perplexity since the line before is under 10 and under 5 % of the codes; over at 1.5 times
      that;
    - "scale": used codewords are 1.5 times as long as the latents (paper A, Fig. 1); over below 1.2 times;
    - "dead": 90 % of the codes went unused in an epoch with 10 latents for each; over below 80 %;
    - "growth": the bottleneck's loss is 10 times its smallest value, if its rule has a commitment term; over
      below 5 times;
    - "counts": half of the moving counts are near zero; over below 40 %;
    - "skipped": numbers were not finite, so that steps since the line before were skipped; with fp16, which
      finds its loss scale that way, 10 % of them.

    Args:
        recipe: What is trained; advice names keys that it has.
        num_codes: K, 0 where nothing is quantised.
    """

    def __init__(self, recipe: Recipe, num_codes: int) -> None:
        self.recipe = recipe
        self.num_codes = num_codes
        self.raised: set[str] = set()
        self.smallest_loss: float | None = None
        found = [(path.rpartition(".")[2], value) for path, value in keys(recipe.bottleneck)]
        self.has_commitment = any(name == "commitment" for name, _ in found)
        train = recipe.train
        # Before a rule's own warm-up is over its codes mean nothing.
        self.quiet = max(
            [train.warmup, train.steps / 10, *(value for name, value in found if name == "warm_up")]
        )

    def look(self, record: Mapping[str, Any]) -> list[Event]:
        """Return an event for each kind of trouble that began with this line."""
        checks = {"counts": self._counts(record), "skipped": self._skipped(record)}
        if record["step"] - self.recipe.train.log_every >= self.quiet:  # the whole line
            checks |= {
                "collapse": self._collapse(record),
                "scale": self._scale(record),
                "dead": self._dead(record),
                "growth": self._growth(record),
            }
        began: list[Event] = []
        for kind, says in checks.items():
            if says is None:
                continue  # this line cannot tell
            if not says:
                self.raised.discard(kind)
            elif kind not in self.raised:
                self.raised.add(kind)
                change = advice(kind, self.recipe)
                began.append(
                    {"step": record["step"], "event": "alarm", "kind": kind, "says": says, "change": change}
                )
        return began

    def _collapse(self, record: Mapping[str, Any]) -> str | None:
        limit = min(10.0, max(1.1, self.num_codes / 20))
        if record.get("latents", 0) < _LATENTS_PER_CODE * limit:
            return None
        value = record["perplexity"]
        is_low = value < self._limit("collapse", limit, 1.5 * limit)
        return f"perplexity {value:.3g}, although there are {self.num_codes} codes" if is_low else ""

    def _scale(self, record: Mapping[str, Any]) -> str | None:
        ratio = record.get("bottleneck.norm_ratio")
        if ratio is None:
            return None
        is_long = ratio >= self._limit("scale", 1.5, 1.2)
        return f"used codewords are {ratio:.3g} times as long as latents" if is_long else ""

    def _dead(self, record: Mapping[str, Any]) -> str | None:
        if record.get("epoch_latents", 0) < _LATENTS_PER_CODE * max(self.num_codes, 1):
            return None
        share = record["epoch_dead"]
        are_dead = share >= self._limit("dead", 0.9, 0.8)
        return f"{share:.0%} of {self.num_codes} codes were not used in an epoch" if are_dead else ""

    def _growth(self, record: Mapping[str, Any]) -> str | None:
        loss = record.get("bottleneck", 0.0)
        if not (self.has_commitment and loss > 0):
            return None
        self.smallest_loss = min(loss, self.smallest_loss or loss)
        times = loss / self.smallest_loss
        has_grown = times >= self._limit("growth", 10, 5)
        return f"the bottleneck's loss is {times:.3g} times its smallest value" if has_grown else ""

    def _counts(self, record: Mapping[str, Any]) -> str | None:
        share = record.get("near_zero_counts")
        if share is None:
            return None
        are_small = share >= self._limit("counts", 0.5, 0.4)
        return f"{share:.0%} of the moving counts are near zero" if are_small else ""

    def _skipped(self, record: Mapping[str, Any]) -> str:
        share = record.get("skipped_share", 0.0)
        is_often = share >= 0.1 if self.recipe.train.amp == "fp16" else share > 0
        limit = self.recipe.train.skip_norm
        beyond = f" or gradients above train.skip_norm ({limit:g})" if limit is not None else ""
        return (
            f"{share:.2g} of the steps had numbers that are not finite{beyond} and were skipped"
            if is_often
            else ""
        )

    def _limit(self, kind: str, begins: float, ends: float) -> float:
        """Return where trouble begins, or where it is over once it was told, so that it is not told in turns."""
        return ends if kind in self.raised else begins
