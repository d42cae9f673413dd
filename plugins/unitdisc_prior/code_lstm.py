"""Prior over sequences of codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from unitdisc_prior.autoregressive import Autoregressive

if TYPE_CHECKING:
    from collections.abc import Callable


class CodeLSTM(Autoregressive):
    """Predicts each code of a line or an utterance from all codes before it (recurrent, left to right).

    A learned prior p(z): the metric nelbo takes it with ``prior: learned``. It trains beside the model and sends
    no gradient back; ``train.clip``, which looks at all gradients together, is all that they share. The codes
    move as long as the codebook learns; a learning rate that falls to zero lets the prior catch up.

    The log has "bits_per_latent", all codebooks together.

    Args:
        num_codes: Size K of each codebook.
        num_codebooks: Number Q of codebooks; the codes of one latent are predicted in their order.
        stride: Input frames per latent.
        hidden: Size of the LSTM and of each code's vector.
        layers: LSTMs above one another.
        dropout: Share of the numbers of each vector that training leaves out; few data need it.
        lr_scale: Its learning rate over the recipe's; codes that move are followed faster with a higher one.
    """

    def __init__(
        self,
        *,
        num_codes: int,
        num_codebooks: int,
        stride: int,
        hidden: Annotated[int, Gt(0)] = 256,
        layers: Annotated[int, Gt(0)] = 1,
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
        self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True)

    def contexts(self, latents: Tensor) -> Tensor:
        """Return (B, S, H), the LSTM's output behind the latents before; it begins with a vector of zeros."""
        return self.lstm(F.pad(latents, (0, 0, 1, 0)))[0][:, :-1]  # type: ignore[no-any-return]

    def scan(self, choose: Callable[[Tensor], Tensor], size: tuple[int, int]) -> None:
        """Give ``choose`` the LSTM's output (B, H) behind one latent after the other."""
        last = self.vectors.new_zeros(size[0], self.lstm.hidden_size)
        state = None
        for _ in range(size[1]):
            context, state = self.lstm(last[:, None], state)
            last = choose(context[:, 0])
