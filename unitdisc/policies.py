"""What becomes of the optimiser's memory and of averaged weights when a part replaces weights (`Replaced`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from unitdisc.average import Average
    from unitdisc.model import Model
    from unitdisc.parts import Replaced


@torch.no_grad()
def carry_out(model: Model, optimizer: torch.optim.Optimizer, average: Average | None, *, step: int) -> None:
    """Carry out what the parts ask for after ``step`` (counted from 1), on every rank alike.

    Called when the average has already followed the step. A replaced tensor that is no parameter of the model
    has neither moments nor an averaged copy; it may still restart the average of everything else.
    """
    every = [replaced for part in model.parts() for replaced in part.replaced()]
    if not every:
        return
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for replaced in every:
        if replaced.moments == "reset":
            forget(optimizer, replaced)
        name = names.get(id(replaced.parameter))
        if average is not None and name is not None and replaced.average == "copy":
            rows, copy = _over_rows(replaced), average.values[name]
            copy.copy_(torch.where(rows, replaced.parameter, copy))
    if average is not None and any(replaced.average == "restart" for replaced in every):
        average.restart(model, step)


def forget(optimizer: torch.optim.Optimizer, replaced: Replaced) -> None:
    """Set to zero what the optimiser remembers of the replaced rows: Adam's two moments, or SGD's momentum.

    Adam counts its steps per parameter, not per row, and that count stays. Its correction of the bias of young
    moments has then long faded, although the moments of these rows are young again: under a steady gradient
    their n-th update is ``(1 - b1^n) / sqrt(1 - b2^n)`` learning rates long, with the usual betas 3.2 at first,
    6.6 at most (n = 12) and below 2 from n = 288 on; a new optimiser would take 1. Rows that stand where
    k-means put them need little of that: their gradients average out. With ``train.betas: [0.9, 0.99]`` it is
    1.0 at first and 2.1 at most.
    """
    for value in optimizer.state.get(replaced.parameter, {}).values():
        if isinstance(value, torch.Tensor) and value.shape == replaced.parameter.shape:
            value.masked_fill_(_over_rows(replaced), 0)


def _over_rows(replaced: Replaced) -> Tensor:
    """Return the rows with a dimension of size 1 for each further one of the parameter."""
    rows, parameter = replaced.rows, replaced.parameter
    return rows.view(*rows.shape, *[1] * (parameter.dim() - rows.dim())).to(parameter.device)
