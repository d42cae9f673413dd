"""Prior over grids of codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from unitdisc.errors import RecipeError
from unitdisc.layers.pixel_cnn import GatedPixelCNN
from unitdisc_prior.autoregressive import Autoregressive

if TYPE_CHECKING:
    from collections.abc import Callable


class CodePixelCNN(Autoregressive):
    """Predicts each code of a picture from all codes above and to its left (van den Oord et al. 2017, section 4.1).

    A gated PixelCNN over the grid of latents, row by row. A learned prior p(z): the metric nelbo takes it with
    ``prior: learned``, and what is drawn from it can be decoded into new pictures. It trains beside the model and
    sends no gradient back; ``train.clip``, which looks at all gradients together, is all that they share. In the
    paper it is trained when the model is done; here the codes move as long as the codebook learns, and a learning
    rate that falls to zero lets it catch up.

    The log has "bits_per_latent", all codebooks together.

    Args:
        num_codes: Size K of each codebook.
        num_codebooks: Number Q of codebooks; the codes of one latent are predicted in their order.
        stride: Pixels per latent.
        grid: Rows and columns of latents.
        hidden: Channels of the network and size of each code's vector.
        layers: Gated layers.
        kernel: Width of the convolutions, odd; the first layer's included.
        dropout: Share of the numbers of each vector that training leaves out; few data need it.
        lr_scale: Its learning rate over the recipe's; codes that move are followed faster with a higher one.
    """

    def __init__(
        self,
        *,
        num_codes: int,
        num_codebooks: int,
        stride: int,
        grid: tuple[int, int] | None,
        hidden: Annotated[int, Gt(0)] = 128,
        layers: Annotated[int, Gt(0)] = 8,
        kernel: Annotated[int, Ge(3)] = 3,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        lr_scale: Annotated[float, Gt(0)] = 1.0,
    ) -> None:
        super().__init__(
            num_codes=num_codes,
            num_codebooks=num_codebooks,
            stride=stride,
            hidden=hidden,
            dropout=dropout,
            lr_scale=lr_scale,
        )
        if grid is None:
            raise RecipeError(
                "code_pixel_cnn predicts grids of codes, and the latents are sequences; take code_lstm"
            )
        if kernel % 2 == 0:
            raise RecipeError(f"kernel: {kernel} has no middle; give an odd number")
        self.grid = grid
        self.stack = GatedPixelCNN(
            hidden, hidden, hidden=hidden, layers=layers, kernel=kernel, first_kernel=kernel, places=grid
        )

    def contexts(self, latents: Tensor) -> Tensor:
        """Return (B, S, H), what the network makes of the cells above and to the left."""
        missing = (
            self.grid[0] * self.grid[1] - latents.shape[1]
        )  # below 0 where more is padded than a grid has
        maps = F.pad(latents, (0, 0, 0, missing)).unflatten(1, self.grid)
        return F.pad(self.stack(maps).flatten(1, 2), (0, 0, 0, -missing))

    def scan(self, choose: Callable[[Tensor], Tensor], size: tuple[int, int]) -> None:
        """Give ``choose`` what the network makes of the cells so far, cell by cell; all of the grid."""
        self.stack.scan(lambda outputs, _row, _column: choose(outputs), (size[0], *self.grid))
