"""Everything that changes during training, to and from a `Checkpoint`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unitdisc.checkpoint import Checkpoint
from unitdisc.errors import PluginError, StorageError
from unitdisc.plan import Position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unitdisc.average import Average
    from unitdisc.log import Event


def capture(
    *,
    step: int,
    position: Position,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
    scaler: torch.amp.GradScaler,
    skipped: int,
    health: Mapping[str, Tensor],
    events: Sequence[Event],
) -> Checkpoint:
    """Return the state after ``step``. Raises `PluginError` when a part keeps something that is no tensor."""
    tensors = {"model": model_state(model), "optimizer": _optimizer_state(model, optimizer)}
    if average is not None:
        tensors["average"] = dict(average.values)
    if health:
        tensors["health"] = dict(health)
    state = {
        "epoch": position.epoch,
        "batch": position.batch,
        "scaler": scaler.state_dict(),
        "skipped": skipped,
        "average_origin": average.origin if average is not None else 0,
        "events": list(events),
    }
    return Checkpoint(step, tensors, state)


def restore(
    checkpoint: Checkpoint,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
    scaler: torch.amp.GradScaler,
) -> tuple[Position, int]:
    """Put everything back; return the position in the data and the consecutive skipped steps."""
    load_model(model, checkpoint.tensors["model"])
    _load_optimizer(model, optimizer, checkpoint.tensors["optimizer"])
    if average is not None:
        average.load(checkpoint.tensors["average"], checkpoint.state.get("average_origin", 0))
    if checkpoint.state["scaler"]:
        scaler.load_state_dict(checkpoint.state["scaler"])
    return Position(checkpoint.state["epoch"], checkpoint.state["batch"]), checkpoint.state["skipped"]


def model_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the model's ``state_dict``, which must consist of tensors."""
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise PluginError(
                f"{name}: state_dict holds a {type(value).__name__}; a part keeps all its state in tensors "
                "(register_buffer), so that a run can be resumed exactly"
            )
    return state


def load_model(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load weights. Raises `StorageError` when they are of another model."""
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise StorageError(f"the checkpoint is of another model than the recipe builds: {detail}") from error


def _optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def _load_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    states: dict[Tensor, dict[str, Any]] = {}
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        # Adam keeps its step count on the CPU whatever the parameter's device.
        moved = value if key == "step" else value.to(parameters[name].device)
        states.setdefault(parameters[name], {})[key] = moved
    optimizer.state.update(states)
