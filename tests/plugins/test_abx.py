"""ABX against triplets in loops, against values of fastabx, and on what can be worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import product

import numpy as np
import pytest

from tests.plugins import abx_oracle as oracle
from tests.plugins.metric_oracles import score
from unitdisc.data import TargetSpec
from unitdisc.errors import DataError, RecipeError
from unitdisc.metric import Evaluated
from unitdisc.testing import check_metric
from unitdisc_abx.abx import ABX
from unitdisc_abx.tokens import Token

WHOLE = {"max_size_group": None, "max_x_across": None}
FRAMES = {
    "units": lambda item: item.codes,
    "latents": lambda item: item.latents,
    "values": lambda item: item.values,
    "inputs": lambda item: item.inputs.reshape(len(item.inputs), -1),
}
DISTANCES = {
    ("angular", "far"): oracle.angular,
    ("angular", "diagonal"): oracle.angular_diagonal,
    ("euclidean", "far"): oracle.euclidean,
    ("kl", "far"): oracle.kl,
    ("identical", "far"): oracle.identical,
}


def speech(
    seed: int,
    *,
    stride: int = 2,
    books: int = 1,
    distance: str = "angular",
    labels: int = 3,
    lengths: tuple[int, int] = (20, 40),
) -> list[Evaluated]:
    """Return a few short utterances of three writers, some frames of them unlabelled and some of zeros."""
    draw = np.random.default_rng(seed)
    split = []
    for number in range(6):
        frames = int(draw.integers(*lengths))
        runs = np.repeat(draw.integers(-1, labels, frames), draw.integers(1, 5, frames))[:frames]
        latents = -(-frames // stride)

        def vectors(*shape: int) -> np.ndarray:
            drawn = draw.normal(size=shape).astype(np.float32)
            if distance == "kl":
                drawn = np.exp(drawn) * (draw.random(shape) < 0.8) + 1e-3
                return (drawn / drawn.sum(1, keepdims=True)).astype(np.float32)
            return drawn * (draw.random(shape[0]) < 0.85).reshape(-1, *[1] * (len(shape) - 1))

        split.append(
            Evaluated(
                key=f"u{number}",
                codes=draw.integers(0, 3, (latents, books)),
                num_codes=3,
                num_frames=frames,
                stride=stride,
                targets={"phones": runs},
                fields={"writer": "abc"[number % 3]},
                frame_rate=100.0,
                inputs=vectors(frames, 4) if distance == "kl" else vectors(frames, 2, 2),
                latents=vectors(latents, 4),
                values=vectors(latents, 4),
            )
        )
    return split


CASES = list(
    product(
        ["units", "latents", "values", "inputs"],
        ["angular", "euclidean", "kl", "identical"],
        ["within", "across"],
        ["within", "any"],
        ["single", "triple"],
        ["standard", "librilight"],
        ["far", "diagonal"],
    )
)
CASES = [case for case in CASES if (case[0] == "units") == (case[1] == "identical")]
CASES = [case for case in CASES if case[1] == "angular" or case[-1] == "far"]


def compare(seed: int, case: tuple[str, ...]) -> bool:
    """Return whether there was something to compare, after having found the same as the loops."""
    on, distance, speaker, context, span, slicing, zero_frames = case
    stride = 1 + seed % 2
    labels = 2 + (span == "triple")  # two labels that follow each other never have the same neighbours
    lengths = (10, 18) if context == "any" else (20, 30)
    split = speech(seed, stride=stride, books=1 + seed % 2, distance=distance, labels=labels, lengths=lengths)
    metric = ABX(
        target="phones",
        on=on,
        distance=distance,
        speaker=speaker,
        context=context,
        span=span,
        slicing=slicing,
        zero_frames=zero_frames,
        field="writer",
        **WHOLE,
    )
    cut = partial(oracle.sounds, split, FRAMES[on], span=span, slicing=slicing, field="writer")
    sounds = cut(stride=1 if on == "inputs" else stride, context=context)
    try:
        found = score(metric, split)
    except DataError:
        with pytest.raises(ZeroDivisionError):
            oracle.abx_error(sounds, DISTANCES[distance, zero_frames], across=speaker == "across")
        return False
    expected = oracle.abx_error(sounds, DISTANCES[distance, zero_frames], across=speaker == "across")
    assert found["value"] / 100 == pytest.approx(expected, abs=1e-6)
    assert found["tokens"] == len(sounds)
    return True


@pytest.mark.parametrize("part", range(10))
def test_error_is_that_of_loops_over_triplets_whatever_the_options(part: int) -> None:
    for number in range(50 * part, 50 * part + 50):
        seed = number
        while not compare(seed, CASES[number % len(CASES)]):
            seed += 500


def tokens(
    vectors: np.ndarray, labels: list[str], speakers: list[str], contexts: list[str], item_file: object
) -> list[Evaluated]:
    """Return one utterance per speaker whose frames, one token each, an item file describes."""
    lines = ["#file onset offset #phone prev-phone next-phone speaker"]
    split = []
    for speaker in dict.fromkeys(speakers):
        mine = [n for n, name in enumerate(speakers) if name == speaker]
        lines += [
            f"{speaker} {0.02 * place:.2f} {0.02 * place + 0.02:.2f} {labels[n]} {contexts[n]} x {speaker}"
            for place, n in enumerate(mine)
        ]
        split.append(
            Evaluated(
                speaker,
                vectors[mine, :1].astype(np.int64),
                4,
                2 * len(mine),
                2,
                frame_rate=100.0,
                latents=vectors[mine],
            )
        )
    item_file.write_text("\n".join(lines) + "\n")
    return split


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ("euclidean", 0.4913194353381793),
        ("angular", 0.4809027786056201),
        ("kl", 0.4340277736385663),
        ("identical", 0.5),
    ],
)
def test_values_that_fastabx_holds_itself_to_come_out(distance: str, expected: float, tmp_path) -> None:
    # fastabx, tests/test_regression.py: 36 single frames, three phones, two contexts, three speakers, across them.
    draw = np.random.default_rng(2026)
    vectors = draw.standard_normal((36, 6)).astype(np.float32)
    if distance == "kl":
        vectors = np.abs(vectors) + 0.1
        vectors = vectors / vectors.sum(1, keepdims=True)
    if distance == "identical":
        vectors = (np.arange(36) % 4).reshape(-1, 1).astype(np.float32)
    speakers = [f"s{1 + n // 12}" for n in range(36)]
    path = tmp_path / "phones.item"
    split = tokens(vectors, ["a", "b", "c"] * 12, speakers, ["c1", "c2"] * 18, path)
    on = "units" if distance == "identical" else "latents"
    metric = ABX(item_file=path, on=on, distance=distance, speaker="across", **WHOLE)
    assert score(metric, split)["value"] / 100 == pytest.approx(expected, abs=1e-6)


def single(codes: list[int], labels: list[int], *, key: str = "u", who: str = "w") -> Evaluated:
    array = np.array(codes)[:, None]
    return Evaluated(
        key,
        array,
        9,
        len(labels),
        1,
        {"phones": np.array(labels)},
        fields={"speaker": who},
        latents=array * 1.0,
    )


def test_hand_worked_cell_within_a_speaker() -> None:
    # Label 0 is written 1 and 2, label 1 is written 1. For X = 1 the other token of its label is farther than B:
    # wrong. For X = 2, A = 1 and B = 1 are equally far: a half. Label 1 has one token and so no cell as A.
    found = score(ABX(target="phones", context="any"), [single([1, 1, 2], [0, 1, 0])])
    assert found == {"value": 75.0, "pairs": 1, "cells": 1, "triplets": 2, "tokens": 3, "empty": 0}


def test_mean_over_contexts_comes_before_that_over_speakers(tmp_path) -> None:
    # Speaker s1: wrong in the context p and right in q, 1/2 in all; s2: wrong. The mean of these is 3/4; over
    # cells it would be 2/3, over triplets 3/4 or another number.
    rows = [("s1", "p", [1, 2], [1, 2]), ("s1", "q", [5, 5], [6]), ("s2", "p", [1, 2], [1, 2])]
    vectors, labels, speakers, contexts = [], [], [], []
    for who, where, a_units, b_units in rows:
        for label, units in (("a", a_units), ("b", b_units)):
            vectors += units
            labels += [label] * len(units)
            speakers += [who] * len(units)
            contexts += [where] * len(units)
    path = tmp_path / "x.item"
    split = tokens(np.array(vectors)[:, None], labels, speakers, contexts, path)
    found = score(ABX(item_file=path, **WHOLE), split)
    # In p both labels are written 1 and 2: A is always wrong, B half of the time right, for a and for b alike:
    # of B's two tokens one equals X (wrong), the other is as far as A (a half): 3/4.
    assert found["value"] == pytest.approx(100 * np.mean([np.mean([np.mean([0.75, 0]), 0.75]), 0.75]))
    assert found["cells"] == 5


def test_units_are_warped_with_x_first(monkeypatch) -> None:
    # Which of several paths of the same sum is taken, and so its length, hangs on which sequence comes first.
    split = [speech(seed, stride=1, labels=2) for seed in range(5)]
    options = {"context": "any", "span": "single", "slicing": "standard", "field": "writer"}
    sounds = [oracle.sounds(each, FRAMES["units"], stride=1, **options) for each in split]
    forth = [oracle.abx_error(each, oracle.identical, across=False) for each in sounds]
    warp = oracle.warp
    monkeypatch.setattr(oracle, "warp", lambda costs: warp(list(zip(*costs, strict=True))))
    back = [oracle.abx_error(each, oracle.identical, across=False) for each in sounds]
    metric = partial(ABX, target="phones", context="any", field="writer", **WHOLE)
    found = [score(metric(), each)["value"] / 100 for each in split]
    assert found == pytest.approx(forth, abs=1e-12)
    assert found != pytest.approx(back, abs=1e-3)


@pytest.mark.parametrize(
    ("onset", "offset", "standard", "librilight"),
    [
        ("0.2925", "0.4725", (15, 24), (15, 23)),  # the first items of the documentation of fastabx, at 50 Hz
        ("0.3725", "0.5325", (19, 27), (19, 26)),
        ("0.01", "0.03", (0, 2), (0, 1)),  # middles on both edges belong to it
        ("0.02", "0.04", (1, 2), (1, 1)),
        ("0.011", "0.029", (1, 1), (1, 0)),  # the middle of no frame
        ("0.29", "0.31", (14, 16), (14, 15)),  # 0.29 * 50 is less than 14.5 in floating point
    ],
)
def test_slices_are_those_of_the_peers(
    onset: str, offset: str, standard: tuple[int, int], librilight: tuple[int, int]
) -> None:
    token = Token(Fraction(onset), Fraction(offset), "IH", ("L", "NG"), "6295")
    assert token.frames(Fraction(50), "standard") == standard
    assert token.frames(Fraction(50), "librilight") == librilight


def test_target_and_item_file_cut_alike(tmp_path) -> None:
    split = speech(3, stride=3)
    lines = ["#file onset offset #phone prev-phone next-phone speaker"]
    for item in split:
        labels = item.targets["phones"]
        edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
        runs = [int(labels[edge]) for edge in edges[:-1]]
        around = [-1, *runs, -1]
        lines += [
            f"{item.key} {edges[n] / 100:.2f} {edges[n + 1] / 100:.2f} {run} {around[n]} {around[n + 2]} "
            f"{item.fields['writer']}"
            for n, run in enumerate(runs)
            if run >= 0
        ]
    path = tmp_path / "phones.item"
    path.write_text("\n".join(lines))
    options = {"on": "latents", "context": "any", "speaker": "across"}
    found = score(ABX(item_file=path, slicing="librilight", **options), split)
    assert found == score(ABX(target="phones", field="writer", slicing="librilight", **options), split)


def test_sampling_takes_no_more_than_it_may_and_hangs_on_the_seed() -> None:
    split = speech(1, labels=2, stride=1)
    common = {"target": "phones", "on": "latents", "context": "any", "field": "writer", "speaker": "across"}
    whole = score(ABX(**common, **WHOLE), split)
    few = [score(ABX(**common, max_size_group=2, max_x_across=1, seed=seed), split) for seed in (0, 0, 1)]
    assert whole["cells"] == 2 * 3 * 2  # ordered pairs of labels, speakers, other speakers
    assert few[0]["cells"] == 2 * 3 * 1
    assert few[0]["triplets"] == 6 * 2 * 2 * 2
    assert few[0] == few[1] != few[2]
    assert score(ABX(**common, max_size_group=999, max_x_across=9), split) == whole


def test_sampled_error_is_that_of_the_whole_on_average() -> None:
    split = speech(1, labels=2, stride=1)
    common = {"target": "phones", "on": "latents", "context": "any", "field": "writer"}
    whole = score(ABX(**common, **WHOLE), split)["value"]
    sampled = [score(ABX(**common, max_size_group=2, seed=seed), split)["value"] for seed in range(200)]
    assert np.std(sampled) > 1
    assert np.mean(sampled) == pytest.approx(whole, abs=4 * np.std(sampled) / np.sqrt(200))


def test_labels_as_units_make_no_error_and_one_unit_makes_chance() -> None:
    labels = [0, 0, 1, 2, 2, 2, 0, 1, 1, 2, 0, 0, 1]
    options = {"target": "phones", "context": "any"}
    assert score(ABX(**options), [single(labels, labels)])["value"] == 0
    assert score(ABX(**options), [single([4] * len(labels), labels)])["value"] == 50


@pytest.mark.parametrize("distance", ["angular", "euclidean", "kl"])
def test_indicators_of_units_tie_as_units_do(distance: str) -> None:
    # Rounding breaks these ties elsewhere, and moves the score by several points.
    for seed in range(5):
        split = speech(seed)
        hot = [
            Evaluated(**{**vars(item), "values": np.eye(37, dtype=np.float32)[item.codes[:, 0]]})
            for item in split
        ]
        common = {"target": "phones", "field": "writer", "context": "any"}
        units = score(ABX(**common), split)
        assert score(ABX(**common, on="values", distance=distance), hot) == pytest.approx(units, abs=1e-9)


def test_token_said_slowly_ties_with_itself() -> None:
    # The mean along the path of a frame that is repeated is the frame's distance, whatever it is.
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(12, 5)).astype(np.float32)
    for x, other in vectors.reshape(6, 2, 5):
        item = Evaluated(
            "u",
            np.zeros((5, 1), np.int64),
            1,
            5,
            1,
            {"phones": np.array([0, 1, 0, 0, 0])},
            fields={"speaker": "s"},
            latents=np.stack([x, other, other, other, other]),
        )
        found = score(ABX(target="phones", on="latents", context="any"), [item])
        assert found["value"] == 75  # X = the first: a tie; X = the last: it is nearer to B


def test_books_count_as_one_unit_or_one_by_one() -> None:
    split = speech(0, books=2)
    common = {"target": "phones", "field": "writer", "context": "any"}
    joined = [
        Evaluated(**{**vars(item), "codes": item.codes[:, :1] * 3 + item.codes[:, 1:], "num_codes": 9})
        for item in split
    ]
    second = [Evaluated(**{**vars(item), "codes": item.codes[:, 1:]}) for item in split]
    assert score(ABX(**common), split) == score(ABX(**common), joined)
    assert score(ABX(**common, book=1), split) == score(ABX(**common), second)


def test_tokens_without_a_frame_are_counted_or_refused() -> None:
    split = speech(2, stride=3)
    common = {"target": "phones", "field": "writer", "context": "any"}
    found = score(ABX(**common), split)
    assert found["empty"] > 0
    with pytest.raises(DataError, match=r"u\d: '\d' from \d+ to \d+ holds the middle of no frame; set empty"):
        score(ABX(**common, empty="refuse"), split)


def test_one_field_for_all_needs_none() -> None:
    item = single([1, 1, 2, 1], [0, 1, 0, 1])
    bare = Evaluated(**{**vars(item), "fields": {}})
    options = {"target": "phones", "context": "any"}
    assert score(ABX(**options, field=None), [bare]) == score(ABX(**options), [item])


TARGETS = {"phones": TargetSpec("frames", ("a", "b"))}


@pytest.mark.parametrize("on", ["units", "latents", "values", "inputs"])
@pytest.mark.parametrize("speaker", ["within", "across"])
def test_abx_keeps_the_contract(on: str, speaker: str) -> None:
    make = partial(ABX, target="phones", on=on, speaker=speaker, context="any", max_size_group=3)
    check_metric(make, targets=TARGETS, num_codebooks=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either a target or an item_file"),
        ({"target": "phones", "on": "units", "distance": "angular"}, "identical goes with units"),
        ({"target": "phones", "on": "latents", "distance": "identical"}, "identical goes with units"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ABX(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "letters"}, r"u: no target 'letters' to score \(accepted: phones\)"),
        ({"target": "phones", "field": "writer"}, r"u: no field 'writer' to score \(accepted: speaker\)"),
        ({"target": "phones", "book": 1}, r"u: codebook 1 does not exist \(accepted: 0 to 0\)"),
    ],
)
def test_names_that_do_not_exist_are_refused(options: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ABX(**options).update(single([1], [0]))


def test_nothing_to_compare_says_what_it_takes() -> None:
    with pytest.raises(
        DataError, match="within speakers it takes two tokens of a label by one speaker beside"
    ):
        score(ABX(target="phones"), [single([1, 2], [0, 1])])
    with pytest.raises(DataError, match="across speakers it takes a label by two speakers beside another"):
        score(ABX(target="phones", speaker="across"), [single([1, 2], [0, 1])])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(value: float) -> None:
    item = single([1, 2], [0, 1])
    item.latents[1] = value
    with pytest.raises(DataError, match="u: found numbers that are not finite"):
        ABX(target="phones", on="latents").update(item)


def test_vectors_that_are_no_distributions_are_refused_under_kl() -> None:
    with pytest.raises(DataError, match="u: found frames that are no distributions"):
        ABX(target="phones", on="latents", distance="kl").update(single([1, 2], [0, 1]))


HEADER = "#file onset offset #phone prev-phone next-phone speaker"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no item; write a header and a line per token"),
        (HEADER, "no item"),
        ("#file onset offset #phone prev next speaker\n", ":1: no column prev-phone in the header"),
        (f"{HEADER}\nu 0 1 a b c\n", ":2: 6 columns; the header has 7"),
        (f"{HEADER}\nu 0 x a b c s\n", ":2: 'x' is no number of seconds"),
        (f"{HEADER}\nu 0 nan a b c s\n", ":2: 'nan' is no number of seconds"),
        (f"{HEADER}\nu 1 1 a b c s\n", ":2: from 1 to 1 s; an item begins at 0 or later"),
        (f"{HEADER}\nu -1 1 a b c s\n", ":2: from -1 to 1 s"),
    ],
)
def test_item_files_that_are_wrong_are_refused_with_their_line(content: str, message: str, tmp_path) -> None:
    path = tmp_path / "x.item"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        ABX(item_file=path)


def test_item_behind_the_end_is_refused_and_cut_as_libri_light_does(tmp_path) -> None:
    path = tmp_path / "x.item"
    path.write_text(f"{HEADER}\nu 0.0 0.02 a - - s\nu 0.0 0.02 b - - s\nu 0.01 0.06 a - - s\n")
    item = Evaluated("u", np.array([[1], [2], [3]]), 4, 3, 1, frame_rate=100.0)
    with pytest.raises(DataError, match=r"u: 'a' ends at 0.06 s, in frame 6 of 3"):
        ABX(item_file=path).update(item)
    assert score(ABX(item_file=path, slicing="librilight"), [item])["tokens"] == 3


def test_files_that_the_split_lacks_are_refused(tmp_path) -> None:
    path = tmp_path / "x.item"
    path.write_text(f"{HEADER}\nu 0 0.01 a - - s\nv 0 0.01 a - - s\n")
    with pytest.raises(DataError, match="1 of 2 files are not in the split, such as v"):
        score(ABX(item_file=path), [Evaluated("u", np.array([[1]]), 4, 1, 1, frame_rate=100.0)])
