"""Forced alignment: the best path against a slow Viterbi search, edges from paths, and a corpus with known times."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny import command

from unitdisc.align import align, best_path, meetings, runs_of, spans_of, transcriber
from unitdisc.data import DataSource, Example, FeatureSpec, Split
from unitdisc.errors import DataError, RecipeError
from unitdisc.model import Model, Project
from unitdisc.parts import Bottleneck, Encoder, Padded, Quantized
from unitdisc.settings import Latents
from unitdisc.transcript import Transcriber
from unitdisc_handwriting.source import Lines
from unitdisc_speech.source import Speech

pytestmark = pytest.mark.torchaudio
RATE = 16000


def viterbi(log_probs: np.ndarray, symbols: list[int]) -> float:
    """Return the best log-probability of all paths that spell ``symbols``, state by state in float64."""
    states = [0]
    for symbol in symbols:
        states += [symbol + 1, 0]
    score = np.full((len(log_probs), len(states)), -np.inf)
    score[0, 0] = log_probs[0, 0]
    score[0, 1] = log_probs[0, states[1]]
    for s in range(1, len(log_probs)):
        for state, token in enumerate(states):
            came = [score[s - 1, state]]
            if state > 0:
                came.append(score[s - 1, state - 1])
            if state > 1 and token != 0 and token != states[state - 2]:
                came.append(score[s - 1, state - 2])
            score[s, state] = max(came) + log_probs[s, token]
    return max(score[-1, -1], score[-1, -2])


def spelt(path: list[int]) -> list[int]:
    kept = [token for before, token in zip([0, *path], path, strict=False) if token != before]
    return [token - 1 for token in kept if token]


@pytest.mark.parametrize("seed", range(30))
def test_the_best_path_spells_the_transcript_as_likely_as_a_viterbi_loop_finds(seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    symbols = rng.integers(0, 3, rng.integers(1, 6)).tolist()
    repeats = sum(one == other for one, other in pairwise(symbols))
    latents = len(symbols) + repeats + int(rng.integers(0, 8))
    log_probs = torch.from_numpy(rng.normal(0, 2, (latents, 4))).log_softmax(1)

    path = best_path(log_probs, torch.tensor(symbols)).tolist()

    assert spelt(path) == symbols
    found = sum(float(log_probs[s, token]) for s, token in enumerate(path))
    assert found == pytest.approx(viterbi(log_probs.numpy(), symbols), abs=1e-9)


def test_runs_are_the_latents_that_say_each_symbol():
    assert runs_of(torch.tensor([0, 2, 2, 0, 2, 1, 0])) == [(1, 3), (4, 5), (5, 6)]


def test_neighbours_meet_where_the_choice_between_the_two_is_likeliest_to_change():
    rng = np.random.Generator(np.random.PCG64(0))
    runs, symbols = [(1, 2), (6, 8), (8, 9), (12, 13)], [2, 0, 1, 1]
    for _ in range(20):
        log_probs = torch.from_numpy(rng.normal(0, 1, (14, 4))).log_softmax(1)
        sums = [float(log_probs[2:place, 3].sum() + log_probs[place:6, 1].sum()) for place in range(2, 7)]
        best = 2 + sums.index(max(sums))
        # Latents that follow each other leave no choice, equal symbols no reason: then it is the middle.
        assert meetings(log_probs, torch.tensor(symbols), runs) == [best, 8, 10.5]
    impossible = torch.full((14, 4), -torch.inf)
    assert meetings(impossible, torch.tensor(symbols), runs) == [4, 8, 10.5]


def test_spans_are_exact_in_frames_and_none_reaches_too_far():
    runs, edges = [(2, 3), (5, 7), (7, 8), (20, 21)], [4, 7, 12.5]
    spans = spans_of(runs, edges, stride=3, num_frames=62, reach=9)
    assert spans == [(0, 12), (12, 21), (21, 33), (51, 62)]
    assert spans_of([(0, 1)], [], stride=3, num_frames=2, reach=9) == [(0, 2)]
    assert spans_of([(4, 5)], [], stride=2, num_frames=40, reach=0.5) == [(7.5, 10.5)]


class Pairs(Encoder):
    """Latent s is what stands in frame 2 s."""

    dim, stride = 1, 2

    def forward(self, inputs):
        return Padded(inputs.values[:, ::2], (inputs.lengths + 1) // 2)


class Unquantized(Bottleneck):
    dim, num_codes, num_codebooks = 1, 0, 0

    def forward(self, latents):
        codes = torch.zeros(*latents.values.shape[:2], 0, dtype=torch.int64)
        return Quantized(latents.values, codes, torch.zeros(()))

    def lookup(self, codes):
        return codes


class Reads(Transcriber):
    """Reads the symbol off the latent: 0 is the blank."""

    target = "said"

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, latents, batch):
        return torch.zeros(()), {}

    def predict(self, latents, lengths):
        return []

    def log_probs(self, latents):
        tokens = latents.values[..., 0].long()
        return (10 * torch.nn.functional.one_hot(tokens, 4).float() * self.scale).log_softmax(2)


class Examples(Split):
    def __init__(self, *said: tuple[list[int], list[int]]) -> None:
        self.examples = [
            Example(
                f"u{number}", torch.tensor(frames)[:, None].float(), {"said": torch.tensor(symbols).long()}
            )
            for number, (frames, symbols) in enumerate(said)
        ]
        self.keys = [example.key for example in self.examples]
        self.lengths = [len(example.inputs) for example in self.examples]

    def __getitem__(self, index):
        return self.examples[index]


def reading(**heads: Reads) -> Model:
    return Model(
        encoder=Pairs(),
        project=Project(Pairs().dim, Latents()),
        bottleneck=Unquantized(),
        decoder=None,
        heads=heads,
        places=dict.fromkeys(heads, "bottleneck"),
        features=FeatureSpec((1,), 100.0, "second", standardize=False),
    )


def test_what_the_head_says_where_becomes_exact_frames_whatever_the_batch():
    frames = [0, 0, 1, 1, 0, 0, 2, 2, 2, 2, 0]  # symbol 0 in latent 1, symbol 1 in latents 3 and 4
    said = [(frames, [0, 1]), ([3, 3, 3], [2]), ([3] * 30, [2])]
    for batch_frames in (1, 1000):
        aligned = align(reading(ctc=Reads()), Examples(*said), "ctc", batch_frames=batch_frames, reach=100)
        assert aligned.spans == {"u0": [(0, 5), (5, 11)], "u1": [(0, 3)], "u2": [(0, 30)]}
        assert aligned.left_out == {}


def test_transcripts_that_do_not_fit_or_are_empty_are_left_out():
    split = Examples(([1] * 4, [0, 0]), ([1] * 4, []), ([1] * 6, [0, 0]))
    aligned = align(reading(ctc=Reads()), split, "ctc", batch_frames=100, reach=100)
    assert list(aligned.spans) == ["u2"]
    assert aligned.left_out == {
        "u0": "its transcript of 2 symbols needs 3 latents, but there are 2",
        "u1": "has no transcript",
    }


def test_the_head_is_the_only_one_or_named():
    assert transcriber(reading(any=Reads()), None) == "any"
    assert transcriber(reading(one=Reads(), two=Reads()), "two") == "two"
    with pytest.raises(RecipeError, match=r"name one of the heads \(accepted: one, two\)"):
        transcriber(reading(one=Reads(), two=Reads()), None)
    with pytest.raises(RecipeError, match=r"'ctc' cannot align \(accepted: one\)"):
        transcriber(reading(one=Reads()), "ctc")
    with pytest.raises(RecipeError, match="no head to align with"):
        transcriber(reading(), None)


Truth = dict[str, list[tuple[int, int, str]]]


def write_tones(root: Path) -> Truth:
    """Write utterances of tones and noise between silences with transcripts alone; return their times."""
    rng = np.random.Generator(np.random.PCG64(0))
    root.mkdir()
    truth: Truth = {}
    manifest = []
    for number in range(24):
        kinds: list[int] = []
        while len(kinds) < 4 + number % 3:
            kinds.append(int(rng.choice([kind for kind in range(3) if kinds[-1:] != [kind]])))
        key, pieces, end = f"u{number:02d}", [rng.normal(0, 0.001, 2400)], 2400
        truth[key] = []
        for kind in kinds:
            length = int(rng.integers(1200, 3200))
            tone = np.sin(2 * np.pi * (300, 1500, 0)[kind] * np.arange(length) / RATE)
            pieces.append(0.3 * tone + rng.normal(0, 0.2 if kind == 2 else 0.01, length))
            truth[key].append((end, end + length, ("low", "high", "noise")[kind]))
            end += length
        pieces.append(rng.normal(0, 0.001, 2400))
        soundfile.write(root / f"{key}.flac", np.concatenate(pieces).clip(-1, 1), RATE)
        said = " ".join(symbol for *_, symbol in truth[key])
        split = "test" if number % 4 == 3 else "train"
        manifest.append({"id": key, "path": f"{key}.flac", "split": split, "phones": said, "speaker": "v"})
    # One says more than its latents can spell.
    manifest[0]["phones"] = "low high " * 60
    del truth["u00"]
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, manifest)))
    return truth


RECIPE = """
data: {use: speech, root: tones, transcript: phones, num_mels: 20, deltas: false}
encoder:
  use: deep_speech
  channels: [8, 8]
  kernel: 3
  hidden: 16
  layers: 0
  time_strides: [2, 1]
  freq_strides: [2, 2]
bottleneck: {use: none}
heads: {ctc: {use: ctc}}
metrics: {per: {use: per, head: ctc, target: phones_sequence}}
train: {steps: 80, batch_frames: 1000, lr: 2.0e-2, threads: 1, device: cpu}
export: {splits: [], formats: []}
"""


@cache
def trained(base: Path) -> tuple[Path, Truth]:
    folder = base / "align"
    folder.mkdir()
    truth = write_tones(folder / "tones")
    (folder / "recipe.yaml").write_text(RECIPE.replace("root: tones", f"root: {folder / 'tones'}"))
    done = command("train", folder / "recipe.yaml", "--out", folder / "run")
    assert done.code == 0, done.err
    return folder, truth


@pytest.fixture
def tones(tmp_path_factory) -> tuple[Path, Truth]:
    return trained(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("reach", [0.03, 1.0])
def test_transcripts_alone_give_boundaries_near_the_true_ones(tones, tmp_path, reach):
    folder, truth = tones
    done = command("data", "align", folder / "run", "--out", tmp_path / "out", "--reach", str(reach))
    assert done.code == 0, done.err
    assert done.err == "left out u00: its transcript of 120 symbols needs 120 latents, but there are 38\n"
    assert "23 utterances" in done.out
    assert "left out: 1" in done.out

    source = Speech(root=tmp_path / "out", num_mels=20, deltas=False)
    source.prepare()
    off, beyond = [], []
    for name in ("train", "test"):
        for utterance in source.split(name).utterances:
            found = [label for label in utterance.tables["phones"] if label.symbol != "sil"]
            true = truth[utterance.key]
            assert [label.symbol for label in found] == [symbol for *_, symbol in true]
            off += [abs(label.start - start) for label, (start, *_) in zip(found[1:], true[1:], strict=True)]
            beyond += [true[0][0] - found[0].start, found[-1].end - true[-1][1]]
    # A symbol is said within its time or a latent of 20 ms beside it; segments last from 75 to 200 ms.
    assert max(beyond) <= (reach + 0.02) * RATE
    if reach == 0.03:  # latents begin at even frames, three before them at odd ones
        assert {
            utterance.tables["phones"][1].start % 320 for utterance in source.split("train").utterances
        } == {160}
    if reach == 1.0:
        assert np.median(off) < 0.02 * RATE
        assert max(off) < 0.05 * RATE


def test_the_folder_is_a_root_with_times_for_the_same_recipe_and_others(tones, tmp_path):
    folder, _ = tones
    assert command("data", "align", folder / "run", "--out", tmp_path / "out", "--split", "test").code == 0
    before, after = (
        Speech(root=root, num_mels=20, deltas=False, transcript="phones")
        for root in (folder / "tones", tmp_path / "out")
    )
    for source in (before, after):
        source.prepare()
    assert before.targets["phones_sequence"] == after.targets["phones_sequence"]
    assert set(after.targets["phones"].vocab) == {"low", "high", "noise", "sil"}
    one, other = (source.split("test") for source in (before, after))
    assert one.keys == other.keys
    assert before.checksum() != after.checksum()
    for index in range(len(one)):
        example = other[index]
        assert torch.equal(one[index].targets["phones_sequence"], example.targets["phones_sequence"])
        assert torch.equal(one[index].inputs, example.inputs)
        assert int(example.targets["phones"].min()) >= 0
    # The table beside the cuts says the same and can be laid beside a manifest.
    rows = [line.split("\t") for line in (tmp_path / "out" / "phones.tsv").read_text().splitlines()]
    assert rows[0] == ["id", "start_sample", "end_sample", "phones"]
    labels = other.utterances[0].tables["phones"]
    assert [row[1:] for row in rows if row[0] == other.keys[0]] == [
        [str(label.start), str(label.end), label.symbol] for label in labels
    ]


def test_nothing_is_written_where_something_is_or_a_name_is_wrong(tones, tmp_path):
    folder, _ = tones
    done = command("data", "align", folder / "run", "--out", folder / "tones")
    assert done.code == 5
    assert "is already there" in done.err
    for options, says in (
        (["--split", "dev"], "no split 'dev'"),
        (["--head", "probe"], "'probe' cannot align (accepted: ctc)"),
    ):
        done = command("data", "align", folder / "run", "--out", tmp_path / "out", *options)
        assert done.code in {2, 3}
        assert says in done.err
        assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_data_without_a_place_for_times_says_so(tmp_path):
    with pytest.raises(DataError, match="text: this data source cannot keep times"):
        DataSource.write_aligned(Lines(root=tmp_path), tmp_path, "text", {})
