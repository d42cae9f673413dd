"""The shipped recipes, damaged at random and misspelt: a message with a place, and the right suggestion."""

from __future__ import annotations

import random
import re
import shutil
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from unitdisc import plugins, recipe_files
from unitdisc.errors import RecipeError
from unitdisc.overlay import NAMED
from unitdisc.problems import Problems
from unitdisc.recipe import available, read
from unitdisc.suggest import is_one_edit, nearest
from unitdisc.yaml_marks import Node, read_file

MUTANTS = 1000
LINE = re.compile(r"(?:\S+\.yaml:[1-9]\d*:[1-9]\d*|command line): \S.*")
TOKENS = re.compile(r"\s+|\w+|[^\w\s]")
ODD = [
    *("null", "true", "yes", "''", '"\\0"', "1e999", "-1", "0", "9" * 30, "1e-3", ".5", "~", "é"),
    *("\x00", "\x85", "\u2028", "[", "]", "{", "}", "{}", "[]", ": ", "? ", "- ", "#", "&a ", "*a"),
    *("!!int 1", "!x", "<<", "|", ">", "---\n", "...\n", "%YAML 9\n", "\t", "\n", "\r", "@", "`", "'", '"'),
    *("use", "extends: x.yaml\n", "extends: base.yaml\n", "synth_speech"),
]

MOST_SPELLINGS = 25  # of a file: there are 150 of them
RECIPES = [info.name for info in available()]


@pytest.fixture
def damageable(tmp_path, monkeypatch) -> None:
    """A copy of the shipped recipes that may be damaged; recipes are found in it by name."""
    copy = tmp_path / "recipes"
    shutil.copytree(recipe_files.folder(), copy)
    monkeypatch.setattr(recipe_files, "folder", lambda: copy)
    monkeypatch.chdir(tmp_path)


def damaged_bytes(rng: random.Random, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(damaged))
        damaged[place : place + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
    return bytes(damaged)


def damaged_lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.decode().splitlines(keepends=True)
    for _ in range(rng.randint(1, 3)):
        place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[place] = rng.choice(
            ["", lines[other], lines[place] * 2, "  " + lines[place], lines[place].lstrip()]
        )
    return "".join(lines).encode()


def damaged_tokens(rng: random.Random, content: bytes) -> bytes:
    tokens = TOKENS.findall(content.decode())
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(tokens))
        tokens[place] = rng.choice([rng.choice(tokens), rng.choice(ODD), tokens[place] + rng.choice(ODD)])
    return "".join(tokens).encode()


def damaged_structure(rng: random.Random, content: bytes) -> bytes:
    whole = yaml.safe_load(content)
    places = list(containers(whole))
    for _ in range(rng.randint(1, 3)):
        place, other = rng.choice(places), rng.choice(places)
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        values = [
            None,
            -1,
            1.5,
            True,
            "x",
            [],
            {},
            [None],
            {"use": 3},
            {"use": "ema"},
            str(other),
            yaml.safe_dump(other),
        ]
        place[key] = rng.choice(values)
        if isinstance(place, dict) and rng.random() < 0.3:
            place[rng.choice(["", "a.b", "use", "é", 7, None, "data", "x" * 99])] = place.pop(key)
    return yaml.safe_dump(whole).encode()


def containers(value: object) -> Iterator[dict | list]:
    if isinstance(value, dict | list) and value:
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def files_of(name: str) -> list[Path]:
    """The files that make up a recipe, and its presets."""
    chain = [path for path, _ in recipe_files.chain(recipe_files.find(name, Problems()), Problems())]
    return chain + [overlay for path in chain for overlay in recipe_files.presets(path).values()]


def presets_of(name: str) -> set[str]:
    chain = recipe_files.chain(recipe_files.find(name, Problems()), Problems())
    return {preset for path, _ in chain for preset in recipe_files.presets(path)}


def preset_of(name: str, path: Path) -> str | None:
    return next((preset for preset in presets_of(name) if path.name.endswith(f".{preset}.yaml")), None)


def message(name: str, **options: object) -> str:
    """What reading says is wrong; nothing when it is right."""
    try:
        read(name, **options)
    except RecipeError as error:
        return str(error)
    return ""


@pytest.mark.usefixtures("damageable")
@pytest.mark.parametrize("damage", [damaged_bytes, damaged_lines, damaged_tokens, damaged_structure])
def test_a_damaged_recipe_gives_messages_with_places_or_reads_again(damage):
    rng = random.Random(damage.__name__)
    refused = 0
    for _ in range(MUTANTS // 4):
        name = rng.choice(RECIPES)
        path = rng.choice(files_of(name))
        preset = preset_of(name, path)
        content = path.read_bytes()
        path.write_bytes(damage(rng, content))
        found = message(name, preset=preset)
        if found:
            refused += 1
            assert [line for line in found.splitlines() if not LINE.fullmatch(line)] == []
        else:
            recipe = read(name, preset=preset)
            Path("again.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
            assert read("again.yaml") == recipe
        path.write_bytes(content)
    assert refused > MUTANTS // 20


def misspelt(rng: random.Random, word: str) -> list[str]:
    """One letter replaced, left out, put in, and two swapped, each at a random place."""
    place = rng.randrange(len(word))
    swap = rng.randrange(max(1, len(word) - 1))
    letter = rng.choice(string.ascii_lowercase)
    return [
        word[:place] + letter + word[place + 1 :],
        word[:place] + word[place + 1 :],
        word[:place] + letter + word[place:],
        word[:swap] + word[swap : swap + 2][::-1] + word[swap + 2 :],
    ]


def words_of(node: Node, *, is_named: bool = False) -> Iterator[tuple[str, int, int]]:
    """Yield every key, and every value of a ``use``, with its line and column; names of heads are free."""
    for key, inner in node.data.items():
        if not is_named:
            yield key, inner.key.line, inner.key.column
        if key == "use":
            yield inner.data, inner.place.line, inner.place.column
        if isinstance(inner.data, dict):
            yield from words_of(inner, is_named=key in NAMED)


def spellings(rng: random.Random, path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each word of a recipe file that has a right spelling, a wrong one, and the file with that."""
    content = path.read_text(encoding="utf-8")
    for word, line, column in words_of(read_file(path, Problems())):
        lines = content.splitlines(keepends=True)
        before, after = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
        assert after.startswith(word)
        for wrong in misspelt(rng, word):
            if wrong not in ("", word):
                lines[line - 1] = before + wrong + after.removeprefix(word)
                yield word, wrong, "".join(lines)


@pytest.mark.timeout(400)  # a minute of one core
@pytest.mark.usefixtures("damageable")
def test_every_key_and_component_misspelt_by_one_letter_gets_the_right_suggestion():
    users: dict[Path, list[str]] = {}
    for name in RECIPES:
        for path in files_of(name):
            users.setdefault(path, []).append(name)
    tried, missed = 0, []
    for path, names in users.items():
        content = path.read_bytes()
        rng = random.Random(path.name)
        found = list(spellings(rng, path))
        for word, wrong, text in rng.sample(found, min(MOST_SPELLINGS, len(found))):
            path.write_text(text, encoding="utf-8")
            tried += 1
            # A recipe that replaces the section does not see what is wrong with it, another one does.
            if not any(
                f"did you mean '{word}'?" in message(name, preset=preset_of(name, path)) for name in names
            ):
                missed.append((path.name, word, wrong))
        path.write_bytes(content)
    assert tried > 15 * len(users)
    assert len(missed) <= 0.05 * tried, missed


@pytest.mark.parametrize("name", RECIPES)
def test_a_misspelt_preset_or_override_or_recipe_gets_the_right_suggestion(name):
    rng = random.Random(name)
    for wrong in misspelt(rng, "small"):
        if wrong != "small":
            assert "did you mean 'small'?" in message(name, preset=wrong)
    for wrong in misspelt(rng, "batch_frames"):
        if wrong != "batch_frames":
            assert "did you mean 'batch_frames'?" in message(name, overrides=[f"train.{wrong}=1"])
    for wrong in misspelt(rng, name):
        if wrong != name:
            assert f"did you mean '{name}'?" in message(wrong)


def test_every_recipe_reads_with_every_preset():
    for name in RECIPES:
        for preset in (None, *presets_of(name)):
            assert read(name, preset=preset).name == name


def test_a_component_misspelt_in_any_place_comes_back():
    tried, missed = 0, []
    for kind in plugins.KINDS:
        names = list(plugins.components(kind))
        for name in names:
            edits = {
                name[:place] + letter + name[place + 1 :] for place in range(len(name)) for letter in "aeqz_"
            }
            edits |= {name[:place] + name[place + 1 :] for place in range(len(name))} - set(names) - {name}
            tried += len(edits)
            missed += [(name, wrong) for wrong in edits - {name} if nearest(wrong, names) != name]
    assert len(missed) <= 0.05 * tried, missed


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("lr", "l", True),
        ("lr", "rl", True),
        ("lr", "lxr", True),
        ("lr", "lx", True),
        ("lr", "lxx", False),
        ("abcd", "bacd", True),
        ("abcd", "badc", False),
        ("abcd", "abdc", True),
        ("abcd", "dbca", False),
        ("", "a", True),
        ("", "", False),
        ("ab", "ab", False),
        ("ab", "abcd", False),
    ],
)
def test_one_edit_is_one_letter(first, second, is_one):
    assert is_one_edit(first, second) == is_one
    assert is_one_edit(second, first) == is_one
