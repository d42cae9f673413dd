"""What the browser of units is made of: pieces of the split, sound, map, neighbours, and a real run."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

import unitdisc
from tests import tiny
from tests.report_pages import EVIL, KINDS, browser
from tests.tiny import Ran, command
from unitdisc import report_browser, report_scores
from unitdisc.data import FeatureSpec
from unitdisc.kinds import kind_of
from unitdisc.report import Inventory
from unitdisc.report.browse import as_json, colour
from unitdisc.report.excerpts import Excerpt, chosen, excerpts
from unitdisc.report.nearness import nearest, on_map
from unitdisc.report.sound import COLUMNS, RATE, mu_law, resampled, spectrogram
from unitdisc.run import Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    folder = tiny.corpora(tmp_path_factory.getbasetemp())
    return {kind: tiny.undisturbed(folder, kind) for kind in ("lines", "speech")}


def tone(hertz: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_mu_law_is_expanded_within_a_hundredth() -> None:
    samples = np.linspace(-1, 1, 1001)
    levels = (np.frombuffer(mu_law(samples), dtype=np.uint8).astype(float) - 128) / 127
    expanded = np.sign(levels) * (256.0 ** np.abs(levels) - 1) / 255  # as sound.js does it
    assert np.abs(expanded - samples).max() < 0.03
    quiet = np.abs(samples) < 0.1
    assert np.abs(expanded - samples)[quiet].max() < 0.004
    assert mu_law(np.array([5.0, -5.0])) == bytes([255, 1])


@pytest.mark.parametrize("rate", [8000, 12000, 16000, 22050, 48000])
def test_a_tone_stays_a_tone_at_any_rate(rate: int) -> None:
    heard = resampled(tone(440, rate), rate)
    assert len(heard) == RATE // 2
    assert np.abs(heard - tone(440, RATE))[500:-500].max() < 0.01


@pytest.mark.parametrize("hertz", [500, 2000, 6000])
def test_a_spectrogram_shows_a_tone_where_and_when_it_is(hertz: float) -> None:
    samples = np.concatenate([np.zeros(RATE // 2), tone(hertz, RATE)])
    image = spectrogram(samples)
    assert image.shape == (64, COLUMNS)
    loudest = 63 - image[:, 75].argmax()
    assert abs((loudest + 0.5) * 125 - hertz) < 125
    assert image[:, :48].max() < 20
    assert image[:, 52:98].max(axis=0).min() > 200


def test_the_shortest_sound_has_a_column() -> None:
    assert spectrogram(np.zeros(1)).shape == (64, 1)


def test_pieces_cover_the_split_without_overlap() -> None:
    pieces = excerpts([5, 12, 1], 5)
    steps = [(piece.index, step) for piece in pieces for step in range(piece.first, piece.stop)]
    assert steps == [(index, step) for index, length in enumerate([5, 12, 1]) for step in range(length)]
    assert max(piece.stop - piece.first for piece in pieces) == 5


def test_large_splits_give_three_thousand_pieces_from_all_over() -> None:
    pieces = excerpts([10] * 10_000, 10)
    assert 2000 < len(pieces) <= 3000
    assert pieces[-1].index > 9900


def test_pieces_are_chosen_until_every_unit_has_its_examples() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    common = [rng.integers(0, 20, 30) for _ in range(200)]
    rare = [np.array([20 + number]) for number in range(5)]
    sequences = [*common, *rare]
    found = list(chosen(excerpts(list(map(len, sequences)), 30), sequences, per_unit=3))
    met = Counter(int(unit) for piece in found for unit in sequences[piece.index])
    assert all(met[unit] >= 3 for unit in range(20))
    assert all(met[unit] == 1 for unit in range(20, 25))
    assert len(found) < 40
    assert len(set(found)) == len(found)


def test_a_unit_that_is_rare_comes_before_more_of_what_is_common() -> None:
    sequences = [np.array([0, 1] * 5)] * 50 + [np.array([7])]
    found = list(chosen(excerpts([10] * 50 + [1], 10), sequences, per_unit=100))
    assert found[12] == Excerpt(50, 0, 1)


def test_the_map_is_that_of_principal_components() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    used, unused = rng.normal(size=(40, 6)) * [5, 3, 1, 1, 1, 1], rng.normal(size=(3, 6))
    places, others, explained = on_map(used, unused)
    oracle = PCA(2).fit(used)
    assert explained == pytest.approx(oracle.explained_variance_ratio_.sum())
    for mine, theirs in ((places, oracle.transform(used)), (others, oracle.transform(unused))):
        scale = np.abs(oracle.transform(used)).max()
        assert np.allclose(np.abs(mine), np.abs(theirs / scale), atol=1e-9)


@pytest.mark.parametrize(("count", "size"), [(1, 4), (2, 1), (3, 1)])
def test_few_codewords_have_a_map(count: int, size: int) -> None:
    places, others, explained = on_map(
        np.arange(count * size, dtype=float).reshape(count, size), np.zeros((0, size))
    )
    assert places.shape == (count, 2)
    assert others.shape == (0, 2)
    assert explained == pytest.approx(1)


def test_neighbours_match_loops() -> None:
    vectors = np.random.Generator(np.random.PCG64(4)).normal(size=(600, 3))
    found = nearest(vectors, 4)
    for number in (0, 511, 512, 599):
        distances = [
            (float(np.linalg.norm(vectors[number] - other)), place) for place, other in enumerate(vectors)
        ]
        expected = sorted(pair for pair in distances if pair[1] != number)[:4]
        assert [place for place, _ in found[number]] == [place for _, place in expected]
        assert [far for _, far in found[number]] == pytest.approx([far for far, _ in expected])
    assert nearest(np.zeros((1, 2)), 4) == [[]]


@pytest.mark.parametrize("name", KINDS)
def test_what_is_embedded_can_be_read_back_and_ends_no_script(name: str) -> None:
    text = as_json(browser(name, beside=True))
    assert "<" not in text
    content = json.loads(text)
    assert EVIL in content["clips"][0]["key"]
    assert set(content["colours"]) == {"0", "11", "22", "33", "44", "55", "3", "4"}


def test_a_unit_has_the_colour_of_its_code() -> None:
    from unitdisc.report.colours import code_colour

    assert colour("7") == "#{:02x}{:02x}{:02x}".format(*code_colour(7))
    assert colour("3.17") != colour("17.3")


@pytest.mark.parametrize(
    ("features", "name"),
    [
        (FeatureSpec((3, 81), 100.0, "second", standardize=True), "sound"),
        (FeatureSpec((32,), 1.0, "column", standardize=False), "line"),
        (FeatureSpec((3,), 1.0, "pixel", standardize=False, grid=(8, 8)), "picture"),
        (FeatureSpec((), 1.0, "token", standardize=False, vocab_size=9), "tokens"),
    ],
)
def test_data_are_called_what_they_are(features: FeatureSpec, name: str) -> None:
    assert kind_of(features).name == name


@pytest.mark.parametrize("kind", ["lines", "speech"])
def test_clips_hold_the_units_and_labels_of_the_run(runs: dict[str, Ran], kind: str) -> None:
    run = unitdisc.load(runs[kind].folder)
    shown = _browser(run)
    expected = {units.key: units for units in run.units("test")}
    target = {"lines": "strokes", "speech": "phones"}[kind]
    split = run.source.split("test")
    assert {clip.key for clip in shown.clips} == set(expected)
    for clip in shown.clips:
        units = expected[clip.key]
        spelt = [str(code) for code in units.codes[:, 0].tolist()]
        steps = np.minimum((np.arange(len(spelt)) + 0.5) * units.step, units.end)
        assert [_at(clip.units, step) for step in steps] == spelt
        assert clip.length == pytest.approx(units.end, abs=1e-4)
        example = split[list(split.keys).index(clip.key)]
        rate, vocab = run.features.frame_rate, run.source.targets[target].vocab
        for frame, label in enumerate(example.targets[target].tolist()):
            met = [name for left, right, name in clip.labels if left <= (frame + 0.5) / rate < right]
            assert met == ([vocab[label]] if label >= 0 else [])
        assert bool(clip.sound) == (kind == "speech")
        assert clip.size[1] == {"lines": 32, "speech": 64}[kind]


def test_counts_and_durations_are_those_of_the_whole_split(runs: dict[str, Ran]) -> None:
    run = unitdisc.load(runs["speech"].folder)
    steps: Counter[str] = Counter()
    occurrences: Counter[str] = Counter()
    for units in run.units("test"):
        names = [str(code) for code in units.codes[:, 0].tolist()]
        steps.update(names)
        occurrences.update(
            name for name, before in zip(names, [None, *names], strict=False) if name != before
        )
    cards = _browser(run).units
    assert {card.name: (card.count, card.occurrences) for card in cards} == {
        name: (steps[name], occurrences[name]) for name in steps
    }
    for card in cards:
        assert card.duration == pytest.approx(card.count / card.occurrences * 2 / 100)
        for clip, place in card.examples:
            assert _browser(run).clips[clip].units[place][0] == card.name


def test_a_run_beside_itself_has_the_same_units(runs: dict[str, Ran]) -> None:
    run = unitdisc.load(runs["speech"].folder)
    shown = _browser(run, beside=run)
    assert all(clip.beside == clip.units for clip in shown.clips)
    assert all(card.beside == [(card.name, 1.0)] for card in shown.units)


def test_what_is_left_out_is_said(runs: dict[str, Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_browser, "_MOST_CLIPS", 1)
    monkeypatch.setattr(report_browser, "_MOST_UNITS", 2)
    notes = _browser(unitdisc.load(runs["lines"].folder)).notes
    assert "1 of 4 lines" in notes[0]
    assert "the 2 most frequent are shown" in notes[-1]


def test_long_recordings_are_cut(runs: dict[str, Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(report_browser._LONGEST, "sound", 0.2)
    run = unitdisc.load(runs["speech"].folder)
    clips = _browser(run).clips
    whole = {clip.key: sum(other.length for other in clips if other.key == clip.key) for clip in clips}
    for clip in clips:
        assert clip.length <= 0.2
        assert clip.units[-1][1] == clip.length
        assert whole[clip.key] == pytest.approx(clip.whole, abs=1e-3)
        assert len(clip.sound) == pytest.approx(clip.length * RATE, abs=RATE / run.features.frame_rate)


@pytest.mark.parametrize("kind", ["lines", "speech"])
def test_the_command_writes_the_page_with_another_run_beside(runs: dict[str, Ran], kind: str) -> None:
    done = command("report", runs[kind].folder, "--beside", runs[kind].folder)
    assert done.code == 0, done.err
    page = (runs[kind].folder / "report.html").read_text()
    assert len(page) < 20e6
    assert f"({runs[kind].folder.name})" in page
    assert page.count('<path class="line beside"') >= 4  # loss, perplexity, usage, and one in the legend
    with Image.open(runs[kind].folder / "units.png") as picture:
        assert picture.width > 100


def test_runs_over_other_data_are_refused(runs: dict[str, Ran]) -> None:
    before = (runs["lines"].folder / "report.html").read_bytes()
    done = command("report", runs["lines"].folder, "--beside", runs["speech"].folder)
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "give a run over the same data" in done.err
    assert (runs["lines"].folder / "report.html").read_bytes() == before


def test_scores_json_adds_intervals_and_rows(runs: dict[str, Ran]) -> None:
    run = unitdisc.load(runs["lines"].folder)
    own = {score.name: score for score in report_scores.rows(run, None)}
    entry = {
        "definition": "made up",
        "values": {"value": own["pnmi"].value},
        "higher_is_better": True,
        "interval": {"low": 0.1, "high": 0.2},
        "shuffled": {"value": 0.01},
        "random_segments": None,
        "gold": {"value": 1.0},
    }
    content = {"run": {"checkpoint_sha256": run.checkpoint.digest}, "scores": {"pnmi": entry, "ami": entry}}
    path = run.folder.path / report_scores.SCORES
    path.write_text(json.dumps(content))
    found = {score.name: score for score in report_scores.rows(run, run)}
    assert (found["pnmi"].interval, found["pnmi"].ceiling, found["pnmi"].random) == ((0.1, 0.2), 1.0, None)
    assert found["pnmi"].detail == own["pnmi"].detail
    assert found["pnmi"].beside == found["pnmi"].value
    assert found["ami"].detail == "made up"
    content["run"]["checkpoint_sha256"] = "of another checkpoint"
    path.write_text(json.dumps(content))
    assert report_scores.rows(run, None) == list(own.values())
    path.unlink()


def test_long_occurrences_are_shown_first_and_equally_long_ones_in_turns() -> None:
    runs = np.array([[5, 0, 1], [6, 1, 2], [5, 2, 5], [5, 5, 6], [5, 6, 7]])
    assert report_browser._occurrences(runs, turn=0) == {5: [2, 0, 3, 4], 6: [1]}
    assert report_browser._occurrences(runs, turn=2) == {5: [2, 3, 4, 0], 6: [1]}


def test_examples_take_turns_between_clips_and_speakers() -> None:
    found = [[0, 10, 11], [1, 20], [2, 30, 31]]
    mixed = report_browser._mixed(found, ["ann", "ann", "bob"])
    assert [clip for clip, *_ in mixed] == [0, 2, 1]
    assert report_browser._spread(mixed) == [(0, 10), (2, 30), (1, 20), (0, 11), (2, 31)]


def _browser(run: Run, beside: Run | None = None) -> report_browser.Browser:
    from unitdisc.infer import codes_of

    split = run.source.split("test")
    codes = codes_of(run.model, split, batch_frames=2000)
    return report_browser.browser(
        run, split, Inventory(codes, num_codes=run.model.bottleneck.num_codes), beside
    )


def _at(timed: list[tuple[str, float]], time: float) -> str:
    return next(name for name, stop in timed if time < stop or stop == timed[-1][1])
