"""What a latent Transformer needs of recipe and data, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.coded import Coded
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.data import FeatureSpec
    from unitdisc.parts import Batch


def coded(latents: Padded, batch: Batch, source: str, stride: int) -> Coded:
    """Return the latents with their codes. Raises `RecipeError` where translations would need more of them."""
    assert isinstance(latents, Coded)  # noqa: S101  (the engine hands decoders no others)
    places = -(-2 * sentence(batch, source).lengths // stride)
    if bool((latents.lengths < places).any()):
        raise RecipeError(
            "decoder: latent_transformer writes translations of 2 |x| tokens, and targets are shorter; set data.pad "
            f"to {stride}, so that they are alike"
        )
    return latents


def sentence(batch: Batch, source: str) -> Padded:
    """Return the condition ``source`` of a batch."""
    found = batch.conditions[source]
    assert isinstance(found, Padded)  # noqa: S101  (data of tokens has sentences as conditions)
    return found


def check(
    features: FeatureSpec,
    conditions: Mapping[str, int],
    source: str,
    *,
    stride: int,
    num_codes: int,
    hidden: int,
    heads: int,
) -> None:
    """Raise `RecipeError` for what cannot be translated with."""
    if features.vocab_size is None or not conditions.get(source):
        known = ", ".join(sorted(conditions)) or "none"
        raise RecipeError(
            f"decoder: latent_transformer writes tokens given the sentence {source!r}; the data has "
            f"{features.unit_of_time}s and the conditions: {known}; take data of parallel text (use: parallel), or "
            "set decoder.source"
        )
    if num_codes == 0:
        raise RecipeError(
            "decoder: latent_transformer predicts codes, and the bottleneck has none; take one that quantises, such "
            "as ema"
        )
    if stride & (stride - 1):
        raise RecipeError(
            f"decoder: latent_transformer doubles latents, which cannot give the {stride} tokens of one; take an "
            "encoder whose stride is a power of two"
        )
    if hidden % heads:
        raise RecipeError(
            f"decoder.hidden: {hidden} numbers cannot be shared equally by {heads} heads; give a multiple"
        )
