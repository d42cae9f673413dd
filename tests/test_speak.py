"""Units turned back into sound: which files there are, what they hold, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from tests import tiny
from tests.tiny import command
from unitdisc.data import collate
from unitdisc.report.spectrograms import spectrograms
from unitdisc.run import load
from unitdisc.sound import Sounds
from unitdisc.voices import Voices

FEW = "iterations=3"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.corpora(tmp_path_factory.getbasetemp())


def trained(corpora: Path, folder: Path, kind: str, *changes: str) -> Path:
    done = command(
        "train", corpora / f"{kind}.yaml", "--out", folder, "train.steps=2", "train.average=null", *changes
    )
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def speech(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(corpora, tmp_path_factory.mktemp("speak") / "run", "speech", "seed=5")


@pytest.fixture
def run(speech: Path, tmp_path: Path) -> Path:
    return shutil.copytree(speech, tmp_path / "run")


def about(folder: Path) -> dict:
    return json.loads((folder / "audio.json").read_text())


def one_line(done: tiny.Done, code: int) -> str:
    assert done.code == code, done
    assert done.err.startswith("unitdisc: ")
    assert done.err.count("\n") == 1
    return done.err


def test_one_sentence_of_each_speaker_is_said_in_its_own_and_in_another_voice(run):
    done = command("speak", run, FEW)
    assert done.code == 0, done.err
    folder = run / "audio"
    meta = about(folder)
    kinds = [(file["kind"], file["source_speaker"], file["target_speaker"]) for file in meta["files"]]
    assert kinds == [
        ("source", "voice1", None),
        ("units", "voice1", "voice1"),
        ("voice", "voice1", "voice0"),
    ]
    names = [file["file"] for file in meta["files"]]
    assert names == [f"001-utt03-{rest}.wav" for rest in ("source", "units-voice1", "voice-voice0")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*names, "audio.json", "spectrograms.png"]
    )
    assert done.out.splitlines() == [
        str(folder / name) for name in [*names, "spectrograms.png", "audio.json"]
    ]
    assert meta["vocoder"] == {"use": "griffin_lim", "iterations": 3, "momentum": 0.99, "seed": 0}
    assert (meta["split"], meta["checkpoint_step"]) == ("test", 2)


def test_the_files_are_as_long_as_the_recording_heard_and_not_cut_off(run):
    command("speak", run, FEW, "--split", "train", "--limit", "2")
    meta, examples = about(run / "audio"), load(run).source.split("train")
    assert {file["source_speaker"] for file in meta["files"]} == {"voice0", "voice1"}
    for file in meta["files"]:
        samples, rate = soundfile.read(run / "audio" / file["file"])
        frames = examples.lengths[examples.keys.index(file["sentence"])]
        assert (len(samples), rate) == (160 * frames, 16000)
        assert file["seconds"] == pytest.approx(frames / 100)
        assert np.abs(samples).max() == pytest.approx(min(file["peak"], 1.0), abs=1e-4)
        assert file["gain"] == pytest.approx(min(1.0, 1 / file["peak"]))
        assert file["peak"] > 1e-3


def test_a_loud_sound_is_scaled_down_and_its_features_are_compared_with_those_given(tmp_path):
    source = SimpleNamespace(featurize=lambda samples, _: torch.from_numpy(samples)[:, None])
    vocoder = SimpleNamespace(invert=lambda *_: (np.array([2, -4, 1], np.float32), 10))
    sounds = Sounds(tmp_path, source, vocoder)
    sounds.write(torch.zeros(3, 1), sentence="a", kind="source", source_speaker=None, target_speaker=None)
    assert soundfile.read(tmp_path / "001-a-source.wav")[0] == pytest.approx([0.5, -1, 0.25], abs=1e-4)
    (written,) = sounds.written
    assert (written.peak, written.gain, written.seconds) == (4, 0.25, 0.3)
    assert written.mse == pytest.approx((0.5**2 + 1 + 0.25**2) / 3)


def test_the_same_command_gives_the_same_bytes_and_another_seed_does_not(run, tmp_path):
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        assert command("speak", run, FEW, f"seed={seed}", "--out", folder).code == 0
    one, two, three = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == two
    assert all(one[name] != three[name] for name in one if name.endswith(".wav"))


def test_sentences_and_speakers_can_be_chosen(run):
    chosen = ("--sentences", "utt11", "--sentences", "utt07", "--speaker", "voice0", "--speaker", "voice1")
    assert command("speak", run, FEW, *chosen).code == 0
    files = about(run / "audio")["files"]
    assert [(file["sentence"], file["target_speaker"]) for file in files] == [
        (sentence, target) for sentence in ("utt11", "utt07") for target in (None, "voice1", "voice0")
    ]


def test_a_voice_is_that_of_the_decoder_in_any_batch_and_beside_any_other(run):
    opened = load(run)
    voices, model, split = Voices(opened), opened.model, opened.source.split("test")
    examples = [split[0], split[1]]
    batch = model.standardized(collate(examples))
    with torch.inference_mode():
        quantized = model.quantize(model.encode(batch))
        lengths = batch.inputs.lengths
        seen = type(batch.inputs)(quantized.values, model.encode(batch).lengths)
        for number, name in ((0, "voice0"), (1, "voice1"), (-1, None)):
            together = model.decoder.reconstruct(seen, lengths, {"speaker": torch.full((2,), number)})
            for example, frames in zip(examples, together, strict=True):
                expected = frames * model.standardize.deviation + model.standardize.mean
                beside = voices.decode(example, ["voice1", name, None])[1]
                torch.testing.assert_close(voices.decode(example, [name])[0], expected, atol=1e-3, rtol=1e-4)
                assert torch.equal(voices.decode(example, [name])[0], beside)


def test_voices_differ_and_the_unknown_speaker_is_given_their_mean(run):
    opened = load(run)
    voices, example = Voices(opened), opened.source.split("test")[0]
    assert voices.names == ["voice0", "voice1"]
    with torch.no_grad():
        opened.model.decoder.embeddings.copy_(torch.randn(2, 8, generator=torch.Generator().manual_seed(0)))
        first, second, mean = voices.decode(example, ["voice0", "voice1", None])
        assert not torch.allclose(first, second)
        opened.model.decoder.embeddings.copy_(opened.model.decoder.embeddings.mean(0).expand(2, -1))
    torch.testing.assert_close(voices.decode(example, ["voice0"])[0], mean)


def test_every_voice_has_its_turn(run):
    voices = Voices(load(run))
    voices.names = ["a", "b", "c", "d"]
    assert [voices.other(None, number / 4) for number in range(4)] == [["a"], ["b"], ["c"], ["d"]]
    assert voices.other("d", 0.75) == ["a"]
    voices.names = ["a"]
    assert voices.other("a", 0.0) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--speaker", "voice2"],
            2,
            "--speaker: training knows no speaker 'voice2'; did you mean 'voice0'? (accepted: voice0, voice1)",
        ),
        (["--sentences", "utt04"], 3, "--sentences: split test has no 'utt04'; did you mean 'utt03'?"),
        (["--split", "tst"], 3, "data: there is no split 'tst' (existing: test, train)"),
        (["--vocoder", "grifin_lim"], 2, "there is no data 'grifin_lim'; did you mean 'griffin_lim'?"),
        (["--vocoder", "speech"], 2, "speech is a data source, wanted is a vocoder"),
        (["iteration=3"], 2, "unknown parameter of griffin_lim; did you mean 'iterations'?"),
        (["momentum=2"], 2, "vocoder.momentum"),
    ],
)
def test_what_does_not_exist_is_one_line_and_nothing_is_written(run, arguments, code, message):
    assert message in one_line(command("speak", run, *arguments), code)
    assert not (run / "audio").exists()


def test_a_vocoder_is_no_data_source(corpora):
    done = command("check", corpora / "speech.yaml", "data={use: griffin_lim}")
    assert "griffin_lim is a vocoder, wanted is a data source" in one_line(done, 2)


def test_another_folder_is_not_replaced(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    assert "holds other files" in one_line(command("speak", run, FEW, "--out", tmp_path / "mine"), 5)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_a_decoder_without_condition_speaks_in_one_voice(corpora, tmp_path):
    run = trained(corpora, tmp_path / "run", "speech", "decoder.condition=null")
    done = command("speak", run, FEW)
    assert "the decoder knows no speakers, so there is one voice" in one_line(done, 0)
    assert [file["kind"] for file in about(run / "audio")["files"]] == ["source", "units"]
    refused = one_line(command("speak", run, FEW, "--speaker", "voice0"), 2)
    assert "knows but one voice; train with decoder.condition set to a condition" in refused


def test_the_first_sentences_are_said_where_the_corpus_names_no_speakers(tmp_path):
    tiny.write_corpora(tmp_path)
    manifest = tmp_path / "speech" / "manifest.jsonl"
    entries = [json.loads(line) for line in manifest.read_text().splitlines()]
    manifest.write_text("".join(json.dumps({**entry, "speaker": None}) + "\n" for entry in entries))
    run = trained(tmp_path, tmp_path / "run", "speech", "decoder.condition=null")
    done = command("speak", run, FEW)
    assert "there is one voice" in one_line(done, 0)
    spoken = [(file["sentence"], file["kind"]) for file in about(run / "audio")["files"]]
    assert spoken == [(f"utt{number:02}", kind) for number in (3, 7, 11, 15) for kind in ("source", "units")]
    assert command("speak", run, FEW, "--limit", "2", "--split", "train").code == 0
    assert len(about(run / "audio")["files"]) == 4


def test_a_recipe_without_decoder_is_one_line(corpora, tmp_path):
    run = trained(corpora, tmp_path / "run", "speech", "decoder=null", "heads.ctc.detach=false")
    assert "its recipe has no decoder, so units cannot be turned back" in one_line(command("speak", run), 2)


def test_lines_of_writing_have_no_way_back(corpora, tmp_path):
    run = trained(corpora, tmp_path / "run", "lines")
    assert "data source lines has no way back from these features" in one_line(command("speak", run), 2)
    given = command("speak", run, "--vocoder", "griffin_lim")
    assert "turns log-mel frames of the data source 'speech' into sound and nothing else" in one_line(
        given, 2
    )


def test_an_untrained_folder_is_one_line(tmp_path):
    assert "no run is here" in one_line(command("speak", tmp_path), 5)


def test_spectrograms_share_one_time_axis_and_energy_is_dark():
    blank, impulse = np.zeros((20, 100), dtype=np.uint8), np.zeros((20, 100), dtype=np.uint8)
    impulse[:, 40:44] = 255
    drawn = np.asarray(
        spectrograms([("one", [("a", blank), ("b", impulse)]), ("two", [("c", impulse)])], frame_rate=100.0)
    ).sum(2)
    dark = np.flatnonzero((drawn < 150).sum(0) > 250)  # in both images with the impulse, at the same place
    assert len(dark) == pytest.approx(4 * 6, abs=4)  # 6 pixels a frame
    assert dark.max() - dark.min() == len(dark) - 1
    longer = spectrograms([("one", [("a", np.zeros((20, 5000), dtype=np.uint8))])], frame_rate=100.0)
    assert longer.width < 1400
