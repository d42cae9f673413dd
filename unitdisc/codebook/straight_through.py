"""Quantisation with the gradient of the latents and the two terms that join codewords and latents."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from unitdisc.codebook.lookup import flat_rows
from unitdisc.codebook.nearest import nearest
from unitdisc.codebook.sums import row_sums

Estimator = Literal["straight_through", "rotation"]


class Assignment(NamedTuple):
    """What `quantize` returns.

    Args:
        values: (N, D), the nearest codewords; their gradient goes to the latents alone.
        codes: (N,) or (N, Q) int64.
        codebook_loss: (), ``|sg[e(x)] - q(x)|^2``; its gradient goes to the codebook only.
        commitment_loss: (), ``|e(x) - sg[q(x)]|^2``; its gradient goes to the latents only.
    """

    values: Tensor
    codes: Tensor
    codebook_loss: Tensor
    commitment_loss: Tensor


def quantize(
    latents: Tensor,
    codebook: Tensor,
    codes: Tensor | None = None,
    *,
    estimator: Estimator = "straight_through",
) -> Assignment:
    """Quantise latents (N, D) with a codebook (K, D), or Q codebooks (Q, K, d) (paper A, eq. 2).

    Both losses are means over latents and over their D elements, as in the authors' code, and 0 where N is 0;
    eq. 2 sums over the elements: multiply the loss weights by D for the paper's text.

    Args:
        latents: (N, D), finite.
        codebook: (K, D) or (Q, K, d).
        codes: (N,) or (N, Q) where they are known; the nearest otherwise.
        estimator: Gradient of the values with respect to the latents. "straight_through": the identity
            (Bengio et al. 2013). "rotation": each block is scaled and rotated onto its codeword by a map
            taken as constant, and the gradient passes its transpose (Fifty et al. 2025, eq. 4); a latent of
            length 0 gets the identity.
    """
    if codes is None:
        codes = nearest(latents, codebook)
    apply: Any = _Quantize.apply
    latents = latents.to(codebook.dtype)
    values, codebook_loss, commitment_loss = apply(latents, codebook, codes, estimator)
    return Assignment(values, codes, codebook_loss, commitment_loss)


class _Quantize(torch.autograd.Function):
    """One node for values and both losses; of size N x D it saves their difference, and a rotation the latents."""

    @staticmethod
    def forward(
        ctx: Any, latents: Tensor, codebook: Tensor, codes: Tensor, estimator: Estimator
    ) -> tuple[Tensor, Tensor, Tensor]:
        books = codebook.view(-1, *codebook.shape[-2:])  # (Q, K, d)
        rows = flat_rows(codes.view(len(codes), len(books)), books.shape[1])
        values = books.flatten(0, 1).index_select(0, rows).view_as(latents)
        error = values - latents
        flat = error.flatten()
        loss = torch.dot(flat, flat) / max(error.numel(), 1)
        needs_latents, needs_codebook = ctx.needs_input_grad[:2]
        turns = estimator == "rotation" and needs_latents
        ctx.save_for_backward(
            error if needs_latents or needs_codebook else None,
            rows if needs_codebook else None,
            latents if turns else None,
        )
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
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        error, rows, latents = ctx.saved_tensors
        grad_latents, grad_codebook = grad_values, None
        slope = 2 / max(error.numel(), 1)  # of the mean square
        if latents is not None and grad_values is not None:
            size = ctx.codebook_shape[-1]
            grad_latents = _turned_back(grad_values, latents, latents + error, size)
        if grad_commitment_loss is not None and ctx.needs_input_grad[0]:
            weight = grad_commitment_loss * -slope
            grad_latents = (
                error * weight if grad_latents is None else torch.addcmul(grad_latents, error, weight)
            )
        if grad_codebook_loss is not None and rows is not None:
            blocks = error.view(len(rows), ctx.codebook_shape[-1])
            sums = row_sums(blocks, rows, ctx.codebook_shape[:-1].numel())[0]
            grad_codebook = sums.mul_(grad_codebook_loss * slope).view(ctx.codebook_shape)
        return grad_latents, grad_codebook, None, None


def _turned_back(gradient: Tensor, latents: Tensor, values: Tensor, size: int) -> Tensor:
    """Return the gradient (N, D) of latents that are scaled and rotated onto values in blocks of ``size``."""
    blocks = gradient.reshape(-1, size)
    starts, ends = latents.reshape(-1, size), values.reshape(-1, size)
    tiny = torch.finfo(starts.dtype).tiny
    lengths = starts.norm(dim=-1, keepdim=True)
    scale = ends.norm(dim=-1, keepdim=True) / lengths.clamp(min=tiny)
    start = torch.nn.functional.normalize(starts, dim=-1, eps=tiny)
    end = torch.nn.functional.normalize(ends, dim=-1, eps=tiny)
    middle = torch.nn.functional.normalize(start + end, dim=-1, eps=tiny)
    along_middle = (blocks * middle).sum(-1, keepdim=True)
    along_end = (blocks * end).sum(-1, keepdim=True)
    turned = scale * (blocks - 2 * along_middle * middle + 2 * along_end * start)
    return torch.where(lengths > 0, turned, blocks).view_as(gradient)
