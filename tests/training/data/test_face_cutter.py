import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from fer_training.cli import app
from fer_training.data.face_cutter import cut_photographs
from fer_training.errors import DataError
from typer.testing import CliRunner

from tests.scenes import astronaut, blank, encode_image


def photographs(folder: Path) -> Path:
    files = {
        "train/happy/a.jpg": encode_image(astronaut(), ".jpg"),
        "train/happy/turned.png": encode_image(np.ascontiguousarray(np.rot90(astronaut())), ".png"),
        "test/sad/a.png": encode_image(astronaut(), ".png"),
        "test/sad/nobody.png": encode_image(blank(320, 240), ".png"),
        "test/sad/notes.txt": b"no image",
        "train/happy/.hidden.png": encode_image(astronaut(), ".png"),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_each_photograph_gives_its_face_in_the_same_place(tmp_path: Path) -> None:
    source, out = photographs(tmp_path / "photos"), tmp_path / "faces"
    counts = cut_photographs(source, out, detector="own")
    assert counts == {"faces": 3, "images without a face": 1, "other or damaged files": 1}
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert found == ["test/sad/a.png", "train/happy/a.png", "train/happy/turned.png"]
    faces = [cv2.imread(str(out / name)) for name in found]
    assert {face.shape for face in faces if face is not None} == {(96, 96, 3)}
    # The face of the rotated photograph is upright.
    assert faces[0] is not None
    assert faces[2] is not None
    assert np.corrcoef(faces[0].ravel(), faces[2].ravel())[0, 1] > 0.98


def test_files_that_differ_by_their_suffixes_have_faces_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.bmp", "a.bmp.png", "a.jpg", "a.png"):
        path = tmp_path / "photos" / name
        path.write_bytes(encode_image(astronaut(), path.suffix))
    counts = cut_photographs(tmp_path / "photos", tmp_path / "faces", detector="own")
    found = [re.sub("-[0-9a-f]{16}", "-#", path.name) for path in (tmp_path / "faces").iterdir()]
    assert (counts["faces"], sorted(found)) == (4, ["a-#.png", "a-#.png", "a.bmp.png", "a.png"])


def test_a_name_that_is_too_long_is_cut(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for suffix in (".bmp", ".jpg", ".png"):
        (tmp_path / "photos" / ("n" * 251 + suffix)).write_bytes(encode_image(astronaut(), suffix))
    assert cut_photographs(tmp_path / "photos", tmp_path / "faces", detector="own")["faces"] == 3
    assert len(list((tmp_path / "faces").iterdir())) == 3


def test_faces_are_not_written_among_the_photographs(tmp_path: Path) -> None:
    source = photographs(tmp_path / "photos")
    with pytest.raises(DataError, match="lies in the data"):
        cut_photographs(source, source / "faces", detector="own")


@pytest.mark.parametrize("linked", ["folder", "file"])
def test_photographs_behind_links_are_not_replaced(tmp_path: Path, linked: str) -> None:
    source = photographs(tmp_path / "photos")
    chosen = tmp_path / "chosen"
    name = Path("test/sad") if linked == "folder" else Path("test/sad/a.png")
    (chosen / name).parent.mkdir(parents=True)
    (chosen / name).symlink_to(source / name)
    before = (source / "test/sad/a.png").read_bytes()
    with pytest.raises(DataError, match="a face could replace a photograph"):
        cut_photographs(chosen, source, detector="own")
    assert (source / "test/sad/a.png").read_bytes() == before
    assert cut_photographs(chosen, tmp_path / "faces", detector="own")["faces"] == 1


def test_a_video_is_not_read_whole(tmp_path: Path) -> None:
    source = photographs(tmp_path / "photos")
    with (source / "clip.mp4").open("wb") as clip:
        clip.write(b"\0\0\0\x20ftypisom")
        clip.truncate(2**36)
    assert cut_photographs(source, tmp_path / "faces", detector="own")["other or damaged files"] == 2


def test_entries_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    source = photographs(tmp_path / "photos")
    (source / "test/sad/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert cut_photographs(source, tmp_path / "faces", detector="own")["files that cannot be read"] == 1


def test_a_folder_without_faces_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("no image")
    with pytest.raises(DataError, match=r"no image with a face \(1 files\)"):
        cut_photographs(tmp_path / "photos", tmp_path / "out", detector="own")


def test_the_command_says_what_it_cut(tmp_path: Path) -> None:
    source, out = photographs(tmp_path / "photos"), tmp_path / "faces"
    result = CliRunner().invoke(app, ["cut-faces", str(source), "--out", str(out), "--detector", "own"])
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        "3 faces, 1 images without a face, 1 other or damaged files",
    )
