"""Full precision of float32 products, whatever the process has allowed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def full_products(device: torch.device) -> Iterator[None]:
    """Compute float32 products in float32: no TF32 or bfloat16, whatever the process has allowed."""
    backends: Any = torch.backends
    backend = backends.cuda.matmul if device.type == "cuda" else backends.mkldnn.matmul
    allowed = backend.fp32_precision
    if allowed in {"none", "ieee"}:
        yield
        return
    backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        backend.fp32_precision = allowed
