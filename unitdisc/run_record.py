"""What ``run.json`` says of a run: versions, seed, device, plugins, data."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from unitdisc import distributed, plugins

if TYPE_CHECKING:
    from unitdisc.data import DataSource
    from unitdisc.train import Trainer

_PACKAGES = ("unitdisc", "torch", "numpy", "lhotse", "safetensors")


def facts(trainer: Trainer, source: DataSource, checksum: str) -> dict[str, Any]:
    """Return what makes a run comparable with others and lets it go on; ``checksum`` is that of the data."""
    return {
        "recipe": trainer.recipe.name,
        "recipe_sha256": trainer.recipe.digest(),
        "seed": trainer.recipe.seed,
        "device": device_name(trainer.device),
        "processes": distributed.world_size(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "plugins": plugins.origins(),
        "data": {"sha256": checksum, "train_examples": len(trainer.split)},
        "targets": {name: [spec.kind, list(spec.vocab)] for name, spec in source.targets.items()},
        "conditions": {name: list(values) for name, values in source.conditions.items()},
    }


def device_name(chosen: torch.device) -> str:
    """Return the device as people call it."""
    return torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else f"CPU ({platform.machine()})"
