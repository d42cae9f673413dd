"""One component of a recipe with its arguments."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from unitdisc.errors import RecipeError
from unitdisc.values import plain


@dataclass(frozen=True)
class Use:
    """A component with its arguments, checked and complete.

    Args:
        kind: Kind of the component.
        name: What the recipe calls it.
        component: Its class.
        arguments: Validated, defaults filled in; a component inside it is a `Use`.
        where: "file:line:column", or "command line".
        on: What a head looks at; None takes its default.
    """

    kind: str
    name: str
    component: type[Any]
    arguments: dict[str, Any]
    where: str = field(compare=False)
    on: Any = None

    def build(self, **supplied: Any) -> Any:
        """Make the component, and those inside it, with those of ``supplied`` that its constructor names."""
        arguments = {
            name: value.build(**supplied) if isinstance(value, Use) else value
            for name, value in self.arguments.items()
        }
        named = inspect.signature(self.component.__init__).parameters
        filled = {name: value for name, value in supplied.items() if name in named and name not in arguments}
        try:
            return self.component(**arguments, **filled)
        except RecipeError as error:
            raise RecipeError(f"{self.where}: {error}") from error

    def plain(self) -> dict[str, Any]:
        """Return the section as a recipe writes it."""
        arguments = {
            name: value.plain() if isinstance(value, Use) else plain(value)
            for name, value in self.arguments.items()
        }
        return {"use": self.name, **arguments, **({} if self.on is None else {"on": self.on})}
