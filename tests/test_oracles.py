"""The job that runs discophon and fastabx beside our scores: it goes through to the end and says what differs."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent / "benchmarks" / "oracles.py"


@pytest.fixture
def oracles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script with others in place of its two comparisons."""
    spec = importlib.util.spec_from_file_location("oracles", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["oracles.py", "DATA", "--runs", "3"])
    return module


def comparison(name: str, folder: Path, code: int) -> None:
    said = f"import sys; open({str(folder / 'said')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')"
    (folder / name).write_text(f"{said}\nsys.exit({code})\n")


def test_both_comparisons_run_and_the_one_that_differs_is_named(oracles: ModuleType, tmp_path: Path) -> None:
    comparison("like_discophon.py", tmp_path, 1)
    comparison("abx_fastabx.py", tmp_path, 0)
    with pytest.raises(SystemExit, match=r"^not as discophon: see above$"):
        oracles.main()
    assert (tmp_path / "said").read_text() == "DATA --runs 3\nvalues DATA --threads 1\n"


def test_scores_that_agree_are_no_error(oracles: ModuleType, tmp_path: Path) -> None:
    comparison("like_discophon.py", tmp_path, 0)
    comparison("abx_fastabx.py", tmp_path, 0)
    oracles.main()


def test_the_environment_holds_this_repository() -> None:
    lines = SCRIPT.read_text(encoding="utf-8").split("# ///\n")[0].splitlines()
    asked = tomllib.loads("\n".join(line.removeprefix("#").strip() for line in lines[1:]))
    place = asked["tool"]["uv"]["sources"]["unitdisc"]["path"]
    assert (SCRIPT.parent / place).resolve() == Path(__file__).resolve().parents[1]
    assert asked["requires-python"] == "==3.12.*"
