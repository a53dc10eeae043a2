from pathlib import Path

import pytest
import typer
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


def test_an_empty_argument_is_not_the_current_folder() -> None:
    with pytest.raises(typer.BadParameter, match="an argument is empty"):
        find_sources([""], recursive=False)
