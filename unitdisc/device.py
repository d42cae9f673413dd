"""Which device and how many threads a run uses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from unitdisc.errors import RecipeError

if TYPE_CHECKING:
    from unitdisc.settings import Train


def choose(train: Train) -> torch.device:
    """Return the recipe's device; under torchrun each process takes its own CUDA device. Sets the threads."""
    cores = len(os.sched_getaffinity(0))
    # With all of many cores OpenMP's threads wait for whatever else runs there; two cores are worth taking whole.
    default = min(cores, max(2, cores - 1))
    torch.set_num_threads(train.threads or int(os.environ.get("OMP_NUM_THREADS", "0")) or default)
    if train.device == "cuda" and not torch.cuda.is_available():
        raise RecipeError("train.device: cuda asked for, but torch sees no CUDA device; use auto or cpu")
    if train.device == "cpu" or not torch.cuda.is_available():
        if train.amp == "fp16":
            raise RecipeError("train.amp: fp16 works on CUDA only; use bf16 or none")
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if device.index >= torch.cuda.device_count():
        raise RecipeError(
            f"torchrun started process {device.index + 1} of this machine, but torch sees "
            f"{torch.cuda.device_count()} CUDA device(s); start one process per device, or use train.device=cpu"
        )
    torch.cuda.set_device(device)
    return device
