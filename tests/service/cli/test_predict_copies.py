"""`fer-service predict --annotate`."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from fer_service.cli.copies import copy_paths
from fer_service.cli.sources import Sources

from tests.service.cli.conftest import Run
from tests.service.video.conftest import plain_frame, write_clip

pytestmark = pytest.mark.usefixtures("restored_logging")


@pytest.mark.usefixtures("folder")
def test_a_copy_replaces_no_original_that_a_link_names(run: Run) -> None:
    Path("links").mkdir()
    Path("links/b-red.jpg").symlink_to(Path("photos/b-red.jpg").resolve())
    before = Path("photos/b-red.jpg").read_bytes()
    ended = run("predict", "links", "--annotate", "photos")
    assert (ended.status, Path("photos/b-red.jpg").read_bytes()) == (1, before)
    assert "photos holds files to analyse" in ended.err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_link_with_the_name_of_a_copy_is_not_written_through(
    run: Run, link: Callable[[Path, Path], None]
) -> None:
    Path("marked").mkdir()
    original = Path("photos/b-red.jpg").resolve()
    link(original, Path("marked/b-red.jpg"))
    before = original.read_bytes()
    ended = run("predict", "photos/b-red.jpg", "--annotate", "marked")
    assert (ended.status, original.read_bytes()) == (1, before)
    assert "marked/b-red.jpg is a link, or a file to analyse, and a copy would replace it" in ended.err
    link(original, Path("results.csv"))
    ended = run("predict", "photos/b-red.jpg", "--out", "results.csv")
    assert (ended.status, original.read_bytes()) == (2, before)
    assert "is one of the files to analyse" in ended.err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("name", "begin"), [("marked.jpg", b"\xff\xd8"), ("one/marked.PNG", b"\x89PNG")])
def test_the_copy_of_a_single_image_may_be_a_file(run: Run, name: str, begin: bytes) -> None:
    assert run("predict", "photos/b-red.jpg", "--annotate", name).status == 0
    assert Path(name).read_bytes().startswith(begin)
    original = Path("photos/b-red.jpg").read_bytes()
    one = ["photos/b-red.jpg"]
    for images, place in ((one, one[0]), (one, "a.webp"), (["photos"], name), (["photos"], "a.mp4")):
        assert run("predict", *images, "--annotate", place).status == 1
    assert Path("photos/b-red.jpg").read_bytes() == original


def test_a_video_is_not_replaced_by_its_copy_through_a_link(run: Run, folder: Path) -> None:
    clip = write_clip(folder / "clip.mp4", [plain_frame(0, 220, 0)] * 2, [0, 0.1])
    before = clip.read_bytes()
    for number, option in enumerate(("--out", "--annotate")):
        link = folder / f"link{number}{'.json' if option == '--out' else '.mp4'}"
        os.link(clip, link)
        ended = run("predict", clip, option, link)
        assert (ended.status, clip.read_bytes()) == (1, before)
        assert "must be different files" in ended.err


def test_a_long_name_has_a_copy(run: Run, folder: Path) -> None:
    name = "x" * 251 + ".jpg"
    (folder / "b-red.jpg").rename(folder / name)
    assert run("predict", folder / name, "--annotate", "marked").status == 0
    assert [path.name for path in Path("marked").iterdir()] == [name]


def test_a_copy_that_the_disk_has_no_room_for_is_named_and_not_left_torn(run: Run, folder: Path) -> None:
    (folder.parent / "marked").mkdir()
    (folder.parent / "marked" / "b-red.jpg.partial").symlink_to("/dev/full")
    ended = run("predict", "photos/b-red.jpg", "--annotate", "marked")
    assert ended.status == 1
    assert "cannot write marked/b-red.jpg: No space left on device" in ended.err
    assert list((folder.parent / "marked").iterdir()) == []


@pytest.mark.usefixtures("folder")
def test_annotated_copies_keep_the_folders_and_replace_nothing(run: Run) -> None:
    run("predict", "photos", "photos/more/b-red.jpg", "--recursive", "--annotate", "marked", "--out", "a.csv")
    found = {path.relative_to("marked").as_posix() for path in Path("marked").rglob("*.*")}
    assert found == {"a-green.JPG", "b-red.jpg", "more/b-red.jpg"}
    marked = cv2.imread("marked/b-red.jpg")
    assert marked is not None
    assert not np.array_equal(marked, cv2.imread("photos/b-red.jpg"))


def copies_of(*names: str) -> list[str]:
    files = [Path(name) for name in names]
    videos = {file for file in files if file.suffix in (".mov", ".mp4")}
    found = copy_paths(Path("out"), Sources(files, [Path(file.name) for file in files], 0), videos)
    return [found[file].name for file in files]


def test_a_copy_keeps_its_name_or_gets_the_suffix_of_its_format() -> None:
    names = ["a.bmp", "a.jpeg", "a.jpg", "a.mov", "a.mp4", "a.png", "a.webp", "b.JPG"]
    assert copies_of(*names) == [
        *("a.bmp.jpg", "a.jpeg", "a.jpg", "a.mov.mp4"),
        *("a.mp4", "a.png", "a.webp.jpg", "b.JPG"),
    ]


@pytest.mark.parametrize(
    "names", [("x/a.jpg", "y/a.jpg"), ("a.webp", "a.webp.jpg"), ("a.JPG", "a.jpg"), ("a.mov", "a.mov.mp4")]
)
def test_copies_of_one_name_replace_none_of_an_earlier_run_without_the_others(
    names: tuple[str, str],
) -> None:
    alone, together = {copies_of(name)[0] for name in names}, copies_of(*names)
    assert len(set(together)) == len(names)
    assert alone.isdisjoint(together)
    assert copies_of(*reversed(names)) == together[::-1]


def test_a_hash_is_not_the_name_of_another_file() -> None:
    hashed = copies_of("a/x.jpg", "b/x.jpg")
    copies = copies_of("a/x.jpg", "b/x.jpg", *hashed)
    assert len(set(copies)) == 4
    assert copies[2:] == hashed


@pytest.mark.parametrize(("letter", "suffix"), [("n", ".webp"), ("é", ".bmp"), ("語", ".tiff")])
def test_a_name_that_is_too_long_is_cut(letter: str, suffix: str) -> None:
    names = [letter * ((255 - len(suffix) - 1) // len(letter.encode())) + end + suffix for end in "12"]
    copies = copies_of(*names)
    assert len(set(copies)) == 2
    assert all(len(copy.encode()) <= 255 and copy.endswith(".jpg") for copy in copies)


@pytest.mark.usefixtures("folder")
def test_a_folder_with_one_video_takes_a_folder_for_its_copy(run: Run) -> None:
    Path("videos").mkdir()
    write_clip(Path("videos/clip.mkv"), [plain_frame(0, 220, 0)] * 2, [0, 0.1])
    ended = run("predict", "videos", "--annotate", "marked", "--draw", "blur")
    assert (ended.status, [path.name for path in Path("marked").iterdir()]) == (0, ["clip.mkv.mp4"])


def test_the_copy_of_a_png_file_is_one(run: Run, folder: Path) -> None:
    cv2.imwrite(str(folder / "b-red.png"), np.zeros((64, 64, 3), np.uint8))
    run("predict", "photos/b-red.jpg", "photos/b-red.png", "--annotate", "photos/marked")
    copies = {path.name: path.read_bytes()[:4] for path in (folder / "marked").iterdir()}
    assert copies.keys() == {"b-red.jpg", "b-red.png"}
    assert (copies["b-red.png"], copies["b-red.jpg"][:2]) == (b"\x89PNG", b"\xff\xd8")


@pytest.mark.usefixtures("folder")
def test_copies_without_a_table_are_said_too(run: Run) -> None:
    ended = run("predict", "photos", "--annotate", "marked")
    assert ended.err.splitlines()[-1] == (
        "3 files analysed, 1 with an error, 1 other file passed over, copies → marked"
    )
