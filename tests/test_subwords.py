"""Subwords over codes: lossless, deterministic, and merged as the definition says."""

from __future__ import annotations

import json
import sys
from collections import Counter
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitdisc.errors import DataError, RecipeError, StorageError
from unitdisc.rates import rates
from unitdisc.subwords import MODEL, PIECES, Subwords

pytest.importorskip("sentencepiece")
NUM_CODES = 7
WORDS = ([0, 1, 2], [2, 3], [4, 0], [1, 4, 1])
"""Codes 5 and 6 never occur."""


def sentences(count: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.concatenate([WORDS[word] for word in rng.integers(0, 4, 9)])[:, None] for _ in range(count)]


@cache
def trained(num_codebooks: int = 1) -> Subwords:
    sequences = [np.tile(codes, num_codebooks) for codes in sentences()]
    return Subwords.train(sequences, num_codes=NUM_CODES, num_codebooks=num_codebooks, size=40)


def merges(sequences: list[list[int]], count: int) -> list[tuple[int, ...]]:
    """Byte-pair encoding as it is defined: count all neighbours anew, merge the commonest, again and again."""
    found: list[tuple[int, ...]] = []
    texts = [[(code,) for code in sequence] for sequence in sequences]
    for _ in range(count):
        pairs = Counter(pair for text in texts for pair in pairwise(text))
        left, right = min(pairs, key=lambda pair: (-pairs[pair], len(pair[0] + pair[1]), pair[0] + pair[1]))
        found.append(left + right)
        texts = [merged(text, left, right) for text in texts]
    return found


def merged(
    text: list[tuple[int, ...]], left: tuple[int, ...], right: tuple[int, ...]
) -> list[tuple[int, ...]]:
    result, place = [], 0
    while place < len(text):
        if text[place : place + 2] == [left, right]:
            result.append(left + right)
            place += 2
        else:
            result.append(text[place])
            place += 1
    return result


@pytest.mark.parametrize("seed", range(5))
def test_pieces_are_the_merges_of_the_definition(seed: int):
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(0, NUM_CODES - 1, rng.integers(1, 30)).tolist() for _ in range(12)]
    subwords = Subwords.train(map(np.array, sequences), num_codes=NUM_CODES, size=1 + NUM_CODES + 12)
    assert subwords.pieces[0] == ()
    assert subwords.pieces[1:13] == merges(sequences, 12)
    assert sorted(subwords.pieces[13:]) == [(code,) for code in range(NUM_CODES)]


def test_a_text_is_cut_in_the_order_of_the_merges():
    subwords, text = trained(), sentences()[0][:, 0].tolist()
    pieces = [(code,) for code in text]
    for piece in subwords.pieces[1:-NUM_CODES]:
        for cut in range(1, len(piece)):
            pieces = merged(pieces, piece[:cut], piece[cut:])
    assert [subwords.pieces[piece] for piece in subwords.encode(np.array(text))] == pieces


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, NUM_CODES - 1), max_size=40))
def test_decoding_gives_back_every_sequence_also_of_codes_never_met(codes: list[int]):
    found = trained().decode(trained().encode(np.array(codes)))
    assert found.dtype == np.int64
    assert found.tolist() == [[code] for code in codes]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, NUM_CODES - 1)] * 3), max_size=20))
def test_decoding_gives_back_units_of_several_codebooks(units: list[tuple[int, ...]]):
    codes = np.array(units, np.int64).reshape(-1, 3)
    assert np.array_equal(trained(3).decode(trained(3).encode(codes)), codes)


@pytest.mark.parametrize(("num_codes", "num_codebooks"), [(65_536, 1), (1024, 8), (1, 1), (65_536, 2)])
def test_every_code_of_any_codebook_comes_back(num_codes: int, num_codebooks: int):
    codes = np.repeat(np.arange(num_codes)[:, None], num_codebooks, axis=1)
    letters = num_codes * num_codebooks
    subwords = Subwords.train([codes[:3]], num_codes=num_codes, num_codebooks=num_codebooks, size=letters + 3)
    assert len(subwords.pieces) <= letters + 3
    assert np.array_equal(subwords.decode(subwords.encode(codes)), codes)


def test_a_long_recording_is_learnt_from_and_comes_back():
    codes = np.concatenate([np.tile(WORDS[0], 40_000), [5]])
    subwords = Subwords.train([codes], num_codes=NUM_CODES, size=1 + NUM_CODES + 4)
    assert subwords.pieces[1:3] == [(0, 1), (0, 1, 2)]
    assert len(subwords.encode(codes)) == 10_001  # four words to a piece, and the last code
    assert np.array_equal(subwords.decode(subwords.encode(codes))[:, 0], codes)


def test_pieces_are_fewer_than_codes():
    lengths = [(len(codes), len(trained().encode(codes))) for codes in sentences()]
    assert all(pieces < codes / 2 for codes, pieces in lengths)


def test_the_same_sequences_give_the_same_files(tmp_path: Path):
    for name in ("a", "b"):
        Subwords.train(sentences(), num_codes=NUM_CODES, size=40).save(tmp_path / name)
    for name in (PIECES, MODEL):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_is_saved_is_loaded(tmp_path: Path):
    trained(3).save(tmp_path / "subwords")
    loaded = Subwords.load(tmp_path / "subwords")
    codes = np.random.default_rng(1).integers(0, NUM_CODES, (30, 3))
    assert loaded.encode(codes) == trained(3).encode(codes)
    assert np.array_equal(loaded.decode(loaded.encode(codes)), codes)
    assert vars(loaded)["checkpoint"] == ""


def test_decoding_needs_no_sentencepiece_and_encoding_says_how_to_get_it(tmp_path: Path, monkeypatch):
    trained().save(tmp_path / "subwords")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    loaded = Subwords.load(tmp_path / "subwords")
    assert loaded.decode([1]).tolist() == [[code] for code in loaded.pieces[1]]
    with pytest.raises(RecipeError, match=r"pip install 'unitdisc\[translation\]'"):
        loaded.encode(np.array([1]))


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        ([0, NUM_CODES], "found 7; these subwords know 0 to 6"),
        ([-1, 0], "found -1"),
        ([0.5], "expected whole numbers"),
        ([[1, 2]], r"found shape \(1, 2\)"),
    ],
)
def test_what_is_no_code_is_refused(codes: list, found: str):
    with pytest.raises(DataError, match=found):
        trained().encode(np.array(codes))


@pytest.mark.parametrize("piece", [0, 40, -1])
def test_a_number_that_is_no_piece_is_refused(piece: int):
    assert len(trained().pieces) == 40
    with pytest.raises(DataError, match=rf"piece {piece} is not in \[1, 39\]"):
        trained().decode([1, piece])


def test_pieces_that_spell_half_a_unit_are_refused():
    half = trained(3).pieces.index((0,))
    for pieces in ([half], [half, half, half]):
        with pytest.raises(DataError, match="do not spell whole units of 3 codes"):
            trained(3).decode(pieces)


@pytest.mark.parametrize(
    ("arguments", "error", "found"),
    [
        ({"size": 7}, RecipeError, "size 7 leaves no room: each of the 7 codes is a piece"),
        ({"size": 9, "num_codes": 2**17 + 1}, RecipeError, "131,073 codes in all codebooks; at most 131,072"),
        ({"size": 9, "sequences": [np.zeros((0, 1), np.int64)]}, DataError, "no unit to learn from"),
    ],
)
def test_what_cannot_be_learnt_is_said(arguments: dict, error: type, found: str):
    with pytest.raises(error, match=found):
        partial(Subwords.train, sequences=sentences(), num_codes=NUM_CODES)(**arguments)


def test_damaged_and_missing_subwords_are_named(tmp_path: Path):
    folder = tmp_path / "subwords"
    with pytest.raises(StorageError, match="no subwords are here"):
        Subwords.load(folder)
    trained().save(folder)
    (folder / MODEL).write_bytes(b"nothing")
    with pytest.raises(StorageError, match=r"sentencepiece\.model: damaged"):
        Subwords.load(folder).encode(np.array([1]))
    for text in ('{"num_codes"', "[]", json.dumps({"num_codes": 3})):
        (folder / PIECES).write_text(text)
        with pytest.raises(StorageError, match=r"pieces\.json: damaged"):
            Subwords.load(folder)


def test_a_folder_of_other_files_is_not_replaced(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StorageError, match="holds other files"):
        trained().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_rates_are_counts_and_entropies():
    codes = [np.array([[0], [0], [1], [1]]), np.array([[0]])]
    found = {rate.name: (rate.count, rate.bits) for rate in rates(codes, [[4], [5]])}
    thirds = -(2 / 3) * np.log2(2 / 3) - (1 / 3) * np.log2(1 / 3)
    assert found == {
        "codes": (5, pytest.approx(-0.6 * np.log2(0.6) - 0.4 * np.log2(0.4))),
        "deduplicated": (3, pytest.approx(thirds)),
        "pieces": (2, 1.0),
        "durations": (3, pytest.approx(thirds)),
    }
