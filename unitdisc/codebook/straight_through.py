"""Quantisation with the straight-through gradient and the two terms that join codewords and latents."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from unitdisc.codebook.lookup import flat_rows
from unitdisc.codebook.nearest import nearest


class Assignment(NamedTuple):
    """What `quantize` returns.

    Args:
        values: (N, D), the nearest codewords; their gradient goes straight through to the latents.
        codes: (N,) or (N, Q) int64.
        codebook_loss: (), ``|sg[e(x)] - q(x)|^2``; its gradient goes to the codebook only.
        commitment_loss: (), ``|e(x) - sg[q(x)]|^2``; its gradient goes to the latents only.
    """

    values: Tensor
    codes: Tensor
    codebook_loss: Tensor
    commitment_loss: Tensor


def quantize(latents: Tensor, codebook: Tensor) -> Assignment:
    """Quantise latents (N, D) with a codebook (K, D), or Q codebooks (Q, K, d) (paper A, eq. 2).

    Both losses are means over latents and over their D elements, as in the authors' code, and 0 where N is 0;
    eq. 2 sums over the elements: multiply the loss weights by D for the paper's text.
    """
    codes = nearest(latents, codebook)
    apply: Any = _StraightThrough.apply
    values, codebook_loss, commitment_loss = apply(latents.to(codebook.dtype), codebook, codes)
    return Assignment(values, codes, codebook_loss, commitment_loss)


class _StraightThrough(torch.autograd.Function):
    """One node for values and both losses; of size N x D it saves their difference only."""

    @staticmethod
    def forward(ctx: Any, latents: Tensor, codebook: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        books = codebook.view(-1, *codebook.shape[-2:])  # (Q, K, d)
        rows = flat_rows(codes.view(len(codes), len(books)), books.shape[1])
        values = books.flatten(0, 1).index_select(0, rows).view_as(latents)
        error = values - latents
        loss = error.square().sum() / max(error.numel(), 1)
        needs_codebook = ctx.needs_input_grad[1]
        ctx.save_for_backward(error if any(ctx.needs_input_grad) else None, rows if needs_codebook else None)
        ctx.codebook_shape = codebook.shape
        ctx.set_materialize_grads(False)
        return values, loss, loss.clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        grad_values: Tensor | None,
        grad_codebook_loss: Tensor | None,
        grad_commitment_loss: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None, None]:
        error, rows = ctx.saved_tensors
        grad_latents, grad_codebook = grad_values, None
        slope = 2 / max(error.numel(), 1)  # of the mean square
        if grad_commitment_loss is not None and ctx.needs_input_grad[0]:
            pull = error * (grad_commitment_loss * -slope)
            grad_latents = pull if grad_values is None else pull.add_(grad_values)
        if grad_codebook_loss is not None and rows is not None:
            grad_codebook = error.new_zeros(ctx.codebook_shape)
            flat = grad_codebook.view(-1, ctx.codebook_shape[-1])
            flat.index_add_(0, rows, error.view(-1, flat.shape[1])).mul_(grad_codebook_loss * slope)
        return grad_latents, grad_codebook, None
