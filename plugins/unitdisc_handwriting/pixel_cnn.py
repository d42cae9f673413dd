"""Autoregressive likelihood of line images: a PixelCNN told of the latents of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from unitdisc.errors import RecipeError
from unitdisc.layers.pixel_cnn import GatedPixelCNN
from unitdisc.likelihood import Likelihood
from unitdisc.parts import Batch, Decoder, Padded
from unitdisc_handwriting.grey import bits, check_lines, grey_levels, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.data import FeatureSpec

_LEAK = 0.1


class PixelCNN(Likelihood, Decoder):
    """Explains each pixel by a distribution over grey levels, given the latents and all pixels before it.

    The conditional PixelCNN of paper A's handwriting systems (van den Oord et al. 2016) in the order of their
    released code: down a column, then the next column, so that a line's pixels do not depend on its length.
    A convolution over the latents and a transposed one, which turns each into ``stride`` columns, make the
    vectors that are added inside the gates of their columns. Lines that are cut into chunks begin anew in
    each: its first columns are explained as those of a line.

    Args:
        dim: Size D of a latent.
        features: What one input frame is.
        stride: Columns per latent.
        conditions: Number of values of each condition in the data.
        levels: Grey levels that are told apart; 4 in the released recipes of paper A. Bits per pixel of different
            ``levels`` cannot be compared, so both numbers stand in the log.
        hidden: Channels of the PixelCNN.
        layers: Gated layers of the PixelCNN.
        kernel: Width of its convolutions.
        first_kernel: Width of the first one.
        neighbours: Latents on either side of its own that a column is told of; 0 for none.
        direction: Which column comes first. With "right_to_left" the same model reads lines from their end.
        look_ahead: Columns just before a pixel that it does not see: it is predicted from what stands before the
            pixel ``look_ahead`` columns back, so that the latents have to say more. The loss is still an exact
            code length, of a model that knows less.
        look_ahead_fraction: Share of training batches in which the number of these columns is drawn from 1 to
            ``look_ahead``; in the others, in evaluation and when drawing it is 0. Null for ``look_ahead`` always.
        condition: Condition that the decoder is told, as a vector added to the latents, so that units need
            not hold it; such as "document", null for none. A value that training did not know is given the
            mean of the trained vectors.
    """

    shows = "likeliest"

    def __init__(
        self,
        dim: int,
        features: FeatureSpec,
        *,
        stride: int,
        conditions: Mapping[str, int],
        levels: Annotated[int, Ge(2), Le(256)] = 4,
        hidden: Annotated[int, Gt(0)] = 64,
        layers: Annotated[int, Gt(0)] = 7,
        kernel: Literal[3, 5, 7] = 3,
        first_kernel: Literal[3, 5, 7] = 7,
        neighbours: Annotated[int, Ge(0)] = 1,
        direction: Literal["left_to_right", "right_to_left"] = "left_to_right",
        look_ahead: Annotated[int, Ge(0)] = 0,
        look_ahead_fraction: Annotated[float, Gt(0), Le(1)] | None = None,
        condition: str | None = None,
    ) -> None:
        super().__init__()
        check_lines("pixel_cnn", features, conditions, condition)
        if look_ahead_fraction is not None and not look_ahead:
            raise RecipeError(
                f"decoder.look_ahead_fraction: {look_ahead_fraction} of the batches look ahead by look_ahead = 0 "
                "columns; set decoder.look_ahead to 1 or more, or decoder.look_ahead_fraction to null"
            )
        self.levels = levels
        self.height = features.shape[0]
        self.direction = direction
        self.look_ahead = look_ahead
        self.look_ahead_fraction = look_ahead_fraction
        self.condition = condition
        # Zeros: all values start as one, so their mean is never far from what the network has seen.
        self.embeddings = nn.Parameter(torch.zeros(conditions[condition], dim)) if condition else None
        self.context = nn.Conv1d(dim, hidden, 2 * neighbours + 1, padding=neighbours)
        self.spread = nn.ConvTranspose1d(hidden, hidden, stride, stride)
        self.pixels = GatedPixelCNN(
            1,
            levels,
            hidden=hidden,
            layers=layers,
            kernel=kernel,
            first_kernel=first_kernel,
            condition=hidden,
            places=(1, self.height),
        )

    def nats(self, latents: Padded, batch: Batch) -> Tensor:
        """Return (B,) -ln p of the levels of each line's valid columns."""
        inputs = batch.inputs
        levels = self._turned(grey_levels(inputs, self.levels), inputs.lengths)
        columns = self._columns(latents, inputs.lengths, batch.conditions)[:, : levels.shape[1]]
        # Padding comes last in either direction, so no valid pixel sees it.
        logits = self.pixels(self._shades(levels)[..., None], columns, skip=self._skip())
        nats = F.cross_entropy(logits.float().flatten(0, 2), levels.flatten(), reduction="none")
        return (nats.view(levels.shape).sum(2) * inputs.mask).sum(1)

    def numbers(self, loss: Tensor) -> dict[str, Tensor]:
        """Return "bpd", bits per pixel, and the levels, without which it means nothing."""
        return bits(loss, self.height, self.levels)

    def reconstruct(
        self, latents: Padded, lengths: Tensor, conditions: Mapping[str, Tensor] | None = None
    ) -> list[Tensor]:
        """Return B images (T_b, height) in [0, 1]: at each pixel the most likely level given those before it.

        There is no image to expect without drawing one, so this is ``sample`` at temperature 0.
        """
        return self.sample(latents, lengths, conditions, temperature=0.0)

    @torch.no_grad()
    def sample(
        self,
        latents: Padded,
        lengths: Tensor,
        conditions: Mapping[str, Tensor] | None = None,
        *,
        temperature: float = 1.0,
    ) -> list[Tensor]:
        """Return B images (T_b, height) in [0, 1] drawn with torch's generator, a level counting as its middle.

        ``lengths`` (B,) are the numbers of columns T_b; without ``conditions`` their values count as unknown.
        Logits are divided by ``temperature``; with 0 the most likely level is taken.
        """
        columns = self._columns(latents, lengths, conditions or {})
        size = (len(lengths), max(lengths.tolist(), default=0), self.height)
        levels = torch.zeros(size, dtype=torch.int64, device=columns.device)

        def choose(logits: Tensor, column: int, pixel: int) -> Tensor:
            level = levels[:, column, pixel] = _draw(logits.float(), temperature)
            return self._shades(level)[:, None]

        self.pixels.scan(choose, size, columns[:, : size[1]], skip=self._skip())
        middles = (self._turned(levels, lengths) + 0.5) / self.levels
        return [image[:length] for image, length in zip(middles, lengths.tolist(), strict=True)]

    def _columns(self, latents: Padded, lengths: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        """Return (B, S * stride, 1, hidden), what each column is told, in the order of the columns."""
        value = conditions.get(self.condition) if self.condition else None
        x = told(latents.values, self.embeddings, value)
        x = x.masked_fill(~latents.mask[:, :, None], 0).mT  # (B, D, S)
        x = self.spread(F.leaky_relu(self.context(x), _LEAK)).mT
        return self._turned(x, lengths)[:, :, None]

    def _turned(self, columns: Tensor, lengths: Tensor) -> Tensor:
        """Return columns (B, T, ...) in their order, or back; each line turns around within its length."""
        if self.direction == "left_to_right":
            return columns
        position = torch.arange(columns.shape[1], device=lengths.device)
        mirrored = lengths[:, None] - 1 - position
        source = torch.where(mirrored < 0, position, mirrored)
        return columns.gather(1, source[:, :, None].expand_as(columns))

    def _shades(self, levels: Tensor) -> Tensor:
        """Return levels as numbers from -1 to 1, from which it learns faster than from 0 to 1."""
        return 2 * levels / (self.levels - 1) - 1

    def _skip(self) -> int:
        """Return how many columns just before a pixel it does not see this time."""
        if self.look_ahead_fraction is None:
            return self.look_ahead
        if self.training and float(torch.rand(())) < self.look_ahead_fraction:
            return int(torch.randint(1, self.look_ahead + 1, ()))
        return 0


def _draw(logits: Tensor, temperature: float) -> Tensor:
    """Return (B,) int64 drawn from logits (B, levels)."""
    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial((logits / temperature).softmax(-1), 1)[:, 0]
