"""The engine's own recipe sections; checked the same way as a plugin's constructor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True, kw_only=True)
class Latents:
    """What stands between encoder and bottleneck, whatever the rule.

    Args:
        norm: "batch": batch normalisation of the encoder's output over valid frames (paper A, section III-A).
        dim: Size of the latents after a linear projection; null keeps the encoder's size without one.
    """

    norm: Literal["batch", "none"] = "none"
    dim: Annotated[int, Gt(0)] | None = None


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the parts are trained.

    Args:
        steps: Optimiser steps.
        batch_frames: Padded input frames of one micro-batch at most (a longer example is a batch by itself).
        batches_per_step: Micro-batches per optimiser step over all processes; each process takes an equal
            share one after the other, so that the number of processes does not change the result.
        crop: Train on random crops of this many frames; null takes whole examples.
        optimizer: "adam", "adamw" or "sgd".
        lr: Learning rate of every parameter; a part's ``lr_scale`` multiplies it.
        betas: Adam's decay rates.
        weight_decay: Weight decay (decoupled for adamw).
        momentum: Momentum of sgd.
        schedule: Shape of the learning rate after the warm-up: "constant", "cosine" to 0, "linear" to 0,
            "rsqrt" (lr * sqrt(warmup / step)), "exponential" (to ``final_lr_scale``), "steps" (down at each of
            the ``milestones``) or "plateau" (down when scores in training no longer get better).
        final_lr_scale: What "exponential" multiplies the rate with at the last step, and "plateau" at least.
        milestones: Steps after which "steps" multiplies the rate, in rising order.
        milestone_scale: What "steps" multiplies the rate with after each milestone, and "plateau" each time.
        patience: Scores in a row that are no better than the best before one more lets "plateau" lower the
            rate; the first of ``score_metrics`` counts, on ``score_split``, so give a split held out for that.
        warmup: Steps of linear warm-up.
        clip: Largest gradient norm; null does not clip. A step with a non-finite norm is skipped either way.
        skip_norm: A step with a larger gradient norm than this, before clipping, is skipped, too; null skips none.
        max_skipped: Consecutive skipped steps after which training gives up.
        amp: Mixed precision: "none", "bf16" or "fp16" (fp16 on CUDA only); quantisation stays in float32.
        average: Decay of the Polyak average of the weights used in evaluation and export; null uses the weights.
        device: "auto" (CUDA when there is one), "cpu" or "cuda".
        threads: CPU threads; null takes OMP_NUM_THREADS, else one less than there are cores but both of two.
        workers: Data loading processes beside the training process.
        cache_mb: MiB of training inputs that stay in memory once loaded, in each process; 0 keeps none.
        checkpoint_every: Steps between checkpoints.
        keep: Checkpoints kept.
        log_every: Steps between lines of the log.
        score_every: Steps between scores in training, logged as "score.NAME" and also after the last step; null
            scores none. Scored as in evaluation, with the averaged weights, and without an effect on training.
        score_split: Split that is scored in training; null takes ``evaluate.split``.
        score_metrics: Names of the metrics to score in training; an empty list takes all.
        deterministic: Only operations that give the same bytes each time; on the CPU all do. On CUDA sums over
            indices and convolutions get slower, and what has no such form, the gradient of the CTC loss among
            it, is refused.
        alarms: What trouble with the codebook does (collapse, codewords longer than latents, dead codes, a loss
            that grows, counts near zero, skipped steps): "warn" tells and logs it with the keys to change,
            "stop" saves and ends training, too, "off" does not look.
        tensorboard: Write TensorBoard event files into the run folder (extra "tensorboard").
    """

    steps: Annotated[int, Gt(0)] = 1000
    batch_frames: Annotated[int, Gt(0)] = 4000
    batches_per_step: Annotated[int, Gt(0)] = 1
    crop: Annotated[int, Gt(0)] | None = None
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Annotated[float, Gt(0)] = 1e-3
    betas: tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]] = (0.9, 0.999)
    weight_decay: Annotated[float, Ge(0)] = 0.0
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    schedule: Literal["constant", "cosine", "linear", "rsqrt", "exponential", "steps", "plateau"] = "constant"
    final_lr_scale: Annotated[float, Gt(0), Le(1)] = 0.01
    milestones: tuple[Annotated[int, Gt(0)], ...] = ()
    milestone_scale: Annotated[float, Gt(0), Le(1)] = 0.5
    patience: Annotated[int, Ge(0)] = 3
    warmup: Annotated[int, Ge(0)] = 0
    clip: Annotated[float, Gt(0)] | None = None
    skip_norm: Annotated[float, Gt(0)] | None = None
    max_skipped: Annotated[int, Gt(0)] = 20
    amp: Literal["none", "bf16", "fp16"] = "none"
    average: Annotated[float, Gt(0), Lt(1)] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Gt(0)] | None = None
    workers: Annotated[int, Ge(0)] = 0
    cache_mb: Annotated[int, Ge(0)] = 1024
    checkpoint_every: Annotated[int, Gt(0)] = 500
    keep: Annotated[int, Gt(0)] = 2
    log_every: Annotated[int, Gt(0)] = 50
    score_every: Annotated[int, Gt(0)] | None = None
    score_split: str | None = None
    score_metrics: tuple[str, ...] = ()
    deterministic: bool = False
    alarms: Literal["warn", "stop", "off"] = "warn"
    tensorboard: bool = False


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How a trained model is scored.

    Args:
        split: Split to score.
        batch_frames: Padded input frames of one batch at most.
        seed: Seed of the shuffles behind the chance values.
        missing: What becomes of a head or metric whose target, or manifest field, the data lack: "refuse" the
            recipe, or "skip" it and say so, for recipes that need no labels but score with them where there are.
    """

    split: str = "test"
    batch_frames: Annotated[int, Gt(0)] = 8000
    seed: Annotated[int, Ge(0)] = 0
    missing: Literal["refuse", "skip"] = "refuse"


@dataclass(frozen=True, kw_only=True)
class Export:
    """Which units are written into the run folder.

    Args:
        splits: Splits to export.
        formats: Names of exporters.
    """

    splits: tuple[str, ...] = ("test",)
    formats: tuple[str, ...] = ("jsonl",)


SECTIONS: dict[str, type] = {"latents": Latents, "train": Train, "evaluate": Evaluate, "export": Export}
