"""``unitdisc translate``, the same from Python, and the teacher that chooses among candidates."""

from __future__ import annotations

import copy
import io
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import unitdisc
from tests import words
from tests.tiny import command
from unitdisc import translation
from unitdisc.cli import translate as command_module
from unitdisc.errors import DataError, RecipeError
from unitdisc.likelihood import Likelihood
from unitdisc.parts import Batch, Padded
from unitdisc.run import Run
from unitdisc.sentences import sentence_source
from unitdisc.translation import as_line, translate, translator
from unitdisc_handwriting.source import Lines
from unitdisc_translation.decoder import Autoregressive
from unitdisc_translation.vocabulary import END

pytest.importorskip("sentencepiece")
SENTENCES = words.sentences(40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return words.trained(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return unitdisc.load(folder / "run")


def on_standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_it_translates_in_order_whatever_is_translated_beside(run: Run):
    together = run.translate(SENTENCES, beam=4)
    assert together == [run.translate([sentence], beam=4)[0] for sentence in SENTENCES]
    assert together == run.translate(SENTENCES, beam=4, batch_tokens=20)
    right = [
        written == words.translated(sentence) for written, sentence in zip(together, SENTENCES, strict=True)
    ]
    assert sum(right) > len(SENTENCES) / 2


def test_empty_texts_stay_empty_and_no_text_gives_none(run: Run):
    assert run.translate(["", "two dog", " \t"])[::2] == ["", ""]
    assert run.translate([]) == []


def test_a_run_translates_where_its_data_are_not(folder: Path, run: Run, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))
    moved = tmp_path / "moved"
    shutil.copytree(folder / "run", moved)
    recipe = moved / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(str(folder / "text"), str(tmp_path / "nowhere")))
    assert unitdisc.load(moved).translate(SENTENCES[:5]) == run.translate(SENTENCES[:5])
    with pytest.raises(DataError, match="no such folder"):
        _ = unitdisc.load(moved).source


def test_a_run_that_kept_no_vocabulary_takes_that_of_its_data(folder: Path, run: Run, tmp_path: Path):
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run" / "speller.model").unlink()
    assert unitdisc.load(tmp_path / "run").translate(SENTENCES[:5]) == run.translate(SENTENCES[:5])


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_a_damaged_vocabulary_is_named(folder: Path, tmp_path: Path, content: bytes):
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run" / "speller.model").write_bytes(content)
    with pytest.raises(DataError, match=r"speller\.model"):
        unitdisc.load(tmp_path / "run").translate(SENTENCES[:1])


def test_a_file_and_standard_input_give_what_python_gives(
    run: Run, folder: Path, tmp_path: Path, monkeypatch
):
    given, out = folder / "text" / "test.en", tmp_path / "out.de"
    expected = "".join(f"{line}\n" for line in run.translate(SENTENCES, beam=2))
    assert command("translate", folder / "run", given, "--out", out, "--beam", "2").code == 0
    on_standard_input(monkeypatch, given.read_bytes())
    shown = command("translate", folder / "run", "--beam", "2", "--batch-tokens", "30")
    assert out.read_text() == shown.out == expected
    assert shown.err == ""


def test_every_line_has_a_line_also_empty_long_and_strange_ones(folder: Path, tmp_path: Path, monkeypatch):
    long = " ".join(["two dog"] * 500)
    lines = ["\ufefftwo dog", "", "日本 😀 \u2028 é", long, "  ", "a\tman\r", "two dog"]
    (tmp_path / "in.en").write_bytes("\n".join(lines).encode())
    monkeypatch.setattr(command_module, "_CHUNK", 3)
    done = command("translate", folder / "run", tmp_path / "in.en", "--beam", "1", "--max-length", "30")
    written = done.out.split("\n")
    assert done.code == 0
    assert [bool(line) for line in written] == [True, False, True, True, False, True, True, False]
    assert written[0] == written[-2]
    assert done.err == f"unitdisc: {tmp_path / 'in.en'}: empty lines stay empty: 2, the first is line 2\n"


def test_a_line_of_a_thousand_tokens_is_translated_whole(run: Run):
    tokens = run.source.sentence(" ".join(["two dog"] * 600))
    seen = []
    monitored = copy.deepcopy(run.model)
    monitored.decoder.register_forward_pre_hook(lambda *given: seen.append(given))
    (found,) = translate(monitored, Padded(tokens[None], torch.tensor([len(tokens)])), beam=1)
    assert len(tokens) > 1000
    assert found[-1] == END
    assert len(found) <= len(tokens) + 50


def test_lines_are_translated_while_they_come():
    read = []

    class Lines(io.BytesIO):
        def __next__(self) -> bytes:
            read.append(super().__next__())
            return read[-1]

    lines = Lines(b"one\n" * (3 * command_module._CHUNK))
    written = command_module._translated(lines, "lines", lambda texts: texts)
    assert next(written) == "one\n" * command_module._CHUNK
    assert len(read) == command_module._CHUNK


def test_bytes_that_are_no_text_are_named_and_nothing_is_written(folder: Path, tmp_path: Path):
    (tmp_path / "in.en").write_bytes(b"two dog\ntwo d\xffg\n")
    done = command("translate", folder / "run", tmp_path / "in.en", "--out", tmp_path / "out.de")
    assert (done.code, done.err) == (
        3,
        f"unitdisc: {tmp_path / 'in.en'}:2: not UTF-8; save the file as UTF-8\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.en"]


def test_a_run_that_predicts_no_units_has_no_latent_sentences_to_print(folder: Path):
    done = command("latents", folder / "run")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "its decoder predicts no units" in done.err


def test_a_file_that_is_not_there_is_named(folder: Path, tmp_path: Path):
    done = command("translate", folder / "run", tmp_path / "none")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert f"{tmp_path / 'none'}: cannot be read" in done.err


def test_options_reach_the_decoder(folder: Path, tmp_path: Path, monkeypatch):
    (tmp_path / "in.en").write_text("two dog\n")
    given: dict[str, object] = {}
    monkeypatch.setattr(Run, "translate", lambda self, texts, **options: given.update(options) or texts)
    options = ["--length-penalty", "1", "--max-length", "7", "--no-early-stop", "--teacher", tmp_path]
    assert command("translate", folder / "run", tmp_path / "in.en", *options).out == "two dog\n"
    assert given == {
        "beam": 4,
        "length_penalty": 1.0,
        "max_length": 7,
        "early_stop": False,
        "teacher": tmp_path,
        "batch_tokens": None,
    }


def test_line_feeds_that_a_model_spells_make_no_lines():
    assert as_line(" ein\nMann\u2028 ") == "ein Mann"


def test_data_without_sentences_are_refused():
    with pytest.raises(
        DataError, match="the data of Lines are no sentences to translate; give a run of a translation"
    ):
        sentence_source(Lines())


class Guesses(Autoregressive):
    """Offers a few random translations of each sentence, the longest first."""

    def candidates(self, source: Padded, **options: object) -> list[list[Tensor]]:
        del options
        torch.manual_seed(int(source.lengths.sum()))
        counts = [3, 1, 5, 2] * len(source.lengths)
        return [
            [
                torch.cat([torch.randint(4, 300, (3 * (count - n),)), torch.tensor([END])])
                for n in range(count)
            ]
            for count in counts[: len(source.lengths)]
        ]


@pytest.fixture
def guessing(run: Run) -> unitdisc.model.Model:
    model = copy.deepcopy(run.model)
    model.decoder.__class__ = Guesses
    return model


def given(run: Run, count: int = 6) -> Padded:
    rows = [run.source.sentence(sentence) for sentence in SENTENCES[:count]]
    lengths = torch.tensor([len(row) for row in rows])
    return Padded(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths)


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_the_teacher_takes_the_candidate_that_it_finds_likeliest(run, guessing, alpha, monkeypatch):
    monkeypatch.setattr(translation, "_TEACHER_TOKENS", 30)  # several batches
    source = given(run)
    found = translate(guessing, source, teacher=run.model, length_penalty=alpha)
    for row, candidates in enumerate(guessing.decoder.candidates(source)):
        alone = source.values[row : row + 1, : source.lengths[row]]
        scores = []
        for candidate in candidates:
            length = len(candidate)
            conditions = {"source": Padded(alone, source.lengths[row : row + 1])}
            batch = Batch(["u"], Padded(candidate[None], torch.tensor([length])), {}, conditions)
            with torch.no_grad():
                nats = run.model.decoder.nats(Padded(torch.zeros(0), torch.zeros(0)), batch)
            scores.append(-nats.item() / ((5 + length) / 6) ** alpha)
        assert torch.equal(found[row], candidates[scores.index(max(scores))])
    firsts = [candidates[0] for candidates in guessing.decoder.candidates(source)]
    assert not all(len(one) == len(other) for one, other in zip(found, firsts, strict=True))


def test_a_teacher_given_as_a_folder_is_read_once(run, guessing, folder, monkeypatch):
    translation._loaded.cache_clear()
    read = []
    opened = unitdisc.run.load
    monkeypatch.setattr(unitdisc.run, "load", lambda path: read.append(path) or opened(path))
    source = given(run)
    expected = translate(guessing, source, teacher=run.model)
    for _ in range(2):
        found = translate(guessing, source, teacher=folder / "run")
        assert all(map(torch.equal, found, expected))
    assert read == [(folder / "run").resolve()]


def test_a_teacher_of_other_words_is_refused(run: Run):
    other = copy.deepcopy(run.model)
    other.conditions["source"] = other.conditions["source"][::-1]
    with pytest.raises(
        RecipeError, match=r"^teacher: the teacher spells sentences with other pieces.*vocabulary"
    ):
        translate(run.model, given(run), teacher=other)


def test_a_teacher_without_probabilities_is_refused(run: Run):
    other = copy.deepcopy(run.model)
    other.decoder = None
    with pytest.raises(
        RecipeError, match="gives no probabilities of translations; take a run with the decoder"
    ):
        translate(run.model, given(run), teacher=other)
    with pytest.raises(RecipeError, match="no decoder that translates"):
        translator(other)


def test_with_a_single_candidate_a_teacher_changes_nothing(run: Run, folder: Path):
    assert isinstance(run.model.decoder, Likelihood)
    expected = run.translate(SENTENCES, beam=2)
    assert run.translate(SENTENCES, beam=2, teacher=str(folder / "run")) == expected
