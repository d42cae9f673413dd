"""The training loop, written out.

One optimiser step is ``batches_per_step`` micro-batches, shared out over the processes. Each adds the gradient of
its summed loss, divided by the step's valid frames, and the sums are added over processes, so that unequal
lengths, accumulation and the number of processes change nothing. Codebooks move once, in ``after_step``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch

from unitdisc import checkpoint, distributed, loader, optimizer, policies, scoring, state
from unitdisc.alarms import Alarms
from unitdisc.average import Average
from unitdisc.errors import Interrupted, RecipeError, TrainingError
from unitdisc.health import Health
from unitdisc.log import Log, Taken, tensorboard
from unitdisc.model import Losses, Model, NonFiniteLatentsError
from unitdisc.plan import Position, Stream
from unitdisc.stopping import Stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.data import Split
    from unitdisc.display import Display
    from unitdisc.log import Event
    from unitdisc.parts import Batch
    from unitdisc.recipe import Recipe
    from unitdisc.run_folder import RunFolder

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """Everything that one training run moves.

    Args:
        recipe: What to train and how.
        model: On its device, standardised for the data.
        split: Training examples.
        folder: Where log and checkpoints go; its lock is held.
        scored: Examples that are scored in training; None where none are.
    """

    def __init__(
        self, recipe: Recipe, *, model: Model, split: Split, folder: RunFolder, scored: Split | None = None
    ) -> None:
        self.recipe = recipe
        self.settings = recipe.train
        self.model = model
        self.split = split
        self.folder = folder
        self.scored = scored
        self.device = model.device
        self.optimizer = optimizer.build(model, self.settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.settings.amp == "fp16")
        self.average = Average(model, self.settings.average) if self.settings.average else None
        self.health = Health(model, split, self.settings, seed=recipe.seed)
        self.plateau = optimizer.Plateau(recipe, self.device)
        self.events: list[Event] = []
        self.step = self.skipped = 0
        self.position = Position()
        ranks = distributed.world_size()
        if self.settings.batches_per_step % ranks:
            raise RecipeError(
                f"train.batches_per_step: {self.settings.batches_per_step} micro-batches cannot be shared equally "
                f"by {ranks} processes; give a multiple of {ranks} or start another number of processes"
            )

    def resume(self, found: checkpoint.Checkpoint) -> None:
        """Go on after ``found``."""
        self.position, self.skipped = state.restore(
            found, model=self.model, optimizer=self.optimizer, average=self.average, scaler=self.scaler
        )
        self.step = found.step
        self.health.load(found.tensors.get("health", {}))
        self.events = found.state.get("events", [])

    def run(self, display: Display) -> None:
        """Train to the last step. Raises `Interrupted` (saved) and `TrainingError`."""
        self.model.train()
        writer = tensorboard(self.folder.path, after=self.step) if self.settings.tensorboard else None
        log = Log(self.folder.log, after=self.step, events=self.events, tensorboard=writer)
        alarms = Alarms(self.recipe, self.model.bottleneck.num_codes)
        for record in log.before:
            alarms.look(record)
            self.plateau.look(record)
        batches = self._batches()
        with Stopping() as stopping, log:
            while self.step < self.settings.steps:
                epoch = self.position.epoch
                taken = self._take_step([next(batches) for _ in range(self._share())], stop=stopping.asked)
                self.step += 1
                display.step(self.step)
                self._observe(taken, log, display, has_epoch_ended=self.position.epoch > epoch)
                trouble = self._write_line(log, alarms, display) if self._is_time_to_log() else []
                self.events = log.events
                if taken.stop or trouble or self._is_time(self.settings.checkpoint_every):
                    self._save()
                if trouble:
                    raise TrainingError(self._stopped_over(trouble))
                if taken.stop:
                    raise self._interrupted()
            if stopping.asked:  # during the last step: what comes after training is not to begin either
                raise self._interrupted()

    def _observe(self, taken: Taken, log: Log, display: Display, *, has_epoch_ended: bool) -> None:
        log.add(taken)
        for event in taken.events:
            display.event(event)
        self.health.add(None if taken.is_skipped else taken.counts)
        if has_epoch_ended:
            self.health.end_epoch()

    def _write_line(self, log: Log, alarms: Alarms, display: Display) -> list[Event]:
        """Write and show a line of the log; return the alarms that training must stop for."""
        record = log.line(self.step, {**self._facts(), **self.health.figures()})
        trouble = [] if self.settings.alarms == "off" else alarms.look(record)
        if trouble:
            record["events"] = [*record.get("events", []), *trouble]
        if self.scored is not None and self._is_time(self.settings.score_every):
            record |= scoring.score(self.model, self.average, self.scored, self.recipe, display)
            self.plateau.look(record)
        log.write(record)
        if "loss" in record:  # not when every step since the last line was skipped
            display.numbers(record)
        for event in trouble:
            display.event(event)
        return trouble if self.settings.alarms == "stop" else []

    def _stopped_over(self, trouble: list[Event]) -> str:
        told = "; ".join(f"{event['kind']}: {event['says']} (change {event['change']})" for event in trouble)
        return (
            f"step {self.step}: {told}; everything is saved, as train.alarms is stop; "
            f"go on all the same with: unitdisc run {self.folder.path}"
        )

    def _interrupted(self) -> Interrupted:
        return Interrupted(
            f"stopped after step {self.step} of {self.settings.steps}, everything is saved; "
            f"go on with: unitdisc run {self.folder.path}"
        )

    def _take_step(self, batches: list[Batch], *, stop: bool) -> Taken:
        """Move everything by one optimiser step, or skip it on all ranks when a number is not to be trusted."""
        settings = self.settings
        optimizer.set_lr(self.optimizer, self.step, settings, plateau=self.plateau.scale)
        progress = self.step / settings.steps
        self._seed(settings.batches_per_step)
        for part in self.model.parts():
            part.before_step(progress)
        self.optimizer.zero_grad(set_to_none=True)
        frames = distributed.total(sum(batch.num_frames for batch in batches), self.device)
        taken = self._accumulate(batches, max(frames, 1.0))
        # (2,): ranks with non-finite latents, ranks asked to stop.
        shared = torch.tensor([taken.is_bad, stop], dtype=torch.float64, device=self.device)
        bad, stops = distributed.all_sum_(shared).tolist()
        taken.stop = stops > 0
        if bad or not self._apply_gradient():
            taken.is_skipped = True
            self._skip(batches)
            return taken
        self.skipped = 0
        self._seed(settings.batches_per_step + 1)
        taken.events = self._finish_step(progress)
        return taken

    def _finish_step(self, progress: float) -> list[Event]:
        """Let the parts move what no gradient moves, and everything else follow; return what happened."""
        step = self.step + 1
        with torch.no_grad():
            for part in self.model.parts():
                part.after_step(progress)
        if self.average is not None:
            self.average.update(self.model, step)
        policies.carry_out(self.model, self.optimizer, self.average, step=step)
        return [{"step": step, **event} for part in self.model.parts() for event in part.events()]

    def _accumulate(self, batches: list[Batch], frames: float) -> Taken:
        """Add up the gradients of the loss per frame of the whole step, which has ``frames`` of them."""
        taken = Taken(frames=sum(batch.num_frames for batch in batches))
        for number, batch in enumerate(batches):
            self._seed(number * distributed.world_size() + distributed.rank())
            try:
                losses = self._forward(batch.to(self.device))
            except NonFiniteLatentsError:
                taken.is_bad = True
                return taken
            if losses.total.requires_grad:  # not where nothing learns by gradient, as with k-means
                self.scaler.scale(losses.total / frames).backward()
            taken.add(losses, self.model.bottleneck.num_codes)
        return taken

    def _seed(self, place: int) -> None:
        """Make noise depend on seed, step and place alone: exact resume, any number of ranks.

        Places are the step's micro-batches and, behind them, the two step methods of the parts, in which every
        rank must draw the same.
        """
        torch.manual_seed(hash((self.recipe.seed, self.step, place)) & 0x7FFF_FFFF_FFFF_FFFF)

    def _forward(self, batch: Batch) -> Losses:
        dtype = _AUTOCAST.get(self.settings.amp)
        try:
            with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
                return self.model(batch)  # type: ignore[no-any-return]
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"step {self.step + 1}: out of memory with {batch.num_frames} frames ({batch.keys[0]}, ...); "
                "lower train.batch_frames and raise train.batches_per_step"
            ) from error

    def _apply_gradient(self) -> bool:
        """Sum over ranks, clip, update; False when the norm is not finite or too large."""
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        distributed.sum_gradients_(parameters)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return True
        self.scaler.unscale_(self.optimizer)  # after the sum, so that all ranks see the same overflow
        norm = torch.nn.utils.get_total_norm(gradients)
        is_taken = norm.item() <= (self.settings.skip_norm or sys.float_info.max)  # False for NaN
        if is_taken:
            if self.settings.clip is not None:
                torch.nn.utils.clip_grads_with_norm_(parameters, self.settings.clip, norm)
            self.scaler.step(self.optimizer)
        self.scaler.update()
        return is_taken

    def _skip(self, batches: list[Batch]) -> None:
        self.skipped += 1
        if self.skipped >= self.settings.max_skipped:
            keys = ", ".join(key for batch in batches for key in batch.keys[:3])
            limit = self.settings.skip_norm
            raise TrainingError(
                f"step {self.step + 1}: {self.skipped} steps in a row were not finite"
                f"{f' or had a gradient above train.skip_norm ({limit:g})' if limit else ''} (last examples: {keys}); "
                "weights and codebook are unharmed; lower train.lr, set train.clip, or look at these examples"
            )

    def _save(self) -> None:
        health = self.health.state()
        if distributed.rank() == 0:
            captured = state.capture(
                step=self.step,
                position=self.position,
                model=self.model,
                optimizer=self.optimizer,
                average=self.average,
                scaler=self.scaler,
                skipped=self.skipped,
                health=health,
                events=self.events,
            )
            checkpoint.write(self.folder.checkpoints, captured, keep=self.settings.keep)
        distributed.barrier()

    def _is_time(self, every: int | None) -> bool:
        """Whether what comes every so many steps, and after the last one, is due."""
        return every is not None and (self.step % every == 0 or self.step == self.settings.steps)

    def _is_time_to_log(self) -> bool:
        return self._is_time(self.settings.log_every) or self._is_time(self.settings.score_every)

    def _batches(self) -> Iterator[Batch]:
        """Yield this rank's micro-batches and keep ``position`` at the end of the step under way."""
        settings = self.settings
        lengths = [min(length, settings.crop or length) for length in self.split.lengths]
        stream = Stream(lengths, settings.batch_frames, self.recipe.seed)
        positions = (after for _, after in stream.batches(self.position))
        own = loader.batches(
            self.split,
            stream,
            self.position,
            crop=settings.crop,
            rank=distributed.rank(),
            ranks=distributed.world_size(),
            workers=settings.workers,
            memory=settings.cache_mb * 2**20,
            device=self.device,
        )
        for number, batch in enumerate(own):
            if number % self._share() == 0:
                for _ in range(settings.batches_per_step):
                    self.position = next(positions)
            yield batch

    def _share(self) -> int:
        return self.settings.batches_per_step // distributed.world_size()

    def _facts(self) -> dict[str, Any]:
        rate = self.optimizer.param_groups[0]["lr"]
        return {"epoch": self.position.epoch, "lr": rate, "skipped": self.skipped}
