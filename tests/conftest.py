"""Fixtures of all tests: the shared data, installed plugins, the third-party package."""

from __future__ import annotations

import os

# Read when torch is loaded; test workers run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Processes that tests start would compile torch each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import functools
import importlib
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unitdisc import plugins

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Imported and synthetic corpora go to a folder of this test session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNITDISC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def shared_data() -> Path:
    """The folder of small real sets beside the repository."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real sets in {folder}")
    return folder


@functools.cache
def missing_torchaudio() -> str:
    """Return why torchaudio does not import, or nothing."""
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError) as error:
        return str(error).splitlines()[0]
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, by name, what needs a torchaudio that does not fit the installed torch."""
    if item.get_closest_marker("torchaudio") and (reason := missing_torchaudio()):
        pytest.skip(f"needs torchaudio: {reason}")


class Site:
    """A folder of installed packages that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, source: str, *, version: str = "1.0", entry: str | None = None) -> None:
        """Install the module ``name`` as a distribution of that name with one entry point."""
        (self.folder / f"{name}.py").write_text(source, encoding="utf-8")
        info = self.folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[unitdisc]\n{name} = {entry or name}\n")
        plugins.refresh()


@pytest.fixture
def forget_plugins() -> Iterator[None]:
    """Unload what a test imports from elsewhere."""
    before = set(sys.modules)
    plugins.refresh()
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("unitdisc_example", "fake_")):
            del sys.modules[name]
    plugins.refresh()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_plugins: None) -> Site:
    """An empty folder of packages, seen by this process; names of modules begin with ``fake_``."""
    del forget_plugins
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return Site(folder)


def install_wheel(source: Path, scratch: Path) -> Path:
    """Build the package ``source`` and unpack its wheel into a folder for ``PYTHONPATH``."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
    subprocess.run([*build, "--outdir", str(scratch), str(source)], check=True, capture_output=True)
    (wheel,) = scratch.glob("*.whl")
    site = scratch / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.fixture(scope="session")
def third_party_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which tests/third_party/unitdisc_example is installed."""
    source = REPOSITORY / "tests" / "third_party" / "unitdisc_example"
    return install_wheel(source, tmp_path_factory.mktemp("third_party"))


@pytest.fixture(scope="session")
def wheel_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the wheel of this project is installed."""
    return install_wheel(REPOSITORY, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def third_party(third_party_site: Path, monkeypatch: pytest.MonkeyPatch, forget_plugins: None) -> Path:
    """Let this process and those it starts see the third-party package."""
    del forget_plugins
    monkeypatch.syspath_prepend(str(third_party_site))
    monkeypatch.setenv("PYTHONPATH", str(third_party_site), prepend=os.pathsep)
    plugins.refresh()
    return third_party_site


@pytest.fixture
def unitdisc(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in a process of its own, in an empty folder, with packages of ``site`` in front."""

    def run(*arguments: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ)
        if site is not None:
            environment["PYTHONPATH"] = str(site)
        return subprocess.run(
            [sys.executable, "-m", "unitdisc", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run
