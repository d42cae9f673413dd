"""What the rules share that keep a table of codewords and give each latent the nearest."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional

from unitdisc.codebook.files import matching_codebook
from unitdisc.codebook.initial import Init, initial_codebook
from unitdisc.codebook.lookup import lookup
from unitdisc.codebook.nearest import search_workspace
from unitdisc.codebook.straight_through import Assignment, Estimator, quantize
from unitdisc.codebook.usage import batch_stats
from unitdisc.codebook.valid import put_back, valid_latents
from unitdisc.parts import Bottleneck, Padded, Quantized

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

Distance = Literal["euclidean", "cosine"]
Counts = Literal["reset", "keep"]


class CodebookRule(Bottleneck):
    """Base of a rule with codewords (Q, K, d): search, gradient to the encoder, loss, numbers for the log.

    A rule that derives from it registers ``codebook``, says what its ``loss`` is, moves the codewords, and
    lets others put codewords into its place with ``replace``.

    Args:
        dim: Size D of a latent.
        num_codes: Size K of each codebook.
        num_codebooks: Q equal blocks of the latent are quantised independently (paper A, Table III).
        init: First codebook, see `initial_codebook`.
        init_from: Where the first codebook is read instead, see `read_codebook`.
        init_scale: What the first codebook is multiplied with.
        distance: "cosine" gives every block of latents and every codeword length 1 (Yu et al. 2022); values
            have it, too.
        estimator: Gradient of the latents, see `quantize`.

    Attributes:
        codebook: (Q, K, d) float32, a parameter or a buffer.
    """

    codebook: Tensor

    def __init__(
        self,
        dim: int,
        *,
        num_codes: int,
        num_codebooks: int = 1,
        init: Init = "xavier_uniform",
        init_from: Path | None = None,
        init_scale: float = 1.0,
        distance: Distance = "euclidean",
        estimator: Estimator = "straight_through",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.num_codes = num_codes
        self.num_codebooks = num_codebooks
        self.init = init
        self.init_from = init_from
        self.init_scale = init_scale
        self.distance = distance
        self.estimator: Estimator = estimator

    def first_codebook(self) -> Tensor:
        """Return codewords (Q, K, d) for the first step, drawn or read.

        Raises `RecipeError` where Q does not divide D, or a file holds others.
        """
        shape = {"num_codebooks": self.num_codebooks, "num_codes": self.num_codes, "dim": self.dim}
        if self.init_from is None:
            first = initial_codebook(self.init, **shape)
        else:
            first = matching_codebook(self.init_from, **shape)
        return first.mul_(self.init_scale)

    def redraw(self) -> None:
        """Draw the first codebook again, so that a copy of the rule begins elsewhere."""
        every = torch.ones(self.codebook.shape[:2], dtype=torch.bool, device=self.codebook.device)
        self.replace(self.first_codebook().to(self.codebook), every)

    def forward(self, latents: Padded) -> Quantized:
        """Quantise the valid latents; in training, `observe` them."""
        return self.assign(latents)

    def assign(self, latents: Padded, codes: Tensor | None = None) -> Quantized:
        """Quantise as ``forward`` does, with ``codes`` (N, Q) of the N valid latents where others chose them."""
        vectors, places = valid_latents(latents)
        vectors, table = self.comparable(vectors), self.table()
        found = quantize(vectors, table, codes, estimator=self.estimator)
        if self.training:
            self.observe(vectors.detach(), found.codes)
        return Quantized(
            put_back(found.values, places, latents, fill=0),
            put_back(found.codes, places, latents, fill=-1),
            self.loss(found),
            batch_stats(vectors, found.codes, table, error=found.commitment_loss),
        )

    def passed(self, latents: Padded) -> Quantized:
        """Return the latents unquantised, as compared, with a loss of 0; the nearest codes are for the log alone."""
        vectors, places = valid_latents(latents)
        vectors, table = self.comparable(vectors.float()), self.table().detach()
        found = quantize(vectors.detach(), table)
        return Quantized(
            put_back(vectors, places, latents, fill=0),
            put_back(found.codes, places, latents, fill=-1),
            vectors.new_zeros(()),
            batch_stats(vectors, found.codes, table, error=found.commitment_loss),
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the codewords (..., D) of ``codes`` (..., Q)."""
        return lookup(codes, self.table())

    def comparable(self, vectors: Tensor) -> Tensor:
        """Return latents (N, D) as they are compared with `table`."""
        if self.distance == "euclidean":
            return vectors
        blocks = vectors.view(len(vectors), self.num_codebooks, self.dim // self.num_codebooks)
        return functional.normalize(blocks, dim=-1).flatten(1)

    def table(self) -> Tensor:
        """Return the vectors (Q, K, d) that the codes stand for."""
        return self.codebook if self.distance == "euclidean" else functional.normalize(self.codebook, dim=-1)

    @abstractmethod
    def loss(self, found: Assignment) -> Tensor:
        """Return the loss () of one batch, a mean over its latents."""

    def observe(self, vectors: Tensor, codes: Tensor) -> None:
        """Gather what ``after_step`` needs of latents (N, D), as compared, and their codes (N, Q)."""

    @abstractmethod
    def replace(self, codebook: Tensor, rows: Tensor, *, counts: Counts = "reset") -> None:
        """Take over codewords and forget what the step under way has gathered for them, on every rank alike.

        Args:
            codebook: (Q, K, d).
            rows: (Q, K) bool, which of them.
            counts: Where the rule counts its codes: "reset" to their first value, or "keep" them.
        """

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of the search."""
        books, num_codes, size = self.codebook.shape
        device = self.codebook.device.type
        return search_workspace(num_latents, num_codes, size, num_codebooks=books, device_type=device)
