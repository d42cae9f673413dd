"""The command ``unitdisc``. A command's module is imported only when the command runs."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from unitdisc import __version__
from unitdisc.errors import Interrupted, UnitdiscError
from unitdisc.suggest import hint

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": ("unitdisc.cli.run:command", "Train, evaluate, export and report; go on where it stopped."),
    "train": ("unitdisc.cli.train:command", "Train a recipe."),
    "evaluate": ("unitdisc.cli.evaluate:command", "Score a trained run, or units of any system."),
    "export": ("unitdisc.cli.export:command", "Write the units of a trained run."),
    "encode": ("unitdisc.cli.encode:command", "Write the units of any other recordings or line images."),
    "convert": ("unitdisc.cli.convert:command", "Write unit files of any system in another format."),
    "sample": ("unitdisc.cli.sample:command", "Draw what the decoder makes of units, beside the originals."),
    "subwords": ("unitdisc.cli.subwords:command", "Merge units that often follow one another into pieces."),
    "translate": ("unitdisc.cli.translate:command", "Translate sentences with a trained run."),
    "latents": ("unitdisc.cli.latents:command", "Print sentences beside their units."),
    "distill": ("unitdisc.cli.distill:command", "Write training text with a run's translations as targets."),
    "report": ("unitdisc.cli.report:command", "Draw the report of a run."),
    "speak": ("unitdisc.cli.speak:command", "Turn units back into sound, in the same and in other voices."),
    "latency": ("unitdisc.cli.latency:command", "Take the time of translations, run beside run."),
    "ablate": ("unitdisc.cli.ablate:command", "Compare recipes over seeds: one table, one picture."),
    "check": ("unitdisc.cli.check:command", "Show what a recipe would train, without reading data."),
    "plugins": ("unitdisc.cli.plugins:command", "List what plugins offer, or show one component."),
    "recipes": ("unitdisc.cli.recipes:command", "List the recipes, or show one."),
    "data": ("unitdisc.cli.data:command", "Import your own recordings or line images."),
}
"""Name: ("module:attribute", help), so that ``--help`` imports none of them."""


class LazyGroup(click.Group):
    """The commands of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a user meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"there is no command '{name}'{hint(name, COMMANDS)} (accepted: {', '.join(COMMANDS)})")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unitdisc", message="%(prog)s %(version)s")
@click.option("--strict-plugins", is_flag=True, help="Stop when a plugin cannot be loaded.")
def group(*, strict_plugins: bool) -> None:
    """Discover discrete units in speech and handwriting.

    Begin with: unitdisc run speech/demo
    """
    if strict_plugins:
        from unitdisc import plugins  # --help does not need it

        plugins.require_all_loaded()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what a user can cause is a message, not a traceback."""
    # Spinning OpenMP threads slow training down five times and more on shared cores. Torch reads this once.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`| head`). What is still buffered would raise once more when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    return code


def _invoke(arguments: Sequence[str] | None) -> int:
    try:
        result = group.main(arguments, prog_name="unitdisc", standalone_mode=False)
    except UnitdiscError as error:
        click.echo(f"unitdisc: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("unitdisc: interrupted", err=True)
        return Interrupted.exit_code
    return result if isinstance(result, int) else 0


def warn_broken() -> None:
    """Say on stderr which plugins were not loaded, one line each; for commands that use plugins."""
    from unitdisc import plugins  # --help does not need it

    for item in plugins.broken():
        click.echo(f"unitdisc: warning: plugin {item.origin} is not loaded: {item.reason}", err=True)
