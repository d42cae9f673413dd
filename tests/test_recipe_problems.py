"""What is wrong with a recipe is said all at once: where, what was found, what is accepted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.fake_recipes import BASE, folder, over_base, problems, write, wrong
from unitdisc import plugins

__all__ = ["folder"]
pytestmark = pytest.mark.usefixtures("folder")


def test_all_problems_are_reported_at_once_by_file_and_line():
    found = wrong("encoder: {use: conv, hiden: 3}\ntrain:\n  lr: -1\n  steps: '3'\nbotleneck: {}\n")
    assert found == [
        (
            "x.yaml:2:22: encoder.hiden: unknown parameter of conv; did you mean 'hidden'? "
            "(accepted: hidden, share)"
        ),
        "x.yaml:4:7: train.lr must be greater than 0, found -1",
        "x.yaml:5:10: train.steps must be a whole number, found '3'",
        (
            "x.yaml:6:1: botleneck: unknown section; did you mean 'bottleneck'? "
            "(accepted: extends, name, seed, data, encoder, latents, bottleneck, "
            "decoder, heads, metrics, train, evaluate, export, paper)"
        ),
    ]


def test_a_problem_of_the_base_is_reported_in_the_base(folder):
    (folder / "base.yaml").write_text(BASE.replace("hidden: 16", "hidden: many"))
    assert problems("task/row") == [
        "recipes/task/base.yaml:4:30: encoder.hidden must be a whole number, found 'many'"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train: {tensorboard: yes}",
            "2:22: train.tensorboard must be true or false, found 'yes'; write true",
        ),
        ("train: {steps: true}", "2:16: train.steps must be a whole number, found true"),
        ("train: {steps: 1.5}", "2:16: train.steps must be a whole number, found 1.5"),
        ("train: {steps: 0x10}", "2:16: train.steps must be a whole number, found '0x10'"),
        ("train: {clip: a}", "2:15: train.clip must be a number or null, found 'a'"),
        ("train: {lr: null}", "2:13: train.lr must be a number, found null"),
        ("train: {betas: [0.9]}", "2:16: train.betas must be a list of 2 numbers, found a list of 1"),
        ("train: {betas: [0.9, 1]}", "2:22: train.betas[1] must be less than 1, found 1"),
        (
            "train: {amp: bf61}",
            "2:14: train.amp must be one of 'none', 'bf16' or 'fp16', found 'bf61'; did you mean 'bf16'?",
        ),
        ("train: 3", "2:8: train must be a section, found 3"),
        ("evaluate: {split: 3}", "2:19: evaluate.split must be text, found 3; put it in quotes"),
        ("seed: -1", "2:7: seed must be at least 0, found -1"),
        ("seed: 1e999", "2:7: seed must be a whole number, found '1e999'"),
        (
            "heads: {a b: {use: ctc}}",
            "2:9: heads.a b: a name here is made of letters, digits, _ and -, and starts",
        ),
        ("heads: {ctcc: {weight: 3}}", "2:9: heads.ctcc: has no 'use'; did you mean 'ctc'?"),
        ("heads: {ctcc: null}", "2:9: heads.ctcc: nothing to remove; did you mean 'ctc'?"),
        ("heads: 3", "2:8: heads must be a section of any names, each with use: NAME, found 3"),
        (
            "encoder: {dim: 3, use: conv}",
            "2:11: encoder.dim: unknown parameter of conv (accepted: hidden, share)",
        ),
        ("encoder: {features: 3}", "2:11: encoder.features: the engine fills this in; remove it"),
        ("bottleneck: {use: ema}", "2:19: bottleneck.num_codes: missing; ema needs it (whole number)"),
        (
            "bottleneck: {use: emma}",
            "2:19: bottleneck.use: there is no bottleneck 'emma'; did you mean 'ema'? (acc",
        ),
        (
            "bottleneck: {use: ctc}",
            "2:19: bottleneck.use: there is no bottleneck 'ctc'; it is a head (accepted: ema",
        ),
        (
            "bottleneck: {use: 3}",
            "2:19: bottleneck.use must be the name of a component, found 3 (accepted: ema",
        ),
        ("bottleneck: ema", "2:13: bottleneck must be a bottleneck section, {use: NAME, ...}, found 'ema'"),
        ("metrics: {a: {ues: perplexity}}", "2:15: metrics.a.ues: unknown parameter; did you mean 'use'?"),
        ("metrics: {a: {}}", "2:11: metrics.a: names no component; write use: NAME (accepted: perplexity)"),
        (
            "data: {use: synth}",
            "2:13: data.use: synth makes a corpus; write data: {use: ..., corpus: {use: synth}}",
        ),
        (
            "data: {corpus: {use: folder}}",
            "2:22: data.corpus.use: folder is a data source, wanted is a corpus",
        ),
        ("data: {corpus: {voices: 3}}", "2:8: data.corpus: names no component; write use: NAME"),
        ("data: {roots: [a, 3]}", "2:19: data.roots[1] must be text, found 3"),
        (
            "export: {formats: [jsonnl]}",
            "2:20: export.formats[0]: there is no exporter 'jsonnl'; did you mean 'jsonl'? (accepted: jsonl)",
        ),
    ],
)
def test_a_wrong_value_gets_its_message(text, message):
    (found,) = wrong(text)
    assert found.startswith(f"x.yaml:{message}")


def test_missing_sections_are_named_at_the_start_of_the_recipe():
    found = problems(write("seed: 1"))
    assert [line.split(":")[3].strip() for line in found] == ["bottleneck", "data", "encoder"]
    assert all(line.startswith("x.yaml:1:1: ") for line in found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1:1: is empty; a recipe is a mapping of sections"),
        (b"# only a comment\n", "1:1: is empty; a recipe is a mapping of sections"),
        (b"- a", "1:1: a recipe is a mapping of sections, found a list of 1"),
        (b"seed: 1\n\xff", "2:1: is not UTF-8 text (byte 0xff)"),
        (b"seed: 1\nname: a\x00b", "2:8: control character '\\x00'; remove it"),
        (b"seed: @1", "1:7: not YAML: "),
        (b"train:\n\tlr: 1", "2:1: not YAML: a tab; indent with spaces"),
        (b"seed: 1\n---\nseed: 2", "2:1: a second YAML document; a recipe is one document"),
        (b"seed: *a", "1:7: no anchor &a ends before this"),
        (b"data: &a [*a]", "1:11: no anchor &a ends before this"),
        (b"data: " + b"[" * 2000, "1:69: nested more than 64 levels deep"),
        (b"extends: 3", "1:10: extends must be the path of a recipe, found 3"),
        (b"extends: recipes/task/bas.yaml", "1:10: extends: no file and no recipe 'recipes/task/bas.yaml'"),
        (b"extends: x.yaml", "1:10: extends: 'x.yaml' extends this file again, in a circle"),
        (b"#" * 1_000_001, "1:1: is larger than 1000000 bytes; this cannot be a recipe"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(content, message):
    Path("x.yaml").write_bytes(content)
    (found,) = problems("x.yaml")
    assert found.startswith(f"x.yaml:{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2", "3:1: seed: written twice, first at x.yaml:2:1"),
        ("seed: !!int 1", "2:7: tag 'tag:yaml.org,2002:int'; recipes have no tags, remove it"),
        ("? [a]\n: 1", "2:3: a key must be a word"),
    ],
)
def test_what_yaml_allows_and_recipes_do_not_is_reported_with_the_rest(text, message):
    found = wrong(f"{text}\ntrain: {{lr: 0}}")
    assert f"x.yaml:{message}" in found
    assert len(found) == 2


def test_anchors_work_and_may_not_explode():
    assert over_base("train: {steps: &a 7}\nevaluate: {seed: *a}").evaluate.seed == 7
    lists = "\n".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))
    (found,) = wrong(f"train:\n  a0: &a0 [1]\n{lists}")
    assert "anchors expand to more than 100000 values" in found


def test_a_long_chain_of_anchors_is_too_deep():
    lists = "\n".join(f"  a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))
    (found,) = wrong(f"train:\n  a0: &a0 [1]\n{lists}")
    assert "nested more than 64 levels deep" in found


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lr=-1", "train.lr must be greater than 0, found -1"),
        ("trian.lr=1", "trian: unknown section; did you mean 'train'? (accepted: extends"),
        ("train.lrr=1", "train.lrr: unknown parameter of section train; did you mean 'lr'? (accepted: steps"),
        ("train.lr", "'train.lr': an override is KEY=VALUE, for example train.steps=100"),
        ("train..lr=1", "'train..lr=1': an override is KEY=VALUE, for example train.steps=100"),
        ("train.lr=[", "train.lr: not YAML: "),
        ("train.lr=\udcff", "train.lr: control character '\\udcff'; remove it"),
        ("extends=a", "extends: cannot be overridden; give the recipe that extends the other"),
        (
            "bottleneck.use=emaa",
            "bottleneck.use: there is no bottleneck 'emaa'; did you mean 'ema'? (accepted:",
        ),
        (f"{'a.' * 100}b=1", "'a.a.a"),
    ],
)
def test_an_override_is_checked_as_the_recipe_is(override, message):
    (found,) = problems("task/row", overrides=[override])
    assert found.startswith(f"command line: {message}")


def test_an_unknown_preset_is_named_with_the_existing_ones_beside_the_other_problems():
    found = problems("task/row", preset="smal", overrides=["seed=a"])
    assert found == [
        "command line: seed must be a whole number, found 'a'",
        "command line: there is no preset 'smal'; did you mean 'small'? (accepted: small)",
    ]


def test_a_preset_extends_nothing(folder):
    (folder / "base.odd.yaml").write_text("extends: base.yaml\n")
    (found,) = problems("task/row", preset="odd")
    assert found.startswith("recipes/task/base.odd.yaml:1:1: extends: a preset extends nothing")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("task/roww", "'task/roww' is no recipe; did you mean 'task/row'?"),
        ("recipes", "'recipes' is not a file"),
        ("a\0b", "'a\\x00b' is no recipe"),
        ("", "'' is no recipe"),
        ("x" * 5000, "'xxx"),
    ],
)
def test_an_unknown_recipe_is_named_with_the_nearest(name, message):
    (found,) = problems(name)
    assert found.startswith(f"command line: {message}")


def test_extends_in_a_circle_is_reported(folder):
    (folder / "base.yaml").write_text("extends: row.yaml\n")
    (found,) = problems("task/row")
    assert found == "recipes/task/base.yaml:1:10: extends: 'row.yaml' extends this file again, in a circle"


def test_a_plugin_that_cannot_be_imported_is_a_problem_of_the_line_that_uses_it(monkeypatch):
    broken = plugins.Component("encoder", "broken", "no_such_module:Encoder", "fake", "fakes", "1")
    monkeypatch.setattr(plugins, "_scan", lambda: SimpleNamespace(components=[broken], broken=[]))
    found = problems(write("encoder: {use: broken}"))
    assert any(line.startswith("x.yaml:1:16: encoder.use: encoder 'broken'") for line in found)
