"""Every command and every line of Python in the README runs, on tiny corpora and with few steps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import REPOSITORY, install_wheel
from tests.tiny import write_speech

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)

# Training is cut to a few steps; the package of the rule is installed by the fixture, not into this environment.
PRELUDE = """
set -eu
fewer="train.steps=2 train.log_every=1"
unitdisc() {
    case "$1" in run|ablate) command unitdisc "$@" $fewer ;; *) command unitdisc "$@" ;; esac
}
torchrun() { command torchrun "$@" $fewer; }
pip() { test "$*" = "install --no-deps ."; }
"""


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings, a labelled corpus and the installed rule of the README."""
    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    (folder / "my_recordings").mkdir()
    for name in "abc":
        soundfile.write(folder / f"my_recordings/{name}.flac", rng.normal(0, 0.1, 9000), 16000)
    write_speech(folder / "my_corpus")
    for language in ("python", "toml"):
        for text in blocks(language):
            if named := re.match(r"# (\S+\.(?:py|toml))\n", text):
                path = folder / "my_rule_source" / named[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    install_wheel(folder / "my_rule_source", folder / "my_rule_wheel")
    return folder


def run(place: Path, command: list[str], text: str) -> str:
    binaries = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(place / "my_rule_wheel/site"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [*command, text], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.timeout(400)  # a dozen commands, each of which imports torch
def test_shell_and_python_blocks_run_in_their_order(place: Path):
    said = [
        run(place, ["bash", "-c"], PRELUDE + text)
        if language == "sh"
        else run(place, [sys.executable, "-c"], text)
        for language, text in BLOCKS
        if language == "sh" or (language == "python" and not text.startswith("#"))
    ]
    assert '"file": "a", "units": [' in said[0]
    assert "0.02" in said[1]
    assert "speech/ema" in said[2]
    assert "spectrograms.png" in said[3]
    assert "gold: labels as units" in said[4]
    assert "vanilla" in said[5]
    assert "random_codes" in said[6]
    for made in (
        "runs/mine/units.png",
        "runs/mine/report.html",
        "ctm/units.meta.json",
        "back.jsonl",
        "scores.json",
        "runs/random/metrics.json",
    ):
        assert (place / made).is_file(), made


def test_the_two_commands_are_targets_of_the_makefile():
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)$", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_name_in_the_table_is_installed_and_every_installed_name_stands_there():
    from unitdisc import plugins

    table = README.partition("## What is inside")[2].partition("\n`unitdisc plugins`")[0]
    named = set(re.findall(r"`([a-z_0-9]+)`", table))
    bundled = {
        name
        for kind in plugins.KINDS
        for name, component in plugins.components(kind).items()
        if component.distribution == "unitdisc"
    }
    assert named == bundled


def test_links_lead_to_files():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert "://" in link or (REPOSITORY / link).exists(), link
