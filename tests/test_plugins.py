"""Plugins are found through entry points, and a broken one harms nobody."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from unitdisc import plugins
from unitdisc.errors import PluginError

METRIC = """
from unitdisc import hookimpl
from unitdisc.metric import Metric

class Fine(Metric):
    "A metric."
    def update(self, item): ...
    def compute(self): return {"value": 1.0}

@hookimpl
def unitdisc_metrics():
    return {"fine": Fine}
"""


def hook(returned: str, *, name: str = "unitdisc_metrics", arguments: str = "") -> str:
    return f"from unitdisc import hookimpl\n@hookimpl\ndef {name}({arguments}):\n    return {returned}\n"


BROKEN = {
    "raises at import": ("raise ValueError('no\\ngood')", "ValueError: no good"),
    "leaves at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "does not parse": ("def", "SyntaxError: invalid syntax"),
    "misspelt hook": (hook("{}", name="unitdisc_metrcs"), "did you mean 'unitdisc_metrics'?"),
    "foreign hook": (hook("{}", name="metrics"), "there is no hook metrics"),
    "unmarked hook": ("def unitdisc_metrics(): return {}", "is not marked with @unitdisc.hookimpl"),
    "no hook": ("x = 1", "no function in it is marked with @unitdisc.hookimpl"),
    "wrong argument": (hook("{}", arguments="config"), "asks for the argument 'config', hooks take none"),
    "raises in the hook": (hook("1 / 0"), "ZeroDivisionError: division by zero"),
    "returns nothing": (hook("None"), "unitdisc_metrics returned NoneType (accepted: a mapping of names"),
    "returns a list": (hook("['m:M']"), "unitdisc_metrics returned list"),
    "returns instances": (hook("{'m': 3}"), "unitdisc_metrics returned {'m': 3}"),
    "returns no name": (hook("{2: 'm:M'}"), "unitdisc_metrics returned {2: 'm:M'}"),
    "returns no class name": (hook("{'m': 'module.M'}"), "unitdisc_metrics returned {'m': 'module.M'}"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_named_and_the_rest_works(case, site):
    source, reason = BROKEN[case]
    site.install("fake_bad", source, version="0.7")
    site.install("fake_good", METRIC)

    (bad,) = [item for item in plugins.broken() if item.plugin == "fake_bad"]

    assert (bad.distribution, bad.version) == ("fake_bad", "0.7")
    assert reason in bad.reason
    assert "\n" not in bad.reason
    assert plugins.load("metric", "fine").__name__ == "Fine"


def test_a_plugin_whose_module_is_missing_is_broken(site):
    site.install("fake_bad", "", entry="fake_missing")
    assert [item.reason for item in plugins.broken() if item.plugin == "fake_bad"] == [
        "ModuleNotFoundError: No module named 'fake_missing'"
    ]


def test_strict_lists_every_broken_plugin(site):
    site.install("fake_a", "raise ValueError('a')")
    site.install("fake_b", "raise ValueError('b')")
    with pytest.raises(PluginError) as caught:
        plugins.require_all_loaded()
    assert "plugin 'fake_a' of fake_a 1.0 is not loaded: ValueError: a" in str(caught.value).splitlines()
    assert "plugin 'fake_b' of fake_b 1.0 is not loaded: ValueError: b" in str(caught.value).splitlines()


def test_all_bundled_plugins_are_loaded():
    plugins.require_all_loaded()


def test_every_bundled_component_loads_and_keeps_its_contract():
    for kind in plugins.KINDS:
        for name in plugins.components(kind):
            assert plugins.load(kind, name)


def test_two_plugins_with_one_name_are_both_named_when_the_kind_is_looked_up(site):
    site.install("fake_a", METRIC, version="1.1")
    site.install("fake_b", METRIC, version="2.2")
    message = r"metric 'fine' is given by 'fake_a' of fake_a 1\.1 and by 'fake_b' of fake_b 2\.2"
    with pytest.raises(PluginError, match=message):
        plugins.load("metric", "per")
    assert "speech" in plugins.components("data")


def test_an_unknown_name_is_answered_with_the_nearest_and_all(site):
    site.install("fake_good", METRIC)
    with pytest.raises(
        PluginError, match=r"there is no metric 'fin'; did you mean 'fine'\? \(accepted: .*fine, .*per"
    ):
        plugins.load("metric", "fin")


def test_an_unknown_name_mentions_what_was_not_loaded(site):
    site.install("fake_bad", "raise ValueError('no')")
    with pytest.raises(
        PluginError, match=r"plugin 'fake_bad' of fake_bad 1\.0 is not loaded: ValueError: no"
    ):
        plugins.load("metric", "theirs")


def test_an_unknown_kind_is_answered_with_the_kinds():
    with pytest.raises(PluginError, match=r"there is no kind 'bottlenecks'; did you mean 'bottleneck'\?"):
        plugins.components("bottlenecks")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("fake_nowhere:M", "cannot import fake_nowhere: ModuleNotFoundError: No module named 'fake_nowhere'"),
        ("fake_theirs:Missing", "fake_theirs has no 'Missing'"),
        ("fake_theirs:unitdisc_metrics", "does not derive from unitdisc.metric.Metric"),
        ("pathlib:Path", "pathlib:Path does not derive from unitdisc.metric.Metric"),
    ],
)
def test_a_component_that_cannot_be_used_is_one_line_with_its_origin(target, reason, site):
    site.install("fake_theirs", hook(f"{{'theirs': {target!r}}}"), version="4.2")
    with pytest.raises(PluginError) as caught:
        plugins.load("metric", "theirs")
    assert str(caught.value).startswith("metric 'theirs' of 'fake_theirs' of fake_theirs 4.2: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_corpus_is_data_and_a_metric_is_not(site):
    site.install(
        "fake_data",
        hook("{'c': 'unitdisc.data:Corpus', 'm': 'unitdisc.metric:Metric'}", name="unitdisc_data"),
    )
    assert plugins.load("data", "c").__name__ == "Corpus"
    with pytest.raises(
        PluginError, match=r"does not derive from unitdisc\.data\.DataSource or unitdisc\.data\.Corpus"
    ):
        plugins.load("data", "m")


def test_an_entry_point_may_be_an_object_with_hooks(site):
    source = (
        METRIC
        + "\nfrom types import SimpleNamespace\nplugin = SimpleNamespace(unitdisc_metrics=unitdisc_metrics)\n"
    )
    site.install("fake_object", source, entry="fake_object:plugin")
    assert plugins.components("metric")["fine"].plugin == "fake_object"


def test_origins_are_the_distributions_that_give_something(site):
    site.install("fake_good", METRIC, version="3.1")
    site.install("fake_bad", "raise ValueError")
    origins = plugins.origins()
    assert {"distribution": "fake_good", "version": "3.1"} in origins
    assert "unitdisc" in {origin["distribution"] for origin in origins}
    assert "fake_bad" not in {origin["distribution"] for origin in origins}


def test_a_distribution_without_metadata_still_works(site):
    site.install("fake_good", METRIC)
    (site.folder / "fake_good-1.0.dist-info" / "METADATA").unlink()
    plugins.refresh()
    assert plugins.components("metric")["fine"].origin == "'fake_good' of unknown unknown"


def test_entry_points_are_scanned_once(monkeypatch):
    plugins.refresh()
    scans = []
    monkeypatch.setattr(plugins, "metadata", SimpleNamespace(entry_points=lambda **_: scans.append(1) or []))
    for kind in plugins.KINDS:
        plugins.found(kind)
    assert scans == [1]
    plugins.refresh()


def test_what_a_plugin_prints_does_not_reach_stdout(site, unitdisc):
    site.install("fake_loud", "print('imported')\n" + METRIC + "    print('called')\n")
    result = unitdisc("plugins", "metric", "--json", site=site.folder)
    assert "fine" in {item["name"] for item in json.loads(result.stdout)["components"]}
    assert "imported" in result.stderr
