"""The few collectives that parts and the training loop use. In a single process each is the identity.

Ranks agree on an action by calling the same collective in the same order; nothing here waits for a subset.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from unitdisc.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BUCKET = 25 * 2**20 // 4
"""float32 numbers sent at once when gradients are summed."""


def rank() -> int:
    """Return this process's number, 0 in a single process."""
    return dist.get_rank() if _active() else 0


def world_size() -> int:
    """Return the number of processes, 1 without torchrun."""
    return dist.get_world_size() if _active() else 1


def start(device: torch.device) -> None:
    """Join the processes that torchrun started; nothing without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not _active():
        if device.type == "cuda":
            dist.init_process_group("nccl", device_id=device)
        else:
            dist.init_process_group("gloo")


def stop() -> None:
    """Leave the process group."""
    if _active():
        dist.destroy_process_group()


def all_sum_(tensor: Tensor) -> Tensor:
    """Sum ``tensor`` over all ranks in place and return it."""
    if world_size() > 1:
        with _together():
            dist.all_reduce(tensor)
    return tensor


def broadcast_(tensors: Iterable[Tensor]) -> None:
    """Copy rank 0's tensors to every rank in place."""
    if world_size() > 1:
        for tensor in tensors:
            with _together():
                dist.broadcast(tensor.detach(), 0)


def barrier() -> None:
    """Wait for all ranks."""
    if world_size() > 1:
        with _together():
            dist.barrier()


def in_turn(do: Callable[[], object]) -> None:
    """Do something on rank 0 first, then on the others, so that one process makes what is missing."""
    for turn in range(2):
        if (rank() == 0) == (turn == 0):
            do()
        barrier()


def total(number: float, device: torch.device) -> float:
    """Return the sum of ``number`` over ranks; alone, without waiting for the device."""
    if not _active():
        return float(number)
    return float(all_sum_(torch.tensor(number, dtype=torch.float64, device=device)))


def sum_gradients_(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Sum the gradients over all ranks in place, in buckets; a missing gradient counts as zeros.

    Stands where other toolkits wrap the model in DistributedDataParallel: that averages rank means (wrong when
    ranks hold unequal numbers of frames) and copies buffers before each forward (which corrupts moving averages
    under gradient accumulation). Called once per optimiser step, after the last micro-batch.
    """
    bucket: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if world_size() == 1:
            continue
        bucket.append(parameter.grad)
        if sum(gradient.numel() for gradient in bucket) >= _BUCKET:
            _sum_bucket_(bucket)
            bucket = []
    if bucket:
        _sum_bucket_(bucket)


def _sum_bucket_(bucket: list[Tensor]) -> None:
    flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
    with _together():
        dist.all_reduce(flat)
    for gradient, total in zip(bucket, flat.split([gradient.numel() for gradient in bucket]), strict=True):
        gradient.copy_(total.view_as(gradient))


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """Say in one line that others are gone: the message that matters is that of the process that ended first."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"process {rank()}: another process ended or cannot be reached ({reason}); its message says why"
        ) from error


def _active() -> bool:
    return dist.is_available() and dist.is_initialized()
