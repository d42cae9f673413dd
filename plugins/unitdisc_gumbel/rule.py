"""The rule that draws codes by Gumbel noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unitdisc.codebook import (
    Init,
    batch_stats,
    code_stats,
    flat_rows,
    initial_codebook,
    lookup,
    nearest,
    put_back,
    valid_latents,
)
from unitdisc.layers.block_linear import BlockLinear
from unitdisc.parts import Bottleneck, Padded, Quantized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = {"cpu": 2**21, "cuda": 2**24}  # numbers in the logits of one chunk
_FEWEST_ROWS = 64  # of a chunk, lest the codebook's gradient, once per chunk, cost more than the rest
_COPIES = 10  # of a chunk's logits at once, in backward


class Gumbel(Bottleneck):
    """Codes drawn by Gumbel noise, relaxed to a softmax (Jang et al. 2017, eq. 1-2; paper B, section 5.1.1).

    With logits l of a block and noise g, one number per code, the code is ``argmax(l + g)``, a sample of
    softmax(l); the value is its codeword, with the gradient of ``softmax((l + g) / temperature) @ codebook``
    for the logits and its own for the codeword (straight-through), or that mixture itself. Evaluation takes
    the code with the highest logit. The loss is ``diversity * (1 - perplexity of mean p / K) + kl * KL(p ||
    uniform)``, p = softmax(l): a mean and a sum over codebooks.

    Differs from wav2vec 2.0 (Baevski et al. 2020): logits come from a codebook's own block. The N x K numbers
    exist for one chunk of latents at a time: backward computes each chunk anew, with the same noise.

    Args:
        dim: Size D of a latent.
        num_codes: Size K of each codebook.
        num_codebooks: Q equal blocks of the latent are quantised independently.
        hard: Values are codewords in training (straight-through, section 2.2 of Jang et al.), or mixtures.
        logits: "linear": a linear map of the block, as in wav2vec 2.0. "distance": ``-|x - e|^2``.
        temperature: At the start of training. The defaults, 1.2 to 0.2, are those of paper B's code, which
            falls linearly over 150,000 steps; wav2vec 2.0 goes from 2 to 0.5, DistSup from 1 by 0.92 an epoch.
        final_temperature: At the end of annealing, and from there on.
        decay: "exponential": the same factor every step. "linear": the same difference.
        anneal_until: Progress of training, 0 to 1, at which annealing ends; 0 for the final temperature throughout.
        diversity: Weight of what keeps codes in use, from the mean p of a batch; 0.1 in wav2vec 2.0. It is
            eq. 4 in the form of the authors' code, whose text has minus the entropy over K instead.
        kl: Weight of the divergence of each latent's p from the uniform prior, in nats, the term of a VAE.
        init: First codebook, see the rule "gradient".
    """

    def __init__(
        self,
        dim: int,
        *,
        num_codes: Annotated[int, Gt(1)],
        num_codebooks: Annotated[int, Gt(0)] = 1,
        hard: bool = True,
        logits: Literal["linear", "distance"] = "linear",
        temperature: Annotated[float, Gt(0)] = 1.2,
        final_temperature: Annotated[float, Gt(0)] = 0.2,
        decay: Literal["exponential", "linear"] = "exponential",
        anneal_until: Annotated[float, Ge(0), Le(1)] = 1.0,
        diversity: Annotated[float, Ge(0)] = 0.0,
        kl: Annotated[float, Ge(0)] = 0.0,
        init: Init = "xavier_uniform",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.num_codes = num_codes
        self.num_codebooks = num_codebooks
        self.hard = hard
        self.temperature = temperature
        self.final_temperature = final_temperature
        self.decay = decay
        self.anneal_until = anneal_until
        self.diversity = diversity
        self.kl = kl
        self.codebook = nn.Parameter(
            initial_codebook(init, num_codebooks=num_codebooks, num_codes=num_codes, dim=dim)
        )
        size = dim // num_codebooks
        self.into = BlockLinear(num_codebooks, size, num_codes) if logits == "linear" else None
        self.current = self.annealed(0.0)

    def annealed(self, progress: float) -> float:
        """Return the temperature at ``progress`` in [0, 1]."""
        done = min(1.0, progress / self.anneal_until) if self.anneal_until else 1.0
        if self.decay == "linear":
            return self.temperature + (self.final_temperature - self.temperature) * done
        return self.temperature * math.pow(self.final_temperature / self.temperature, done)

    def before_step(self, progress: float) -> None:
        """Set the temperature, a function of progress alone."""
        self.current = self.annealed(progress)

    def forward(self, latents: Padded) -> Quantized:
        """Draw codes of the valid latents in training; take the likeliest in evaluation."""
        vectors, places = valid_latents(latents)
        vectors = vectors.float()
        with torch.autocast(vectors.device.type, enabled=False):
            if self.training:
                drawn = self._draw_all(vectors)
                values, codes, loss = drawn.values, drawn.codes, self._loss(drawn, len(vectors))
            else:
                codes = self._likeliest(vectors)
                values, loss = self._codewords(codes), vectors.new_zeros(())
        return Quantized(
            put_back(values, places, latents, fill=0),
            put_back(codes, places, latents, fill=-1),
            loss,
            {**self._stats(vectors, codes), "temperature": loss.new_full((), self.current)},
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the codewords (..., D) of ``codes`` (..., Q)."""
        return lookup(codes, self.codebook)

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of one chunk and of its gradients for the parameters."""
        rows = min(num_latents, self._rows(self.codebook.device.type))
        gradients = 4 * 2 * sum(parameter.numel() for parameter in self.parameters())
        return 4 * _COPIES * rows * self.num_codebooks * self.num_codes + gradients

    def _draw_all(self, vectors: Tensor) -> _Drawn:
        """Draw codes of latents (N, D) chunk by chunk."""
        apply: Any = _InChunks.apply
        rows = self._rows(vectors.device.type)
        return _Drawn(*apply(self._draw, rows, self.codebook.shape[:2], vectors, *self.parameters()))

    def _draw(self, vectors: Tensor, generator: torch.Generator) -> _Drawn:
        """Draw codes of one chunk of latents."""
        logits = self._logits(vectors)
        uniform = torch.rand(logits.shape, device=logits.device, generator=generator)
        noise = uniform.clamp_(min=torch.finfo(uniform.dtype).tiny).log_().neg_().log_().neg_()
        noisy = logits + noise
        codes = noisy.argmax(-1)
        weights = torch.softmax(noisy / self.current, -1)
        if self.hard:
            mixed = _mix(weights, self.codebook.detach())
            values = self._codewords(codes) + (mixed - mixed.detach())
        else:
            values = _mix(weights, self.codebook)
        if not (self.diversity or self.kl):
            return _Drawn(values, codes, logits.new_zeros(logits.shape[1:]), logits.new_zeros(()))
        surprise = torch.log_softmax(logits, -1)
        shares = surprise.exp()
        divergence = (shares * (surprise + math.log(self.num_codes))).sum()
        return _Drawn(values, codes, shares.sum(0), divergence)

    def _loss(self, drawn: _Drawn, count: int) -> Tensor:
        """Return the loss () of ``count`` latents."""
        if not count or not (self.diversity or self.kl):
            return drawn.usage.new_zeros(())
        mean = (drawn.usage / count).clamp(min=torch.finfo(drawn.usage.dtype).tiny)
        perplexity = torch.special.entr(mean).sum(-1).exp().mean()
        unused: Tensor = 1 - perplexity / self.num_codes
        return self.diversity * unused + self.kl * drawn.divergence / count

    @torch.no_grad()
    def _likeliest(self, vectors: Tensor) -> Tensor:
        """Return the codes (N, Q) with the highest logits."""
        if self.into is None:
            return nearest(vectors, self.codebook)
        chunks = vectors.split(self._rows(vectors.device.type))
        return torch.cat([self._logits(chunk).argmax(-1) for chunk in chunks])

    def _logits(self, vectors: Tensor) -> Tensor:
        """Return (N, Q, K), up to a constant for each block, which no softmax sees."""
        blocks = vectors.unflatten(1, (self.num_codebooks, -1))
        if self.into is not None:
            logits: Tensor = self.into(blocks)
            return logits
        # Around the mean codeword, as in `nearest`: far from the origin the expanded square loses its digits.
        mean = self.codebook.detach().mean(1)  # (Q, d)
        centred = self.codebook - mean.unsqueeze(1)
        products = torch.einsum("nqd,qkd->nqk", blocks - mean, centred)
        return 2 * products - centred.square().sum(-1)

    def _codewords(self, codes: Tensor) -> Tensor:
        """Return the codewords (N, D) of codes (N, Q)."""
        rows = flat_rows(codes, self.num_codes)
        return self.codebook.flatten(0, 1).index_select(0, rows).view(len(codes), self.dim)

    def _rows(self, device_type: str) -> int:
        chunk = _CHUNK.get(device_type, _CHUNK["cpu"])
        return max(_FEWEST_ROWS, chunk // (self.num_codebooks * self.num_codes))

    def _stats(self, vectors: Tensor, codes: Tensor) -> dict[str, Tensor]:
        """Return numbers for the log; lengths are comparable only where logits are distances."""
        if self.into is None:
            return batch_stats(vectors.detach(), codes, self.codebook)
        return code_stats(codes, self.num_codes)


class _Drawn(NamedTuple):
    """Values (N, D) and codes (N, Q) of latents; sums over them of p, (Q, K), and of its divergence, ()."""

    values: Tensor
    codes: Tensor
    usage: Tensor
    divergence: Tensor


def _mix(weights: Tensor, codebook: Tensor) -> Tensor:
    """Return (N, D), codewords (Q, K, d) weighted by (N, Q, K)."""
    mixed: Tensor = torch.einsum("nqk,qkd->nqd", weights, codebook)
    return mixed.flatten(1)


class _InChunks(torch.autograd.Function):
    """Draws for chunks of ``rows`` latents; backward draws each chunk again, with the same noise.

    Results are written into tensors of their full size: small ones that outlive a chunk would lie between its
    large ones, and keep the memory of every chunk from being used by the next.
    """

    @staticmethod
    def forward(
        ctx: Any,
        draw: Callable[[Tensor, torch.Generator], _Drawn],
        rows: int,
        shape: tuple[int, int],
        vectors: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.draw, ctx.rows, ctx.device = draw, rows, vectors.device
        ctx.seed = int(torch.randint(2**62, (), device="cpu"))
        ctx.save_for_backward(vectors, *parameters)
        values, codes = (
            torch.empty_like(vectors),
            vectors.new_empty((len(vectors), shape[0]), dtype=torch.int64),
        )
        usage, divergence = vectors.new_zeros(shape), vectors.new_zeros(())
        for part, generator in _parts(ctx, len(vectors)):
            drawn = draw(vectors[part], generator)
            values[part], codes[part] = drawn.values, drawn.codes
            usage += drawn.usage
            divergence += drawn.divergence
        ctx.mark_non_differentiable(codes)
        return values, codes, usage, divergence

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_values: Tensor, _: Tensor, grad_usage: Tensor, grad_divergence: Tensor
    ) -> tuple[Tensor | None, ...]:
        vectors, *parameters = ctx.saved_tensors
        grad_vectors, totals = torch.zeros_like(vectors), [torch.zeros_like(each) for each in parameters]
        for part, generator in _parts(ctx, len(vectors)):
            chunk = vectors[part].detach().requires_grad_()
            with torch.enable_grad():
                drawn = ctx.draw(chunk, generator)
            pairs = [
                (drawn.values, grad_values[part]),
                (drawn.usage, grad_usage),
                (drawn.divergence, grad_divergence),
            ]
            results, gradients = zip(*[pair for pair in pairs if pair[0].requires_grad], strict=True)
            grad_vectors[part], *others = torch.autograd.grad(results, [chunk, *parameters], gradients)
            torch._foreach_add_(totals, others)
        return None, None, None, grad_vectors, *totals


def _parts(ctx: Any, count: int) -> Iterator[tuple[slice, torch.Generator]]:
    """Yield the chunks of ``count`` latents, and the generator of their noise in the state for each."""
    generator = torch.Generator(ctx.device).manual_seed(ctx.seed)
    for start in range(0, count, ctx.rows):
        yield slice(start, start + ctx.rows), generator
