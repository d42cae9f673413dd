"""One component of a recipe with its arguments."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unitdisc.errors import RecipeError
from unitdisc.values import plain

if TYPE_CHECKING:
    from collections.abc import Callable


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
        """Make the component, and those inside it, with those of ``supplied`` that its constructor names.

        Those inside are supplied the same, or what its class method ``inside(supplied, arguments)`` returns.
        """
        inside = getattr(self.component, "inside", None)
        passed_on = self._placed(inside, supplied, self.arguments) if inside else supplied
        arguments = {
            name: value.build(**passed_on) if isinstance(value, Use) else value
            for name, value in self.arguments.items()
        }
        named = inspect.signature(self.component.__init__).parameters
        filled = {name: value for name, value in supplied.items() if name in named and name not in arguments}
        return self._placed(self.component, **arguments, **filled)

    def _placed(self, make: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call what may refuse the recipe, and say where."""
        try:
            return make(*arguments, **named)
        except RecipeError as error:
            raise RecipeError(f"{self.where}: {error}") from error

    def plain(self) -> dict[str, Any]:
        """Return the section as a recipe writes it."""
        arguments = {
            name: value.plain() if isinstance(value, Use) else plain(value)
            for name, value in self.arguments.items()
        }
        return {"use": self.name, **arguments, **({} if self.on is None else {"on": self.on})}
