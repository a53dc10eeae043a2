import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from fer_service.cli.sources import find_sources, is_video

from tests.service.imaging.samples import samples
from tests.service.video.conftest import plain_frame, write_clip


@pytest.mark.parametrize("name", sorted(samples()))
def test_no_image_is_a_video_whatever_its_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / "name.mp4"
    file.write_bytes(samples()[name])
    assert not is_video(file)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.jpg", "clip"])
def test_a_video_is_one_whatever_its_name(tmp_path: Path, name: str) -> None:
    written = write_clip(tmp_path / "written.mp4", [plain_frame(255, 0, 0)], [0.0])
    assert is_video(written.rename(tmp_path / name))


@pytest.mark.parametrize(("name", "video"), [("x.webm", True), ("x.jpg", False), ("x", False)])
def test_the_suffix_decides_where_the_content_says_nothing(tmp_path: Path, name: str, video: bool) -> None:
    for content in (b"", b"\0\1\2\3"):
        (tmp_path / name).write_bytes(content)
        assert is_video(tmp_path / name) is video
    assert is_video(tmp_path / "missing.mp4")


def test_in_folders_the_content_decides_where_the_suffix_is_unknown(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "written.mp4", [plain_frame(255, 0, 0)], [0.0]).read_bytes()
    image = samples()["JPEG"]
    media = {"a.jpg": b"", "b": image, "c.jpg_large": image, "d.jpg.1": image, "e.pjpeg": image, "f": clip}
    others = {"g": b"text", "h.txt": image, "i.jpg.part": image, "j.NEF": image, "k": b"", "l": b"BMI " * 99}
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in (media | others).items():
        (folder / name).write_bytes(content)
    found = find_sources([str(folder)], recursive=False)
    assert [path.name for path in found.names] == [*media]
    assert found.passed_over == len(others)


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    left = ("@eaDir/a.jpg", "$RECYCLE.BIN/b.jpg", "__MACOSX/a.jpg", "~$a.jpg", ".cache/c.jpg")
    for name in ("a.jpg", "sub/d.jpg", *left):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_sources([str(tmp_path)], recursive=True).names == [Path("a.jpg"), Path("sub/d.jpg")]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    for folder in (photos, elsewhere):
        folder.mkdir()
        (folder / "a.jpg").touch()
    (photos / "more").symlink_to(elsewhere)
    (photos / "again").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(photos)
    (photos / "a-link").symlink_to("real")
    (photos / "real").mkdir()
    (photos / "real" / "b.jpg").touch()
    names = find_sources([str(photos)], recursive=True).names
    assert names == [Path("a.jpg"), Path("real/b.jpg"), Path("again/a.jpg")]


def test_a_link_that_may_not_be_followed_is_reported_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").symlink_to("locked/b.jpg")
    followed = os.stat

    def locked(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if Path(path).name == "b.jpg":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return followed(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", locked)
    assert find_sources([str(tmp_path)], recursive=True).names == [Path("a.jpg"), Path("b.jpg")]


def test_folders_may_be_nested_deeply(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(sys.getrecursionlimit() + 100):
        folder /= "d"
        folder.mkdir()
    image = folder / "a.jpg"
    image.touch()
    files = find_sources([str(tmp_path)], recursive=True).files
    image.unlink()
    while folder != tmp_path:  # pytest cannot remove so many
        folder.rmdir()
        folder = folder.parent
    assert files == [image]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs Unix")
def test_a_link_to_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "b.jpg").symlink_to("pipe")
    (tmp_path / "c.jpg").symlink_to("missing")  # is reported when it is read
    assert find_sources([str(tmp_path)], recursive=False).names == [Path("a.jpg"), Path("c.jpg")]
