"""A folder of recipes over components that only remember what they were built with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest
from annotated_types import Gt

from unitdisc import plugins, recipe_files
from unitdisc.data import Corpus, DataSource
from unitdisc.errors import RecipeError
from unitdisc.metric import Metric
from unitdisc.parts import Bottleneck, Decoder, Encoder, Head
from unitdisc.recipe import Recipe, read


def fake(base: type, constructor: object) -> type:
    """Make a component that remembers what it was built with."""
    component = type("Fake", (base,), {"__init__": constructor})
    component.__abstractmethods__ = frozenset()
    return component


def source(self, *, root: Path | None = None, corpus: Corpus | None = None, roots: tuple[Path, ...] = ()): ...
def corpus(self, *, voices: Annotated[int, Gt(0)] = 2): ...
def encoder(self, features: tuple[int, ...], *, hidden: Annotated[int, Gt(0)] = 8, share: float = 0.5): ...
def ema(self, dim: int, *, num_codes: Annotated[int, Gt(0)], decay: float = 0.99):
    self.given = (dim, num_codes)


def gradient(self, dim: int, *, num_codes: int = 4, lr_scale: float = 1.0):
    self.given = (dim, num_codes)


def reestimate(self, dim: int, *, rule: Bottleneck, every: int = 10):
    self.given = (dim, rule)


def strict(self, dim: int):
    raise RecipeError("dim must be even")


def head(self, dim: int, targets: dict[str, int], *, target: str = "phones", weight: float = 1.0): ...
def none(self): ...


COMPONENTS = {
    "data": {"folder": fake(DataSource, source), "synth": fake(Corpus, corpus)},
    "encoder": {"conv": fake(Encoder, encoder)},
    "bottleneck": {
        "ema": fake(Bottleneck, ema),
        "gradient": fake(Bottleneck, gradient),
        "reestimate": fake(Bottleneck, reestimate),
        "strict": fake(Bottleneck, strict),
    },
    "decoder": {"frames": fake(Decoder, none)},
    "head": {"ctc": fake(Head, head)},
    "metric": {"perplexity": fake(Metric, none)},
    "exporter": {"jsonl": type("Fake", (), {})},
}

BASE = """\
# The base
seed: 3
data: {use: folder, root: sets}
encoder: {use: conv, hidden: 16}
latents: {norm: batch}
bottleneck: {use: ema, num_codes: 8, decay: 0.9}
decoder: {use: frames}
heads:
  ctc: {use: ctc, weight: 2}
metrics: {perplexity: {use: perplexity}}
train: {lr: 1e-3, clip: 1.0}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory: a recipes folder with a base, two rows and a preset, over fake components."""
    offered = [
        plugins.Component(kind, name, component, "fake", "fakes", "1")
        for kind, named in COMPONENTS.items()
        for name, component in named.items()
    ]
    monkeypatch.setattr(plugins, "_scan", lambda: SimpleNamespace(components=offered, broken=[]))
    monkeypatch.setattr(plugins, "_contracts", lambda _: (object,))
    monkeypatch.setattr(recipe_files, "folder", lambda: tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    task = tmp_path / "recipes" / "task"
    task.mkdir(parents=True)
    (task / "base.yaml").write_text(BASE)
    (task / "base.small.yaml").write_text("encoder: {hidden: 4}\ntrain: {steps: 5}\n")
    (task / "row.yaml").write_text("# A row\nextends: base.yaml\nbottleneck: {num_codes: 32}\n")
    (task / "other.yaml").write_text("# Another\nextends: row.yaml\nbottleneck: {use: gradient}\n")
    return task


def write(text: str) -> Path:
    Path("x.yaml").write_text(text, encoding="utf-8")
    return Path("x.yaml")


def problems(recipe: object, **options: object) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(recipe, **options)
    return str(caught.value).split("\n")


def over_base(text: str, **options: object) -> Recipe:
    return read(write(f"extends: recipes/task/base.yaml\n{text}"), **options)


def wrong(text: str) -> list[str]:
    return problems(write(f"extends: recipes/task/base.yaml\n{text}"))
