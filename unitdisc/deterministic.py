"""The same bytes each time, on CUDA, too, where torch does not promise them by itself."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import torch

from unitdisc.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_REFUSED = "does not have a deterministic implementation"


@contextlib.contextmanager
def deterministic(*, is_wanted: bool) -> Iterator[None]:
    """Allow only deterministic operations while entered, if wanted; afterwards torch is set as before.

    On the CPU nothing changes but the speed: torch fills new memory first. On CUDA sums over indices, gathers'
    gradients and convolutions take other, slower ways. Raises `RecipeError` for an operation that has none,
    such as the gradient of the CTC loss.
    """
    if not is_wanted:
        yield
        return
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        os.environ.get(_WORKSPACE),
    )
    _set(enabled=True, warn_only=False, cudnn=True, benchmark=False, workspace=before[-1] or ":4096:8")
    try:
        yield
    except RuntimeError as error:
        if _REFUSED not in str(error):
            raise
        operation = str(error).split(_REFUSED, maxsplit=1)[0].strip()
        raise RecipeError(
            f"train.deterministic: {operation} has no deterministic form on this device; set train.deterministic "
            "to false, or leave out the part that needs it"
        ) from error
    finally:
        enabled, warn_only, cudnn, benchmark, workspace = before
        _set(enabled=enabled, warn_only=warn_only, cudnn=cudnn, benchmark=benchmark, workspace=workspace)


def _set(*, enabled: bool, warn_only: bool, cudnn: bool, benchmark: bool, workspace: str | None) -> None:
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.backends.cudnn.deterministic = cudnn
    torch.backends.cudnn.benchmark = benchmark
    if workspace is None:
        os.environ.pop(_WORKSPACE, None)
    else:
        os.environ[_WORKSPACE] = workspace  # cuBLAS reads it when it takes its first workspace
