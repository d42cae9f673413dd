"""ScribbleLens in the layout of OpenSLR 84 becomes a corpus of lines, and nothing of it is unpacked."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from unitdisc.cli.data import command
from unitdisc.errors import DataError, UnitdiscError
from unitdisc.manifest import read_folder
from unitdisc.reader import Drawn
from unitdisc.testing import check_data, check_reader
from unitdisc_handwriting.drawn import import_drawn
from unitdisc_handwriting.image import scaled_width
from unitdisc_handwriting.source import Lines
from unitdisc_scribblelens.reader import ScribbleLens
from unitdisc_scribblelens.scribes import Scribes, covers
from unitdisc_scribblelens.transcripts import in_mode

TOP = "scribblelens.corpus.v1"
PATHS = "scribblelens.paths.1.4b.zip"
TRAIN = {"nl/tasman/1.0/line1": "den 2. dito", "nl/kieft/7/line.bw.2": "d'oost wint\n"}
TEST = {"nl/tasman/2.1/line1": "noot"}
OTHERS = ["nl/unsupervised/roggeveen/25.1/line4", "nl/unsupervised/owic.brieven.11/176/line1"]
SCRIBES = f"""ScribbleLens: who wrote what
writer-name  ID  directory  year slant curviness/complexity
tasman       4   {TOP}/nl/tasman    1642  2  3
kieft\t3\t{TOP}/nl/kieft/\t1638\t1\t1
roggeveen    80  {TOP}/nl/unsupervised/roggeveen/[6.0-25.0]  1721 1 1
roggeveen    81  {TOP}/nl/unsupervised/roggeveen/[25.1-39.0] 1722 1 1
owic.brieven.11/17[2346]  20  {TOP}/nl/unsupervised/owic.brieven.11/17[2346]  1636 1 1
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


def jpeg(number: int) -> bytes:
    """A line of handwriting 48 to 100 pixels high."""
    random = np.random.default_rng(number)
    pixels = random.integers(0, 256, (48 + 13 * number, 90 + 40 * number), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def path_of(content: bytes, name: str, characters: str) -> tuple[str, list[str]]:
    """An alignment path: the characters, each as wide as the others, and a blank at both ends."""
    width, height = Image.open(io.BytesIO(content)).size
    columns = scaled_width(width, height, 32)
    symbols = [characters[column * len(characters) // columns] for column in range(columns)]
    rows = [f"{column} {column + 1} {symbol} -0.125000" for column, symbol in enumerate(symbols)]
    return "\n".join([f"{name} {columns} targetStr:{characters}", *rows, ""]), symbols


def zipped(members: dict[str, bytes | str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def members() -> dict[str, bytes | str]:
    """What the distribution holds, by name below the top folder."""
    names = [*TRAIN, *TEST, *OTHERS]
    images = {f"{name}.jpg": jpeg(number) for number, name in enumerate(names)}
    texts = {f"{name}.txt": text for name, text in (TRAIN | TEST).items()}
    lists = {"train": TRAIN, "test": TEST, "tasman.train": ["nl/tasman/1.0/line1"], "tasman.test": TEST}
    rows = {
        f"corpora/nl.bw.lines.{part}.dat": "".join(f"{name}.jpg\t{name}.txt\n" for name in chosen)
        for part, chosen in lists.items()
    }
    # The list of all images repeats one that has a transcript.
    rows["corpora/all.nl.bw.lines.unsupervised.dat"] = "\n".join(f"{name}.jpg" for name in [*OTHERS, *TEST])
    aligned = {
        f"{TOP}/{name}.ali": path_of(images[f"{name}.jpg"], f"{TOP}/{name}.jpg", f"*{text}*")[0]
        for name, text in (("nl/tasman/1.0/line1", "den_2_dito"), ("nl/tasman/2.1/line1", "noot"))
    }
    about = {"corpora/nl.writers.scribes.v2.txt": SCRIBES, f"corpora/{PATHS}": zipped(aligned)}
    return {**images, **texts, **rows, **about}


def distribution(place: Path, **changes: bytes | str | None) -> Path:
    """Write the zip that OpenSLR distributes; changed members are named in full, None takes one out."""
    content = {**members(), **changes}
    file = place / "scribblelens.corpus.v1.2.zip"
    file.write_bytes(zipped({f"{TOP}/{name}": data for name, data in content.items() if data is not None}))
    return file


def lines(source: Path, **options) -> dict[str, Drawn]:
    return {line.key: line for line in ScribbleLens(**options).read(source)}


def refusal(source: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        [line.read() for line in ScribbleLens(**options).read(source)]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_zip_and_what_it_unpacks_to_keep_the_contract_of_readers(tmp_path):
    file = distribution(tmp_path)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "unpacked")
    for source in (file, tmp_path / "unpacked", tmp_path / "unpacked" / TOP):
        check_reader(ScribbleLens(alignment=Path(PATHS)), source)


def test_splits_scribes_years_pages_and_text_are_those_of_the_lists_and_the_table(tmp_path):
    found = lines(distribution(tmp_path))
    assert {key: line.split for key, line in found.items()} == {
        "tasman_1.0_line1": "train",
        "kieft_7_line.bw.2": "train",
        "tasman_2.1_line1": "test",
        "unsupervised_roggeveen_25.1_line4": "unsupervised",
        "unsupervised_owic.brieven.11_176_line1": "unsupervised",
    }
    assert found["kieft_7_line.bw.2"].fields == {
        "document": "kieft",
        "scribe_id": "3",
        "year": "1638",
        "page": "7",
        "line": "2",
        "transcript": "d'oost wint",
        "text": "doost wint",
    }
    roggeveen = found["unsupervised_roggeveen_25.1_line4"].fields
    assert roggeveen == {
        "document": "roggeveen.81", "scribe_id": "81", "year": "1722", "page": "25.1", "line": "4",
    }  # fmt: skip
    assert found["unsupervised_owic.brieven.11_176_line1"].fields["document"] == "owic.brieven.11/17[2346]"


def test_a_line_of_two_lists_is_given_once_whatever_the_order_of_the_splits(tmp_path):
    found = ScribbleLens(splits=("unsupervised", "test")).read(distribution(tmp_path))
    assert [line.split for line in found] == ["test", "unsupervised", "unsupervised"]


def test_images_have_the_pixels_of_the_jpeg(tmp_path):
    found = lines(distribution(tmp_path))
    for number, line in enumerate(found.values()):
        expected = np.asarray(Image.open(io.BytesIO(jpeg(number))))
        assert np.array_equal(line.read(), expected)


def test_without_the_table_a_scribe_is_the_folder_of_the_collection(tmp_path):
    found = lines(distribution(tmp_path, **{"corpora/nl.writers.scribes.v2.txt": None}))
    assert found["unsupervised_roggeveen_25.1_line4"].fields == {
        "document": "roggeveen", "page": "25.1", "line": "4",
    }  # fmt: skip


def test_one_scribe_is_read_from_its_own_lists(tmp_path):
    found = lines(distribution(tmp_path), scribe="tasman")
    assert [(line.split, line.fields["document"]) for line in found.values()] == [
        ("train", "tasman"), ("test", "tasman"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "pages", "others"),
    [
        ("17[2346]", "172 173 174 176", "175 17 1723 72"),
        ("(3-14)", "3 9 10 14", "2 15 1"),
        ("3.[356-11]", "3.3 3.5 3.6 3.10 3.11", "3.4 3.12 3.2 5"),
        ("21.[1368-13]", "21.1 21.3 21.6 21.8 21.13", "21.2 21.7 21.14"),
        ("37.[8,11]", "37.8 37.11", "37.1 37.9"),
        ("27A.[45]", "27A.4", "27.4"),
        ("20.[1]", "20.1", "20.2"),
        ("31.3", "31.3", "31.33"),
        ("[25.1-39.0]", "25.1 26.0 38.1 39.0", "25.0 39.1 9.0 3.0"),
    ],
)
def test_the_table_of_scribes_names_pages_by_its_patterns(pattern, pages, others):
    assert [page for page in (pages + " " + others).split() if covers(pattern, page)] == pages.split()


@pytest.mark.parametrize("pattern", ["(1-99999999999)", f"[1.0-{'9' * 5000}.0]", "[1.0-9.0]"])
def test_numbers_that_no_page_has_take_no_time(pattern):
    assert not covers(pattern, "9" * 5000)


def test_rows_of_the_table_that_are_no_scribes_are_headings():
    table = Scribes("a line of words only\nname ID directory\n# x 1 nl/x\nx 1 somewhere/else\n\n")
    assert table.of(("nl", "unsupervised", "x", "1.0")).fields() == {"document": "x"}


@pytest.mark.parametrize(
    ("mode", "text"),
    [(1, "*abcd*"), (2, "*a*b*c*d*"), (3, "abcd"), (4, "*ab cd*"), (5, "ab cd")],
)
def test_the_five_modes_of_transcripts(mode, text):
    assert in_mode("a'b c.d", mode) == text


def test_paths_become_characters_in_columns_of_the_stored_image(tmp_path):
    name, text = "nl/tasman/2.1/line1", "noot"
    file = distribution(tmp_path)
    line = lines(file, alignment=Path(PATHS))["tasman_2.1_line1"]
    width = line.read().shape[1]
    _, symbols = path_of(jpeg(2), name, f"*{text}*")
    # Slow: the path's column of each column of the image; "oo" is one run.
    columns = [symbols[column * len(symbols) // width] for column in range(width)]
    runs = [(symbol, len(list(run))) for symbol, run in groupby(columns)]
    found = line.tables["characters"]
    assert [symbol for *_, symbol in found] == ["n", "o", "t"]
    assert all(
        abs((end - start) - long) <= 1 for (start, end, _), (_, long) in zip(found, runs[1:-1], strict=True)
    )


def test_frames_of_the_imported_lines_have_the_symbols_of_the_path(tmp_path):
    file = distribution(tmp_path)
    import_drawn(list(lines(file, alignment=Path(PATHS)).values()), new(tmp_path / "out"))
    source = Lines(root=tmp_path / "out", labels=("characters",), text=False)
    source.prepare()
    check_data(source)
    vocab = source.targets["characters"].vocab
    for split, number, text in (("train", 0, "den_2_dito"), ("test", 2, "noot")):
        _, symbols = path_of(jpeg(number), "", f"*{text}*")
        expected = [-1 if sign == "*" else vocab.index(sign.replace("_", "|")) for sign in symbols]
        assert source.split(split)[0].targets["characters"].tolist() == expected


def test_paths_of_1_4_lie_beside_the_corpus_and_name_the_space_in_words(tmp_path):
    file = distribution(tmp_path, **{f"corpora/{PATHS}": None})
    content = path_of(jpeg(0), "x.jpg", "a_b")[0].replace(" _ ", " SPACE ")
    beside = tmp_path / "scribblelens.paths.1.4.zip"
    beside.write_bytes(zipped({f"{TOP}/nl/tasman/1.0/line1.ali": content}))
    found = lines(file, alignment=beside)["tasman_1.0_line1"].tables["characters"]
    assert [symbol for *_, symbol in found] == ["a", "|", "b"]
    assert (found[0][0], found[-1][1]) == (0, 90)


def new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_one_command_imports_the_zip_and_lines_reads_it(tmp_path):
    file, out = distribution(tmp_path), tmp_path / "out"
    arguments = ["import", "--from", "scribblelens", str(file), "transcript_mode=4", f"alignment={PATHS}"]
    result = CliRunner().invoke(command, [*arguments, "--out", str(out)], catch_exceptions=False)
    assert "lines: 5 lines (2 train, 1 test, 2 unsupervised)" in result.output
    source = Lines(root=out, text=True, labels=("characters",))
    with pytest.raises(DataError, match="has no text"):  # the unsupervised lines
        source.prepare()
    source = Lines(root=out, labels=("characters",))
    source.prepare()
    assert source.conditions == {"document": ("kieft", "tasman")}
    assert json.loads((out / "manifest.jsonl").read_text().split("\n")[0])["text"] == "*den 2 dito*"


def test_an_imported_corpus_is_a_corpus_folder_that_may_be_moved(tmp_path):
    import_drawn(list(lines(distribution(tmp_path)).values()), new(tmp_path / "out"))
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    source = Lines(root=moved)
    source.prepare()
    assert source.split("train")[0].inputs.shape == (scaled_width(90, 48, 32), 32)
    assert len(read_folder(moved, unit="column").entries) == 5


def test_the_cache_is_used_again_until_the_zip_changes(tmp_path):
    file = distribution(tmp_path)
    arguments = ["import", "--from", "scribblelens", str(file), "splits=[train]"]
    first, second = (CliRunner().invoke(command, arguments, catch_exceptions=False).output for _ in range(2))
    assert "2 text lines, imported before" in second
    assert first.split("\n")[1] == second.split("\n")[1]
    distribution(tmp_path, **{"nl/tasman/1.0/line1.jpg": jpeg(3)})
    third = CliRunner().invoke(command, arguments, catch_exceptions=False).output
    assert third.split("\n")[1] != second.split("\n")[1]


def test_import_holds_one_image_at_a_time(tmp_path):
    side = 1000
    drawn = [
        Drawn(f"{number}", "train", "x", (), lambda: np.zeros((side, side), np.uint8)) for number in range(12)
    ]
    import_drawn(drawn[:1], new(tmp_path / "warm"))
    tracemalloc.start()
    import_drawn(drawn, new(tmp_path / "out"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * side * side


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "a b"}, "id 'a b' is empty or has white space"),
        ({"key": "b"}, "id 'b' stands in the splits 'test' and 'train'"),
        ({"read": lambda: np.zeros((2, 3))}, r"the image is float64 \(2, 3\)"),
        ({"read": lambda: np.zeros((0, 3), np.uint8)}, r"the image is uint8 \(0, 3\)"),
        ({"tables": {"t": [(0, 4, "x")]}}, "t 'x' of a goes from 0 to 4 in 3 columns"),
        ({"tables": {"t": [(0, 2, " ")]}}, "t ' ' of a goes from 0 to 2"),
        ({"tables": {"t": [(0, 3, "x"), (1, 2, "y")]}}, r"t 'y' of a \(1 to 2\) covers or lies in 'x'"),
    ],
)
def test_lines_that_no_corpus_folder_can_hold_are_refused_where_they_were_found(tmp_path, change, message):
    read = lambda: np.zeros((2, 3), np.uint8)  # noqa: E731
    good = {"key": "a", "split": "train", "where": "list:7", "files": (), "read": read}
    drawn = [Drawn("b", "test", "list:1", (), read), Drawn(**{**good, **change})]
    with pytest.raises(DataError, match=f"list:7: {message}"):
        import_drawn(drawn, new(tmp_path / "out"))


def test_a_damaged_line_leaves_no_folder_behind(tmp_path):
    file = distribution(tmp_path, **{"nl/tasman/2.1/line1.jpg": jpeg(2)[:900]})
    arguments = ["import", "--from", "scribblelens", str(file), "--out", str(tmp_path / "out")]
    with pytest.raises(DataError, match=r"test\.dat:1: nl/tasman/2\.1/line1\.jpg: cannot be decoded"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", file.name]


def test_a_zip_cut_short_is_refused(tmp_path):
    file = distribution(tmp_path)
    file.write_bytes(file.read_bytes()[:-400])
    assert f"{file}: no whole zip" in refusal(file)


def test_a_member_with_a_flipped_bit_is_refused(tmp_path):
    file = distribution(tmp_path)
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        start = archive.getinfo(f"{TOP}/nl/tasman/1.0/line1.jpg").header_offset
    content[start + 200] ^= 1
    file.write_bytes(content)
    assert f"{file}: {TOP}/corpora/nl.bw.lines.train.dat:1: {TOP}/nl/tasman/1.0/line1.jpg" in refusal(file)


def test_a_member_that_declares_too_much_is_refused_before_it_is_unpacked(tmp_path):
    file = distribution(tmp_path)
    content = bytearray(file.read_bytes())
    name = f"{TOP}/nl/tasman/1.0/line1.txt".encode()
    at = content.rindex(name) - 46  # its entry in the directory at the end; its size stands 24 bytes in
    struct.pack_into("<I", content, at + 24, 2**31)
    file.write_bytes(content)
    assert "line1.txt unpacks to 2,147,483,648 bytes, at most 67,108,864 are read" in refusal(file)


def test_a_member_that_declares_too_little_is_refused_without_unpacking_the_rest(tmp_path):
    file = distribution(tmp_path, **{"nl/tasman/1.0/line1.txt": bytes(2**25)})
    content = bytearray(file.read_bytes())
    at = content.rindex(f"{TOP}/nl/tasman/1.0/line1.txt".encode()) - 46
    struct.pack_into("<I", content, at + 24, 5)
    file.write_bytes(content)
    refusal(file, splits=("test",), scribe="kieft")  # what is imported once does not count
    tracemalloc.start()
    assert "line1.txt: no whole zip (Bad CRC-32" in refusal(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_a_zip_bomb_is_refused_by_the_size_that_it_declares(tmp_path):
    file = distribution(tmp_path, **{"nl/tasman/1.0/line1.txt": bytes(2**26 + 1)})
    assert file.stat().st_size < 2**18
    assert "unpacks to 67,108,865 bytes" in refusal(file)


def test_an_image_of_too_many_pixels_is_refused_by_its_header(tmp_path):
    image = bytearray(jpeg(0))
    at = image.index(b"\xff\xc0")
    struct.pack_into(">HH", image, at + 5, 65000, 65000)
    message = refusal(distribution(tmp_path, **{"nl/tasman/1.0/line1.jpg": bytes(image)}))
    assert "train.dat:1: nl/tasman/1.0/line1.jpg" in message
    assert "pixels" in message


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("nl/tasman/1.0/line1.txt", None, "train.dat:1: no 'scribblelens.corpus.v1/nl/tasman/1.0/line1.txt'"),
        ("nl/tasman/1.0/line1.jpg", None, "train.dat:1: no 'scribblelens.corpus.v1/nl/tasman/1.0/line1.jpg'"),
        ("nl/tasman/1.0/line1.txt", ". '", "nl/tasman/1.0/line1.txt has no text"),
        ("nl/tasman/1.0/line1.txt", b"\xff\xfe", "is not UTF-8"),
        ("corpora/nl.bw.lines.test.dat", None, "no scribblelens.corpus.v1/corpora/nl.bw.lines.test.dat (found: all.nl"),
        ("corpora/nl.bw.lines.test.dat", "\nnl/../../x.jpg\n", "test.dat:2: 'nl/../../x.jpg' leaves"),
        ("corpora/nl.bw.lines.test.dat", "/etc/passwd", "test.dat:1: '/etc/passwd' leaves"),
        ("corpora/nl.bw.lines.test.dat", "nl\\x.jpg", "leaves"),
        ("nl/tasman/1.0/line1.jpg", b"no image", "nl/tasman/1.0/line1.jpg: no image in the form of"),
    ],
)  # fmt: skip
def test_damaged_distributions_are_refused_by_name(tmp_path, member, content, message):
    source = distribution(tmp_path, **{member: content})
    assert message in refusal(source)
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert message in refusal(tmp_path / "unpacked")


def test_a_link_out_of_the_unpacked_folder_is_refused(tmp_path):
    with zipfile.ZipFile(distribution(tmp_path)) as archive:
        archive.extractall(tmp_path / "unpacked")
    (tmp_path / "secret.jpg").write_bytes(jpeg(0))
    place = tmp_path / "unpacked" / TOP / "nl/tasman/1.0/line1.jpg"
    place.unlink()
    place.symlink_to(tmp_path / "secret.jpg")
    assert "leaves" in refusal(tmp_path / "unpacked")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("x.jpg 3 targetStr:a\n0 1 a -1\n", "line1.ali:1: found 'x.jpg 3 targetStr:a' and 1 rows"),
        ("", "line1.ali:1: found '' and 0 rows"),
        ("x.jpg 2\n0 1 a -1\n2 3 b -1\n", "line1.ali:3: found '2 3 b -1'; give 1, 2, character and score"),
        (
            "x.jpg 2\n0 1 a -1\n1 2 b -1\n",
            "line1.ali: 2 columns, but the image has 60 at 32 pixels of height",
        ),
    ],
)
def test_damaged_paths_are_refused_by_file_and_line(tmp_path, path, message):
    beside = tmp_path / "paths.zip"
    beside.write_bytes(zipped({f"{TOP}/nl/tasman/1.0/line1.ali": path}))
    assert message in refusal(distribution(tmp_path), alignment=beside)


def test_paths_that_are_not_there_or_of_other_lines_are_refused(tmp_path):
    file = distribution(tmp_path)
    assert f"(found: {PATHS})" in refusal(file, alignment=Path("paths.9.zip"))
    beside = tmp_path / "paths.zip"
    beside.write_bytes(zipped({f"{TOP}/nl/other/line1.ali": "x"}))
    assert f"{beside}: has the path of none of these lines" in refusal(file, alignment=beside)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("transcript_mode=6", "transcript_mode"),
        ("colour=red", "colour"),
        ("scribe=nobody", "no scribblelens.corpus.v1/corpora/nl.bw.lines.nobody.train.dat"),
        ("splits=[dev]", "no scribblelens.corpus.v1/corpora/nl.bw.lines.dev.dat"),
    ],
)
def test_options_that_do_not_exist_are_refused(tmp_path, option, message):
    arguments = ["import", "--from", "scribblelens", str(distribution(tmp_path)), option]
    with pytest.raises(UnitdiscError, match=message):
        CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_two_corpora_in_one_folder_are_refused(tmp_path):
    with zipfile.ZipFile(distribution(tmp_path)) as archive:
        archive.extractall(tmp_path / "all/one")
        archive.extractall(tmp_path / "all/two")
    assert "found 2 folders corpora/" in refusal(tmp_path / "all")
