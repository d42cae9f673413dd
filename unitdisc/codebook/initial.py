"""Codebooks before the first step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from unitdisc.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor

Init = Literal["xavier_uniform", "uniform", "normal"]


def initial_codebook(init: Init, *, num_codebooks: int, num_codes: int, dim: int) -> Tensor:
    """Return (Q, K, D / Q) drawn from torch's generator.

    Args:
        init: "xavier_uniform": within sqrt(6 / (K + D / Q)) of 0, as the code of paper A. "uniform": within
            1 / K of 0, as van den Oord et al. 2017. "normal": standard normal.
        num_codebooks: Q, must divide D.
        num_codes: K.
        dim: D.

    Raises `RecipeError` naming the accepted Q when D cannot be divided.
    """
    if dim % num_codebooks:
        divisors = [str(q) for q in range(1, dim + 1) if dim % q == 0]
        raise RecipeError(
            f"num_codebooks is {num_codebooks}, which does not divide the latent size {dim}; accepted: "
            f"{', '.join(divisors)} (or change latents.dim)"
        )
    shape = (num_codebooks, num_codes, dim // num_codebooks)
    if init == "normal":
        return torch.randn(shape)
    bound = 1 / num_codes if init == "uniform" else math.sqrt(6 / (num_codes + shape[-1]))
    return torch.empty(shape).uniform_(-bound, bound)
