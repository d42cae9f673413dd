"""Models whose latency is compared, trained or of random weights, with the sentences that all of them translate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unitdisc.data import collate
from unitdisc.errors import DataError, RecipeError
from unitdisc.model import build
from unitdisc.parts import Padded
from unitdisc.translation import translator
from unitdisc.trial import asked_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.data import DataSource, Split
    from unitdisc.model import Model
    from unitdisc.recipe import Recipe
    from unitdisc.run import Run


@dataclass(frozen=True)
class Contender:
    """A model with the sentences that it translates.

    Args:
        name: Of the run's folder or the recipe.
        model: In evaluation mode, on the device.
        sources: (1, U) int64 each, on the device.
        max_length: Tokens of a translation at most; None lets the decoder decide.
        about: Where it is from: recipe, checkpoint, weights.
    """

    name: str
    model: Model
    sources: list[Padded]
    max_length: int | None
    about: dict[str, Any]


def trained(
    runs: Sequence[Run], device: torch.device, *, split: str | None, sentences: int, min_tokens: int
) -> list[Contender]:
    """Return runs with the same first ``sentences`` of a split that have sources of ``min_tokens`` tokens or more.

    Tokens, </s> among them, are those of the first run; split None takes the one that its recipe scores. Raises
    `DataError` where there is no such sentence, or where runs have others.
    """
    name = split or runs[0].recipe.evaluate.split
    examples = runs[0].source.split(name)
    chosen: list[int] = []
    for index in range(len(examples)):
        if len(chosen) == sentences:
            break
        if int(_source(runs[0].model, examples, index).lengths) >= min_tokens:
            chosen.append(index)
    if not chosen:
        raise DataError(
            f"{runs[0].folder.path}: split {name} has no source of {min_tokens:,} tokens or more; lower --min-tokens"
        )
    return [_of_run(run, device, name, chosen, runs[0]) for run in runs]


def untrained(
    recipes: Sequence[Recipe], device: torch.device, *, sentences: int, length: int
) -> list[Contender]:
    """Return models of random weights with the same random sources of ``length`` tokens, read without any data.

    All write ``length`` tokens, too: with random weights no sentence ends by itself. What predicts latents predicts one
    more than these tokens need, as a trained model does, whose last one says that nothing more comes; without an early
    stop, all that it plans for a source of that length (paper B's code: for twice its tokens).
    """
    return [_of_recipe(recipe, device, sentences, length) for recipe in recipes]


def _of_run(run: Run, device: torch.device, split: str, chosen: list[int], first: Run) -> Contender:
    examples, originals = run.source.split(split), first.source.split(split)
    for index in chosen:
        if index >= len(examples) or examples.fields(index).get("source") != originals.fields(index).get(
            "source"
        ):
            raise DataError(
                f"{run.folder.path}: sentence {index + 1} of split {split} is not that of {first.folder.path}; give "
                "runs that are scored on the same text"
            )
    return Contender(
        str(run.folder.path),
        run.model.to(device),
        [_source(run.model, examples, index).to(device) for index in chosen],
        None,
        {
            "recipe": run.recipe.name,
            "seed": run.recipe.seed,
            "checkpoint_sha256": run.checkpoint.digest,
            "checkpoint_step": run.checkpoint.step,
            "weights": run.weights,
        },
    )


def _of_recipe(recipe: Recipe, device: torch.device, sentences: int, length: int) -> Contender:
    source: DataSource = recipe.data.build()
    size = source.features.vocab_size
    if size is None:
        raise RecipeError(
            f"{recipe.name}: the data are no tokens, so nothing is translated; name another recipe"
        )
    model = build(recipe, source.features, *asked_for(recipe)).to(device).eval()
    translator(model)
    generator = torch.Generator().manual_seed(recipe.seed)
    lengths = torch.tensor([length])
    sources = [
        Padded(torch.randint(size, (1, length), generator=generator), lengths).to(device)
        for _ in range(sentences)
    ]
    about = {"recipe": recipe.name, "seed": recipe.seed, "weights": "random"}
    return Contender(recipe.name, model, sources, length, about)


def _source(model: Model, examples: Split, index: int) -> Padded:
    """Return the source sentence (1, U) of an example."""
    source = collate([examples[index]]).conditions[translator(model).source]
    assert isinstance(source, Padded)  # noqa: S101  (data of tokens has sentences as conditions)
    return source
