"""Units of what is not part of a run: the same as the run's own, from manifests, readers, folders and files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests import tiny
from tests.tiny import command
from unitdisc import encode, shares
from unitdisc.progress import Progress
from unitdisc.run import load


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.corpora(tmp_path_factory.getbasetemp())


def trained(corpora: Path, folder: Path, kind: str, *changes: str) -> Path:
    """Train on a copy of the corpus that is gone afterwards: encoding must not need it."""
    shutil.copytree(corpora / kind, folder / "own")
    own = f"data.root={folder / 'own'}"
    done = command("train", corpora / f"{kind}.yaml", "--out", folder / "run", own, "train.steps=2", *changes)
    assert done.code == 0, done.err
    done = command("export", folder / "run")
    assert done.code == 0, done.err
    shutil.rmtree(folder / "own")
    return folder / "run"


@pytest.fixture(scope="module")
def speech(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(corpora, tmp_path_factory.mktemp("encode-speech"), "speech", "seed=7")


@pytest.fixture(scope="module")
def lines(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(corpora, tmp_path_factory.mktemp("encode-lines"), "lines", "seed=7")


def one_line(done: tiny.Done, code: int) -> str:
    assert done.code == code, done
    assert done.err.startswith("unitdisc: ")
    assert done.err.count("\n") == 1
    return done.err


def units(path: Path) -> dict[str, list[int]]:
    return {item["file"]: item["units"] for item in map(json.loads, path.read_text().splitlines())}


def sidecar(folder: Path) -> dict:
    return json.loads((folder / "units.meta.json").read_text())


@pytest.mark.parametrize("kind", ["speech", "lines"])
def test_a_corpus_folder_gives_what_export_gave(kind, corpora, tmp_path, request):
    run = request.getfixturevalue(kind)
    done = command("encode", run, corpora / kind, "--split", "test", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    for name in ("units-test.jsonl", "test.km", "test.keys", "test.ctm"):
        assert (tmp_path / "out" / name).read_bytes() == (run / "units" / name).read_bytes()
    meta, own = sidecar(tmp_path / "out"), sidecar(run / "units")
    assert meta["checkpoint_sha256"] == own["checkpoint_sha256"]
    assert meta["step"] == own["step"]
    assert meta["splits"]["test"] == own["splits"]["test"]
    assert meta["corpus"] == str(corpora / kind)
    assert len(meta["data_sha256"]) == 64
    assert str(tmp_path / "out" / "units-test.jsonl") in done.out.splitlines()


def test_a_corpus_without_labels_and_splits_goes_into_the_run_folder(speech, corpora, tmp_path):
    recordings = tmp_path / "mine"
    recordings.mkdir()
    shutil.copyfile(corpora / "speech" / "utt03.flac", recordings / "a.flac")
    (recordings / "manifest.jsonl").write_text('{"id": "a", "path": "a.flac"}\n')
    run = shutil.copytree(speech, tmp_path / "run")
    assert command("encode", run, recordings, "--format", "jsonl").code == 0
    found = units(run / "encoded" / "mine" / "units-train.jsonl")
    assert found["a"] == units(run / "units" / "units-test.jsonl")["utt03"]
    assert command("encode", run, recordings, "--format", "jsonl").code == 0  # again, in its place


@pytest.mark.parametrize(("kind", "suffix"), [("speech", ".flac"), ("lines", ".png")])
def test_files_without_a_manifest_are_named_by_their_paths(kind, suffix, corpora, tmp_path, request):
    run = request.getfixturevalue(kind)
    files = sorted((corpora / kind).glob(f"*{suffix}"))
    folder = tmp_path / "plain"
    for name, file in zip(("b c", "a/x", "a/.hidden"), (files[3], files[7], files[11]), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / f"{name}{suffix.upper()}")
    (folder / "notes.txt").write_text("not a recording")
    done = command("encode", run, folder, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    own = units(run / "units" / "units-test.jsonl")
    assert units(tmp_path / "out" / "units-all.jsonl") == {
        "a/x": own[files[7].stem],
        "b_c": own[files[3].stem],
    }
    assert (tmp_path / "out" / "all.keys").read_text() == "a/x\nb_c\n"
    first = sidecar(tmp_path / "out")["data_sha256"]
    shutil.copyfile(files[3], folder / f"a/x{suffix.upper()}")
    assert command("encode", run, folder, "--out", tmp_path / "out").code == 0
    assert sidecar(tmp_path / "out")["data_sha256"] != first


@pytest.mark.parametrize(("kind", "name"), [("speech", "utt03.flac"), ("lines", "line03.png")])
def test_a_single_file_is_enough(kind, name, corpora, tmp_path, request):
    run = request.getfixturevalue(kind)
    done = command("encode", run, corpora / kind / name, "--out", tmp_path / "out", "--format", "jsonl")
    assert done.code == 0, done.err
    key = Path(name).stem
    assert units(tmp_path / "out" / "units-all.jsonl") == {
        key: units(run / "units" / "units-test.jsonl")[key]
    }


@pytest.mark.torchaudio
def test_another_sample_rate_is_resampled_as_the_data_source_does(speech, corpora, tmp_path):
    samples, rate = soundfile.read(corpora / "speech" / "utt03.flac", dtype="float32")
    soundfile.write(tmp_path / "a.wav", np.repeat(samples, 2), 2 * rate, subtype="FLOAT")
    done = command("encode", speech, tmp_path / "a.wav", "--out", tmp_path / "out", "--format", "jsonl")
    assert done.code == 0, done.err
    expected = load(speech).encode(np.repeat(samples, 2), 2 * rate).codes[:, 0].tolist()
    assert units(tmp_path / "out" / "units-all.jsonl")["a"] == expected


def test_another_height_is_scaled_as_the_data_source_does(lines, corpora, tmp_path):
    with Image.open(corpora / "lines" / "line03.png") as image:
        tall = image.resize((image.width * 2, 64))
    tall.save(tmp_path / "tall.png")
    done = command("encode", lines, tmp_path / "tall.png", "--out", tmp_path / "out", "--format", "jsonl")
    assert done.code == 0, done.err
    expected = load(lines).encode(np.asarray(tall)).codes[:, 0].tolist()
    assert units(tmp_path / "out" / "units-all.jsonl")["tall"] == expected


def test_a_reader_imports_on_the_way(speech, corpora, tmp_path):
    kaldi = tmp_path / "data" / "eval"
    kaldi.mkdir(parents=True)
    flac = corpora / "speech" / "utt03.flac"
    (kaldi / "wav.scp").write_text(f"utt03 {flac}\n")
    (kaldi / "utt2spk").write_text("utt03 voice1\n")
    done = command("encode", speech, kaldi, "--from", "kaldi", "--out", tmp_path / "out", "--format", "jsonl")
    assert done.code == 0, done.err
    (name,) = [path.name for path in (tmp_path / "out").glob("*.jsonl")]
    assert units(tmp_path / "out" / name)["utt03"] == units(speech / "units" / "units-test.jsonl")["utt03"]
    assert sidecar(tmp_path / "out")["reader"] == ["kaldi"]


@pytest.mark.parametrize(("kind", "suffix"), [("speech", ".wav"), ("lines", ".png")])
def test_a_damaged_file_is_refused_by_name_or_left_out(kind, suffix, corpora, tmp_path, request):
    run, folder = request.getfixturevalue(kind), tmp_path / "plain"
    folder.mkdir()
    good = sorted(path for path in (corpora / kind).iterdir() if path.suffix in {".flac", ".png"})[3]
    shutil.copyfile(good, folder / f"good{good.suffix}")
    (folder / f"bad{suffix}").write_bytes(b"nothing that anybody could read")
    said = one_line(command("encode", run, folder, "--out", tmp_path / "out"), 3)
    assert f"bad{suffix}" in said
    assert "leave such files out with --skip-bad" in said
    assert not (tmp_path / "out").exists()
    done = command("encode", run, folder, "--skip-bad", "--out", tmp_path / "out")
    assert done.code == 0
    assert f"bad{suffix}" in done.err.splitlines()[0]
    assert done.err.splitlines()[1] == "unitdisc: 1 files are left out"
    assert list(sidecar(tmp_path / "out")["skipped"]) == [str(folder / f"bad{suffix}")]
    assert list(units(tmp_path / "out" / "units-all.jsonl")) == ["good"]
    (folder / f"good{good.suffix}").unlink()
    assert "like all 1 files" in one_line(
        command("encode", run, folder, "--skip-bad", "--out", tmp_path / "no"), 3
    )


def test_what_cannot_be_encoded_is_one_line(speech, corpora, tmp_path):
    out = ("--out", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.mp3").write_bytes(b"")
    (tmp_path / "twice").mkdir()
    for suffix in (".flac", ".wav"):
        shutil.copyfile(corpora / "speech" / "utt03.flac", tmp_path / "twice" / f"a{suffix}")
    cases = [
        ((tmp_path / "none",), 3, "is not there"),
        ((tmp_path / "empty",), 3, "no manifest.jsonl in there"),
        ((tmp_path / "a.mp3",), 3, "ends in .mp3, accepted are .aif, .aiff"),
        ((tmp_path / "twice",), 3, "would have the id 'a'"),
        ((tmp_path / "twice", "x=1"), 2, "parameters belong to a reader"),
        ((tmp_path / "twice" / "a.flac", "--split", "test"), 2, "and so no splits"),
        ((corpora / "speech", "--split", "valid"), 3, "no split 'valid'"),
        ((corpora / "speech", "--skip-bad"), 2, "a corpus is checked as a whole"),
        ((corpora / "speech", "--from", "kaldi", "--skip-bad"), 2, "see unitdisc plugins reader kaldi"),
        ((corpora / "speech", "--format", "tape"), 2, "tape"),
        ((corpora / "speech", "--from", "nobody"), 2, "nobody"),
    ]
    for arguments, code, said in cases:
        assert said in one_line(command("encode", speech, *arguments, *out), code)
        assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_one_line(speech, corpora, tmp_path):
    (tmp_path / "file").write_text("in the way")
    recording = corpora / "speech" / "utt03.flac"
    said = one_line(command("encode", speech, recording, "--out", tmp_path / "file" / "x" / "out"), 5)
    assert f"{tmp_path / 'file' / 'x' / 'out'}: could not be written (Not a directory)" in said


def test_units_of_another_corpus_are_not_replaced(speech, corpora, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copyfile(corpora / "speech" / "utt03.flac", tmp_path / name / "x.flac")
    assert command("encode", speech, tmp_path / "a", "--out", tmp_path / "out").code == 0
    said = one_line(command("encode", speech, tmp_path / "b", "--out", tmp_path / "out"), 5)
    assert f"holds units of {tmp_path / 'a'}" in said


def test_a_bottleneck_without_codes_has_no_units(corpora, tmp_path):
    changes = ("bottleneck={use: none}", "metrics=null", "export.formats=[]", "export.splits=[]")
    recipe = corpora / "speech.yaml"
    done = command("train", recipe, "--out", tmp_path / "run", "train.steps=1", *changes)
    assert done.code == 0, done.err
    assert "no format" in one_line(command("encode", tmp_path / "run", corpora / "speech"), 2)
    said = one_line(command("encode", tmp_path / "run", corpora / "speech", "--format", "jsonl"), 2)
    assert "quantises nothing" in said


def test_few_files_are_in_memory_at_once(speech, corpora, tmp_path, monkeypatch):
    for number in range(40):
        shutil.copyfile(corpora / "speech" / "utt03.flac", tmp_path / f"f{number}.flac")
    run = load(speech)
    monkeypatch.setattr(shares, "_WINDOW", 1)
    sizes, put = [], Progress.put

    def counting(self, split, batch):
        sizes.append(len(batch))
        put(self, split, batch)

    monkeypatch.setattr(Progress, "put", counting)
    encode.encode(run, tmp_path, formats=["jsonl"], folder=tmp_path / "out")
    frames = len(run.recipe.data.build().load_file(tmp_path / "f0.flac"))
    assert sum(sizes) == 40
    assert max(sizes) <= run.recipe.evaluate.batch_frames / frames + 1


PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="{scan}" imageWidth="400" imageHeight="200"><TextRegion id="r">
<Coords points="0,0 399,0 399,199 0,199"/>
<TextLine id="l1"><Coords points="10,20 390,20 390,70 10,70"/><Baseline points="10,60 390,60"/></TextLine>
<TextLine id="l2"><Coords points="10,90 300,90 300,140 10,140"/><Baseline points="10,130 300,130"/></TextLine>
</TextRegion></Page></PcGts>
"""
ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#">
<Description><MeasurementUnit>pixel</MeasurementUnit>
<sourceImageInformation><fileName>{scan}</fileName></sourceImageInformation></Description>
<Layout><Page ID="p" PHYSICAL_IMG_NR="1" WIDTH="400" HEIGHT="200"><PrintSpace HPOS="0" VPOS="0" WIDTH="400"
HEIGHT="200"><TextBlock ID="b" HPOS="0" VPOS="0" WIDTH="400" HEIGHT="200">
<TextLine ID="l1" HPOS="10" VPOS="20" WIDTH="380" HEIGHT="50" BASELINE="10 60 390 60"><String CONTENT="a" ID="s1"
HPOS="10" VPOS="20" WIDTH="380" HEIGHT="50"/></TextLine>
<TextLine ID="l2" HPOS="10" VPOS="90" WIDTH="290" HEIGHT="50" BASELINE="10 130 300 130"><String CONTENT="b" ID="s2"
HPOS="10" VPOS="90" WIDTH="290" HEIGHT="50"/></TextLine>
</TextBlock></PrintSpace></Page></Layout></alto>
"""


@pytest.mark.parametrize(("reader", "text"), [("page", PAGE), ("alto", ALTO)])
def test_a_scanned_page_goes_to_units_with_one_command(reader, text, lines, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "scans").mkdir()
    Image.fromarray(rng.integers(0, 255, (200, 400)).astype(np.uint8)).save(tmp_path / "scans" / "p1.png")
    (tmp_path / "scans" / "p1.xml").write_text(text.format(scan="p1.png"))
    done = command(
        "encode", lines, tmp_path / "scans", "--from", reader, "--out", tmp_path / "out", "--format", "jsonl"
    )
    assert done.code == 0, done.err
    first, second = units(tmp_path / "out" / "units-train.jsonl").values()
    assert len(first) == pytest.approx(380 * 32 / 50 / 4, rel=0.15)
    assert len(second) == pytest.approx(290 * 32 / 50 / 4, rel=0.15)
    assert sidecar(tmp_path / "out")["reader"] == [reader]


def test_a_reader_of_another_kind_of_data_is_refused(lines, tmp_path, corpora):
    (tmp_path / "wav.scp").write_text(f"utt03 {corpora / 'speech' / 'utt03.flac'}\n")
    (tmp_path / "utt2spk").write_text("utt03 voice1\n")
    said = one_line(command("encode", lines, tmp_path, "--from", "kaldi", "--out", tmp_path / "out"), 2)
    assert "data 'lines' does not import utterances" in said
