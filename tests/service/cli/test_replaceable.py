from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from fer_service.cli.replaceable import check_replaceable
from fer_service.contract.errors import ResultsError

from tests.service.cli.conftest import Run
from tests.service.video.conftest import plain_frame, write_clip

pytestmark = pytest.mark.usefixtures("restored_logging", "folder")
FORMATS = [".csv", ".ndjson", ".json", ".parquet"]


def foreign_parquet(path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"emotion": [3], "image": [b"1"]}), path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_results_are_replaced_wherever_they_were_torn(run: Run, suffix: str) -> None:
    out = Path("a").with_suffix(suffix)
    for empty in (False, True):  # a folder of unreadable files has rows too, in JSON without a prediction
        run("predict", "photos/c-bad.png" if empty else "photos", "--out", out)
        whole = out.read_bytes()
        for length in (*range(min(60, len(whole))), len(whole)):
            out.write_bytes(whole[:length])
            check_replaceable(out)
    out.write_bytes(b"\xef\xbb\xbf" + whole if suffix != ".parquet" else whole)  # a spreadsheet adds this
    check_replaceable(out)


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_timelines_are_replaced(run: Run, suffix: str) -> None:
    write_clip(Path("clip.mp4"), [plain_frame(0, 220, 0)] * 2, [0, 0.1])
    out = Path("a").with_suffix(suffix)
    for _ in range(2):
        assert run("predict", "clip.mp4", "--out", out).status == 0
    check_replaceable(out)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "a,b\n1,2\n"),
        ("a.csv", "file,label\na.jpg,happy\n"),
        ("a.ndjson", '{"name": "Anna", "age": 3}\n'),
        ("a.ndjson", "[1]\n"),
        ("a.ndjson", "text\n"),
        ("a.json", '{"results": [1, 2]}'),
        ("a.json", "[]"),
        ("a.parquet", "text"),
        ("a.parquet", None),
    ],
)
def test_no_other_file_is_replaced(run: Run, name: str, content: str | None) -> None:
    path = Path(name)
    foreign_parquet(path) if content is None else path.write_text(content)
    before = path.read_bytes()
    ended = run("predict", "photos", "--out", name)
    assert ended.status == 1
    assert f"{name} exists, and is not a file of results: give another --out, or delete it" in ended.err
    assert path.read_bytes() == before


def test_a_video_replaces_no_other_file(run: Run) -> None:
    write_clip(Path("clip.mp4"), [plain_frame(0, 220, 0)], [0])
    foreign_parquet(Path("a.parquet"))
    assert "is not a file of results" in run("predict", "clip.mp4", "--out", "a.parquet").err


def test_a_missing_and_an_empty_file_are_taken() -> None:
    check_replaceable(Path("missing.csv"))
    Path("empty.csv").touch()
    check_replaceable(Path("empty.csv"))
    Path("folder.csv").mkdir()
    check_replaceable(Path("folder.csv"))  # opening it says what is wrong


def test_an_unknown_suffix_is_not_its_business() -> None:
    Path("a.txt").write_text("text")
    check_replaceable(Path("a.txt"))
    with pytest.raises(ResultsError):
        check_replaceable(Path("a.txt").rename("a.csv"))
