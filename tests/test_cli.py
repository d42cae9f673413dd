"""The command line: nothing heavy at start, one line per error, the right exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from unitdisc import cli, errors, plugins

HEAVY = ("torch", "torchaudio", "lhotse", "numpy", "pydantic", "rich", "scipy", "sklearn")


def imported_by(*arguments: str) -> set[str]:
    script = (
        "import json, sys; from unitdisc.cli import main; code = main(sys.argv[1:]); "
        "print(json.dumps([code, sorted(sys.modules)]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    code, modules = json.loads(result.stdout.splitlines()[-1])
    assert code == 0
    return set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["plugins"], ["plugins", "data", "--json"]])
def test_looking_imports_nothing_heavy(arguments):
    assert not imported_by(*arguments).intersection(HEAVY)


def test_help_imports_no_command_and_no_plugin():
    modules = imported_by("--help")
    assert not [name for name in modules if name.startswith(("unitdisc.cli.", "unitdisc_"))]


def test_every_command_exists_and_has_help():
    for name in cli.COMMANDS:
        command = cli.group.get_command(click.Context(cli.group), name)
        assert isinstance(command, click.Command)
        assert command.help


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_shows_help(name, capsys):
    assert cli.main([name, "--help"]) == 0
    assert f"Usage: unitdisc {name}" in capsys.readouterr().out


def test_a_misspelt_command_is_answered_with_the_nearest(capsys):
    assert cli.main(["plugin"]) == 2
    assert "there is no command 'plugin'; did you mean 'plugins'?" in capsys.readouterr().err


def test_a_misspelt_option_is_an_error_of_the_command_line(capsys):
    assert cli.main(["plugins", "--jsn"]) == 2
    assert "--json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RecipeError, 2),
        (errors.PluginError, 2),
        (errors.DataError, 3),
        (errors.TrainingError, 4),
        (errors.StorageError, 5),
        (errors.Interrupted, 130),
    ],
)
def test_an_error_of_the_user_is_a_message_and_an_exit_code(error, code, monkeypatch, capsys):
    monkeypatch.setattr(plugins, "found", lambda kind: raise_(error(f"{kind}: first\nsecond")))
    assert cli.main(["plugins", "data"]) == code
    assert capsys.readouterr().err == "unitdisc: data: first\nsecond\n"


def test_control_c_is_130_without_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr(plugins, "found", lambda _: raise_(KeyboardInterrupt()))
    assert cli.main(["plugins"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_not_hidden(monkeypatch):
    monkeypatch.setattr(plugins, "found", lambda _: raise_(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["plugins"])


def test_a_closed_pipe_is_silent():
    with subprocess.Popen(
        [sys.executable, "-m", "unitdisc", "plugins"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_openmp_does_not_spin_unless_it_was_asked_to(monkeypatch, capsys):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert cli.main(["--version"]) == 0
    assert cli.os.environ["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert cli.main(["--version"]) == 0
    assert cli.os.environ["OMP_WAIT_POLICY"] == "active"
    assert capsys.readouterr().out.startswith("unitdisc ")


def test_strict_plugins_stops_before_the_command(site, capsys):
    site.install("fake_bad", "raise ValueError('no')")
    assert cli.main(["--strict-plugins", "plugins"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("unitdisc: plugin 'fake_bad' of fake_bad 1.0 is not loaded: ValueError: no")
    assert shown.out == ""


def test_each_broken_plugin_is_one_line_of_warning(site, capsys):
    site.install("fake_bad", "raise ValueError('no\\ngood')")
    cli.warn_broken()
    assert (
        "unitdisc: warning: plugin 'fake_bad' of fake_bad 1.0 is not loaded: ValueError: no good"
        in capsys.readouterr().err.splitlines()
    )


def test_the_list_shows_origins_and_what_was_not_loaded(site, capsys):
    site.install("fake_bad", "raise ValueError('no')", version="0.9")
    assert cli.main(["plugins", "metric"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["KIND", "NAME", "DISTRIBUTION", "VERSION"]
    assert ["metric", "per", "unitdisc"] in [line.split()[:3] for line in lines]
    assert "NOT LOADED  'fake_bad' of fake_bad 0.9: ValueError: no" in lines


def test_the_list_shows_a_clash_instead_of_failing(site, capsys):
    for name in ("fake_a", "fake_b"):
        site.install(
            name, "import unitdisc\n@unitdisc.hookimpl\ndef unitdisc_metrics():\n    return {'x': 'a:B'}\n"
        )
    assert cli.main(["plugins", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (message,) = shown["clashes"]
    assert message.startswith("metric 'x' is given by 'fake_a' of fake_a 1.0 and by 'fake_b' of fake_b 1.0: ")
    assert cli.main(["plugins", "metric", "x"]) == 2


def raise_(error: BaseException) -> None:
    raise error
