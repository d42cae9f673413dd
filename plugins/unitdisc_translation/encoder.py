"""The encoder that tells nothing: for decoders that explain the inputs without latents."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt

from unitdisc.parts import Encoder, Padded


class Nothing(Encoder):
    """Gives zeros as latents, whatever the inputs: nothing in it learns and nothing passes.

    Args:
        stride: Input frames per latent.
    """

    dim = 1

    def __init__(self, *, stride: Annotated[int, Gt(0)] = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, inputs: Padded) -> Padded:
        """Return latents (B, S, 1) of zeros."""
        rows, frames = inputs.values.shape[:2]
        lengths = (inputs.lengths + self.stride - 1) // self.stride
        zeros = lengths.new_zeros(rows, -(-frames // self.stride), 1)
        return Padded(zeros.float(), lengths)
