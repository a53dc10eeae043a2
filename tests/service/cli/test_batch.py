"""The parts of `fer-service batch` that need no Ray: the list of files, and one part."""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from fer_service.cli import batch_files
from fer_service.cli.batch_files import BatchFolder, list_files
from fer_service.cli.batch_part import PartWorker, path_of
from fer_service.cli.sources import is_video
from fer_service.contract.settings import load_settings
from fer_service.video.analysis import ClipOptions
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from tests.service.cli.conftest import Run
from tests.service.conftest import plain


def photos(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(plain("red"))


def names(*words: object, recursive: bool = False) -> list[str]:
    return [name for name, _ in list_files([str(word) for word in words], recursive=recursive)]


def test_folders_patterns_lists_and_uris_name_the_same_files(tmp_path: Path) -> None:
    photos(tmp_path, "a.jpg", "b.png", "sub/c.jpg", ".hidden.jpg")
    (tmp_path / "notes.md").write_text("Notes")
    flat = [str(tmp_path / name) for name in ("a.jpg", "b.png")]
    assert names(tmp_path) == flat
    assert names(tmp_path, recursive=True) == [*flat, str(tmp_path / "sub/c.jpg")]
    assert names(f"{tmp_path}/*.jpg") == flat[:1]
    assert names(tmp_path.as_uri(), recursive=True) == [
        f"file://{path}" for path in (*flat, tmp_path / "sub/c.jpg")
    ]
    (tmp_path / "list.txt").write_text(f"{flat[1]}\n\n{flat[0]}\n{flat[1]}\n")
    assert names(tmp_path / "list.txt") == [flat[1], flat[0]]
    assert names(tmp_path, f"{tmp_path}/*.jpg") == flat


def test_workers_get_the_options_of_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path, "bucket/my photos/50% #1.jpg")
    bucket = SubTreeFileSystem(str(tmp_path), LocalFileSystem())
    monkeypatch.setattr(batch_files, "open_place", lambda word: (bucket, "bucket/my photos"))
    options = "?region=x&endpoint_override=localhost:9000"
    ((name, place),) = list_files([f"s3://key:secret@bucket/my%20photos{options}"], recursive=False)
    assert name == "s3://bucket/my photos/50% #1.jpg"
    assert place == f"s3://key:secret@bucket/my%20photos/50%25%20%231.jpg{options}".encode()


def test_the_host_of_a_uri_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path, "a b.jpg")
    monkeypatch.setattr(batch_files, "open_place", lambda word: (LocalFileSystem(), str(tmp_path)))
    ((name, place),) = list_files([f"hdfs://host:9000{tmp_path}"], recursive=False)
    assert (name, place) == (
        f"hdfs://host:9000{tmp_path}/a b.jpg",
        f"hdfs://host:9000{tmp_path}/a%20b.jpg".encode(),
    )


def test_a_video_is_one_behind_options_too() -> None:
    for place in ("s3://bucket/a%20b.mp4?region=x", "s3://bucket/clip.mp4", "/photos/clip.mp4"):
        assert is_video(path_of(place))
    assert not is_video(path_of("s3://bucket/photo.jpg?name=clip.mp4"))


def test_a_place_with_any_characters_is_opened(tmp_path: Path) -> None:
    photos(tmp_path, "a b/50% #1?.jpg")
    ((_, place),) = list_files([(tmp_path / "a b").as_uri()], recursive=False)
    assert batch_files.open_place(place.decode())[1] == str(tmp_path / "a b/50% #1?.jpg")


def test_parts_of_other_programs_are_none(tmp_path: Path) -> None:
    for name in ("part-00000003", "part-00000-7f3c.snappy", "part-0"):
        (tmp_path / f"{name}.parquet").touch()
    assert BatchFolder(str(tmp_path)).done() == {3}


def test_what_names_nothing_is_an_error(tmp_path: Path) -> None:
    for word in (tmp_path, tmp_path.as_uri(), "-"):
        with pytest.raises(typer.BadParameter):
            names(word)


def test_a_part_is_written_once_and_an_error_is_a_row(tmp_path: Path, tiny_bundle: Path, yunet_file: Path) -> None:
    photos(tmp_path / "photos", "a.jpg", "b.jpg", "d.jpg")
    (tmp_path / "photos" / "c.jpg").write_bytes(b"no image")
    folder = BatchFolder(str(tmp_path / "out"))
    assert not folder.exists()
    folder.create(list_files([str(tmp_path / "photos")], recursive=False), 3, {"model": "tiny"})
    assert folder.exists()
    assert folder.about() == {"model": "tiny"}
    settings = load_settings(model=str(tiny_bundle), detector=str(yunet_file), device="cpu")
    worker = PartWorker(folder, settings, ClipOptions(), 1)
    assert worker({"part": 0}) == {"files": 3, "errors": 1}
    assert folder.done() == {0}
    written = (tmp_path / "out" / "part-00000000.parquet").stat().st_mtime_ns
    assert worker({"part": 0}) == {"files": 3, "errors": 1}  # as Ray does after a lost answer
    assert (tmp_path / "out" / "part-00000000.parquet").stat().st_mtime_ns == written
    assert worker({"part": 1}) == {"files": 1, "errors": 0}
    table = pq.read_table(tmp_path / "out")
    assert [Path(name).name for name in table["file"].to_pylist()] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert [error is not None for error in table["error"].to_pylist()] == [False, False, True, False]


def test_another_job_in_the_folder_is_refused(tmp_path: Path, run: Run) -> None:
    photos(tmp_path / "photos", "a.jpg")
    out = tmp_path / "out"
    BatchFolder(str(out)).create(list_files([str(tmp_path / "photos")], recursive=False), 3, {"sources": ["x"]})
    ended = run("batch", tmp_path / "photos", "--out", out)
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "continue" in ended.err
    ended = run("batch", tmp_path / "photos", "--out", out, "--resume")
    assert ended.status == 1
    assert "has a job with other values of sources" in ended.err


def test_without_pyarrow_there_is_a_sentence(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pyarrow.fs", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    photos(tmp_path / "photos", "a.jpg")
    ended = run("batch", tmp_path / "photos", "--out", tmp_path / "out")
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "pyarrow is not installed; batch needs it" in ended.err
