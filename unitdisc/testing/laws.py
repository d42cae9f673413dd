"""How the contract tests state a law, compare numbers and call constructors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from unitdisc.coded import Coded
from unitdisc.parts import Padded

if TYPE_CHECKING:
    from unitdisc.data import FeatureSpec

T = TypeVar("T")


def require(holds: bool, law: str, found: str) -> None:  # noqa: FBT001
    """Raise an AssertionError of one sentence unless the law holds."""
    if not holds:
        raise AssertionError(f"{law}: {found}")


def require_close(found: Tensor, expected: Tensor, law: str, what: str, *, tolerance: float = 1e-5) -> None:
    """Require equal shapes and values; ``tolerance`` is relative to the largest value or to 1."""
    shapes = f"{what} of shape {tuple(found.shape)} instead of {tuple(expected.shape)}"
    require(found.shape == expected.shape, law, shapes)
    if found.numel():
        found, expected = found.detach().double(), expected.detach().double()
        difference = (found - expected).abs().max().item()
        allowed = tolerance * max(1.0, expected.abs().max().item())
        require(difference <= allowed, law, f"{what} differ by {difference:.3g}, allowed {allowed:.3g}")


def require_state(found: nn.Module, expected: nn.Module, law: str, *, tolerance: float = 0.0) -> None:
    """Require that two modules hold the same state."""
    states = snapshot(found), snapshot(expected)
    require(states[0].keys() == states[1].keys(), law, "the state_dicts have different keys")
    for name, value in states[0].items():
        require_close(value, states[1][name], law, f"values of {name!r} in state_dict", tolerance=tolerance)


def require_tensors(part: nn.Module) -> None:
    """Require that a part's state consists of tensors."""
    for name, value in part.state_dict().items():
        found = f"{name!r} is a {type(value).__name__}"
        require(isinstance(value, Tensor), "state_dict holds tensors only", found)


def require_scalar(value: Tensor, law: str, what: str) -> None:
    """Require one finite number."""
    require(value.shape == (), law, f"{what} has shape {tuple(value.shape)} instead of ()")
    require(bool(torch.isfinite(value)), law, f"{what} is {value.item()}")


def require_gradients(part: nn.Module) -> None:
    """Require a finite gradient for every parameter that learns."""
    for name, parameter in part.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, "gradients reach every parameter", f"{name!r} gets none")
        if parameter.grad is not None:
            finite = bool(torch.isfinite(parameter.grad).all())
            require(finite, "gradients reach every parameter", f"that of {name!r} is not finite")


def snapshot(part: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a part's state."""
    return {name: value.clone() for name, value in part.state_dict().items()}


def supply(make: Callable[..., T], **available: Any) -> T:
    """Call a constructor with those of the engine's arguments that it names, as the engine does."""
    names = inspect.signature(make).parameters
    return make(**{name: value for name, value in available.items() if name in names})


def noise(lengths: list[int], *shape: int, seed: int = 0, spare: int = 0) -> Padded:
    """Return random sequences (B, max(lengths) + spare, *shape) in [-2, 2] with zeros on padding."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(len(lengths), max(lengths), *shape, generator=generator) * 4 - 2
    values = torch.cat([values, values.new_zeros(len(lengths), spare, *shape)], 1)
    return spoil(Padded(values, torch.tensor(lengths)), 0.0)


def random_inputs(lengths: list[int], features: FeatureSpec) -> Padded:
    """Return random inputs of this form with zeros on padding."""
    if features.vocab_size is not None:
        return tokens(lengths, features.vocab_size)
    return noise(lengths, *features.shape)


def tokens(lengths: list[int], vocab_size: int, *, seed: int = 0) -> Padded:
    """Return random sequences (B, max(lengths)) int64 in [0, vocab_size) with zeros on padding."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(vocab_size, (len(lengths), max(lengths)), generator=generator)
    return spoil(Padded(values, torch.tensor(lengths)), 0.0)


def spoil(sequences: Padded, value: float, *, extra: int = 0) -> Padded:
    """Return the same sequences with ``value`` on padding and ``extra`` more steps of padding."""
    values = sequences.values
    longer = torch.cat([values, values.new_zeros(len(values), extra, *values.shape[2:])], 1)
    mask = Padded(longer, sequences.lengths).mask
    spoiled = torch.where(mask.view(*mask.shape, *[1] * (values.dim() - 2)), longer, value).to(values.dtype)
    if isinstance(sequences, Coded):
        codes = spoil(Padded(sequences.codes, sequences.lengths), -1, extra=extra).values
        return Coded(spoiled, sequences.lengths, codes)
    return Padded(spoiled, sequences.lengths)
