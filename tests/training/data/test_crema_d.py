from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from fer_training.cli import app
from fer_training.data.crema_d import cut_faces
from fer_training.data.folders import read
from fer_training.errors import DataError
from typer.testing import CliRunner

from tests.scenes import astronaut, blank
from tests.service.video.conftest import write_clip

HEAD = '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"'
VOTES = {"1001_DFA_HAP_XX": "H", "1010_IEO_SAD_LO": "S", "1015_IEO_NEU_XX": "N", "1002_DFA_ANG_XX": "A:D"}


def make_set(folder: Path, votes: dict[str, str], no_face: Sequence[str] = ()) -> Path:
    """A folder in the form of CREMA-D; each clip has 20 frames of one second."""
    (folder / "processedResults").mkdir(parents=True)
    (folder / "VideoFlash").mkdir()
    rows = [f'"{n}","{name}","N","10","{vote}","60","N","10"' for n, (name, vote) in enumerate(votes.items(), 1)]
    (folder / "processedResults" / "summaryTable.csv").write_text("\n".join([HEAD, *rows]))
    for name in votes:
        image = blank(480, 360) if name in no_face else np.ascontiguousarray(astronaut()[:360, :480])
        times = [number / 20 for number in range(20)]
        write_clip(folder / "VideoFlash" / f"{name}.flv", [image] * 20, times)
    return folder


def test_faces_are_cut_into_splits_by_actor_and_classes_by_vote(tmp_path: Path) -> None:
    source = make_set(tmp_path / "CREMA-D", VOTES)
    names: list[str] = []
    counts = cut_faces(source, tmp_path / "out", frames=2, detector="own", done=names.append)
    assert counts == {"happy": 2, "sad": 2, "neutral": 2, "clips without a majority": 1}
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert found == [
        f"{folder}_{number}.png"
        for folder in ("test/sad/1010_IEO_SAD_LO", "train/happy/1001_DFA_HAP_XX", "val/neutral/1015_IEO_NEU_XX")
        for number in range(2)
    ]
    face = cv2.imread(str(tmp_path / "out" / found[2]))
    assert face is not None
    assert face.shape == (96, 96, 3)
    assert len(names) == 4
    data = read(tmp_path / "out", 48)
    assert set(data.splits) == {"train", "val", "test"}


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    votes = {"1001_DFA_HAP_XX": "H", "1003_DFA_SAD_XX": "S"}
    source = make_set(tmp_path / "CREMA-D", votes, no_face=["1003_DFA_SAD_XX"])
    (source / "VideoFlash" / "1004_DFA_SAD_XX.flv").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    table = source / "processedResults" / "summaryTable.csv"
    table.write_text(table.read_text() + '\n"9","1004_DFA_SAD_XX","S","10","S","60","S","10"')
    counts = cut_faces(source, tmp_path / "out", frames=3, detector="own")
    assert counts == {"happy": 3, "frames without a face": 3, "clips that cannot be read": 1}


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    source = make_set(tmp_path / "CREMA-D", {"1001_DFA_HAP_XX": "H"})
    first = cut_faces(source, tmp_path / "out", frames=2, detector="own")
    (source / "VideoFlash" / "1001_DFA_HAP_XX.flv").write_bytes(b"not read again")
    assert cut_faces(source, tmp_path / "out", frames=2, detector="own") == first


@pytest.mark.parametrize(
    ("table", "text"),
    [(None, "summaryTable.csv"), ("FileName,VoiceVote\na,b\n", "FaceVote"), (HEAD, "no clips")],
)
def test_other_folders_are_refused(tmp_path: Path, table: str | None, text: str) -> None:
    if table is not None:
        (tmp_path / "summaryTable.csv").write_text(table)
    with pytest.raises(DataError, match=text):
        cut_faces(tmp_path, tmp_path / "out", frames=1, detector="own")


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    source = make_set(tmp_path / "CREMA-D", {"1001_DFA_HAP_XX": "H"})
    arguments = ["cut-crema-d", str(source), "--out", str(tmp_path / "out"), "--detector", "own"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "happy: 3" in result.output
