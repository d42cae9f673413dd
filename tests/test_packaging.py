"""What is in the repository is what is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import unitdisc as package

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def test_every_plugin_folder_is_an_entry_point():
    folders = {path.parent.name for path in (REPOSITORY / "plugins").glob("*/__init__.py")}
    assert set(PROJECT["entry-points"]["unitdisc"].values()) == folders


def test_the_installed_entry_points_are_those_of_the_project():
    installed = {
        entry.name: entry.value
        for entry in metadata.distribution("unitdisc").entry_points.select(group="unitdisc")
    }
    assert installed == PROJECT["entry-points"]["unitdisc"], "install again: pip install -e ."


def test_the_version_is_said_once():
    assert package.__version__ == PROJECT["version"]


def test_a_wheel_carries_the_package_the_plugins_the_recipes_and_the_licence(wheel_site):
    expected = {
        *(path.relative_to(REPOSITORY) for path in (REPOSITORY / "unitdisc").rglob("*.py")),
        *(path.relative_to(REPOSITORY / "plugins") for path in (REPOSITORY / "plugins").rglob("*.py")),
        *("unitdisc" / path.relative_to(REPOSITORY) for path in (REPOSITORY / "recipes").rglob("*.yaml")),
        Path("unitdisc/py.typed"),
    }
    carried = {path.relative_to(wheel_site) for path in wheel_site.rglob("*") if path.is_file()}
    assert expected <= carried
    assert any(path.match("unitdisc-*.dist-info/licenses/LICENSE") for path in carried)
    assert {path.parts[0].split("-")[0] for path in carried} == {
        "unitdisc",
        *PROJECT["entry-points"]["unitdisc"].values(),
    }


def test_a_wheel_lists_the_same_plugins_and_recipes(wheel_site, unitdisc):
    origin = subprocess.run(
        [sys.executable, "-c", "import unitdisc; print(unitdisc.__file__)"],
        cwd=wheel_site,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(origin.stdout.strip()).is_relative_to(wheel_site)
    for arguments in (["plugins", "--json"], ["recipes", "--json"]):
        from_wheel, from_source = unitdisc(*arguments, site=wheel_site), unitdisc(*arguments)
        assert from_wheel.returncode == 0, from_wheel.stderr
        assert without_paths(from_wheel.stdout) == without_paths(from_source.stdout)


def test_constraints_pin_what_the_project_needs_and_no_platform():
    lines = [
        line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    ]
    pinned = {line.split("==")[0] for line in lines}
    wanted = [
        *PROJECT["dependencies"],
        *(name for extra in PROJECT["optional-dependencies"].values() for name in extra),
    ]
    names = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in wanted} - {"unitdisc"}
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in lines)
    assert names <= pinned
    assert {"torch==2.11.0", "torchaudio==2.11.0"} <= set(lines)
    assert not [name for name in pinned if name.startswith(("nvidia", "cuda", "triton"))]


def without_paths(listing: str) -> object:
    return json.loads(
        listing, object_hook=lambda item: {key: value for key, value in item.items() if key != "path"}
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_missing_python3_venv_is_named_in_one_line(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "sed", "grep", "rm", "touch"):
        (tools / tool).symlink_to(shutil.which(tool))
    python = tools / "python3.11"
    python.write_text("""#!/bin/sh\ncase "$*" in *ensurepip*|*pip*) exit 1 ;; esac\n""")
    python.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    result = subprocess.run(
        [shutil.which("make"), ".venv/.ok"],
        cwd=tmp_path,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == (
        "Debian's package python3-venv is missing (apt-get install python3-venv), and so is uv."
    )
    assert result.stdout == ""
