import io
import os
from pathlib import Path

import numpy as np
import pytest
from fer_training.data.folders import read
from fer_training.data.images import FileImages, resize_square
from fer_training.errors import DataError
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import encode_image
from tests.training.synthetic import png


def put(root: Path, name: str, pixels: NDArray[np.uint8], suffix: str = ".png") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image(pixels, suffix))
    return path


@pytest.fixture
def red() -> NDArray[np.uint8]:
    return np.full((20, 20, 3), (200, 10, 30), np.uint8)


def test_images_of_every_format_become_rgb(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    for suffix in (".png", ".bmp", ".webp", ".jpg", ".JPEG", ".tiff"):
        put(tmp_path, f"happy/face{suffix}", red, suffix.lower())
    data = read(tmp_path, 20)
    assert len(data) == 6
    assert np.abs(data.images.astype(int) - red).max() <= 4


def test_classes_are_the_sorted_folder_names(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    for level, name in enumerate(["zeal", "awe", "Ünruhe"]):
        put(tmp_path, f"train/{name}/0.png", red * 0 + np.uint8(level))
    data = read(tmp_path, 20)
    assert data.classes == ("awe", "zeal", "Ünruhe")
    assert {data.classes[label]: image.max() for label, image in zip(data.labels, data.images, strict=True)} == {
        "zeal": 0,
        "awe": 1,
        "Ünruhe": 2,
    }


def test_the_set_is_called_as_its_folder(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    put(tmp_path, "RAF-DB/happy/0.png", red)
    assert read(tmp_path / "RAF-DB", 20).name == "RAF-DB"


def test_images_of_any_size_become_squares_without_distortion(tmp_path: Path) -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 40:] = 255
    put(tmp_path, "happy/wide.png", wide)
    image = read(tmp_path, 20).images[0]
    assert image.shape == (20, 20, 3)
    assert np.array_equal(image, resize_square(wide, 20))
    assert (image[:, :9] == 0).all()
    assert (image[:, 11:] == 255).all()


def test_other_files_and_other_depths_are_passed_over(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    put(tmp_path, "train/happy/0.png", red)
    put(tmp_path, "stray.png", red)
    put(tmp_path, "test/happy/0.png", red)
    put(tmp_path, "train/happy/deeper/0.png", red)
    (tmp_path / "train" / "happy" / "notes.txt").write_text("no image")
    data = read(tmp_path, 20)
    assert (len(data), data.split_sizes, data.classes) == (2, {"test": 1, "train": 1}, ("happy",))


@pytest.mark.parametrize("names", [[], ["0.png"]])
def test_a_folder_without_images_in_the_layout_is_refused(
    tmp_path: Path, red: NDArray[np.uint8], names: list[str]
) -> None:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(red))
    with pytest.raises(
        DataError, match=r"no readable images as <class>/NAME\.png or <split>/<class>/NAME\.png"
    ) as caught:
        read(tmp_path, 20)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("kept", [0, 20, 60])
def test_an_undecodable_image_is_listed_and_left_out(tmp_path: Path, red: NDArray[np.uint8], kept: int) -> None:
    put(tmp_path, "happy/0.png", red)
    broken = put(tmp_path, "sad/1.png", red)
    broken.write_bytes(broken.read_bytes()[:kept])
    data = read(tmp_path, 20)
    assert data.classes == ("happy",)
    (line,) = data.unreadable
    assert line.startswith(f"{broken}: ")


def test_a_set_of_unreadable_images_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    put(tmp_path, "happy/0.png", np.zeros((4, 4, 3), np.uint8)).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"no readable images; .*happy/0\.png"):
        read(tmp_path, 20)


def test_a_folder_above_the_splits_is_passed_through(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    put(tmp_path, "images/train/happy/0.png", red)
    put(tmp_path, "images/validation/happy/0.png", red)
    assert read(tmp_path, 20).split_sizes == {"train": 1, "validation": 1}


def test_a_set_too_large_for_memory_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    for number, level in enumerate((10, 200, 90)):
        put(tmp_path, f"train/class{number}/0.png", np.full((30, 30, 3), level, np.uint8))
    resident, streamed = read(tmp_path, 20), read(tmp_path, 20, in_memory_bytes=0)
    assert isinstance(streamed.images, FileImages)
    assert streamed.sha256 == resident.sha256
    rows = np.array([2, 0])
    assert np.array_equal(streamed.pixels(rows), resident.pixels(rows))
    assert np.array_equal(np.stack(list(streamed.with_classes(("class1",)).images)), resident.images[[1]])


def test_the_sha256_depends_on_contents_and_names_but_not_on_the_place(
    tmp_path: Path, red: NDArray[np.uint8]
) -> None:
    for root in ("one", "two", "renamed", "changed"):
        put(tmp_path / root, "happy/0.png", red)
    (tmp_path / "renamed" / "happy").rename(tmp_path / "renamed" / "sad")
    put(tmp_path / "changed", "happy/0.png", red + np.uint8(1))
    one, two, renamed, changed = (
        read(tmp_path / name, 20).sha256 for name in ("one", "two", "renamed", "changed")
    )
    assert one == two
    assert len({one, renamed, changed}) == 3


def encoded(pixels: NDArray[np.uint8], kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.gif", "GIF"),
        ("x.jfif", "JPEG"),
        ("x.JPE", "JPEG"),
        ("x.avif", "AVIF"),
        ("x.tif", "TIFF"),
        ("x.png", "JPEG"),
        ("x.txt", "PNG"),
        ("x", "WEBP"),
        ("x.dat", "BMP"),
    ],
)
def test_the_content_decides_what_is_an_image(
    tmp_path: Path, red: NDArray[np.uint8], name: str, kind: str
) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / name).write_bytes(encoded(red, kind))
    assert len(read(tmp_path, 20)) == 1


def test_images_of_formats_that_the_service_does_not_read_are_listed(
    tmp_path: Path, red: NDArray[np.uint8]
) -> None:
    put(tmp_path, "happy/0.png", red)
    (tmp_path / "happy" / "1.jp2").write_bytes(encoded(red, "JPEG2000"))
    (tmp_path / "happy" / "2.jxl").write_bytes(b"\xff\x0a" + bytes(20))
    first, second = read(tmp_path, 20).unreadable
    assert "1.jp2: this is a JPEG 2000 image" in first
    assert "2.jxl: this is a JPEG XL image" in second


def test_other_files_are_counted_by_suffix(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    put(tmp_path, "happy/0.png", red)
    for name in ("a.txt", "b.txt", "c.mp4", "BM"):
        (tmp_path / "happy" / name).write_bytes(b"BM is no image")
    assert read(tmp_path, 20).notes == ("4 other files passed over: 2 .txt, 1 without suffix, 1 .mp4",)


def test_a_damaged_image_of_a_set_too_large_for_memory_is_left_out(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    put(tmp_path, "happy/0.png", red)
    broken = put(tmp_path, "happy/1.jpg", np.random.default_rng(0).integers(0, 255, (80, 80, 3)).astype(np.uint8))
    broken.write_bytes(broken.read_bytes()[:900] + b"\xff\xd9")
    put(tmp_path, "happy/2.png", red).write_bytes(encode_image(red, ".png")[:-30])
    resident, streamed = read(tmp_path, 20), read(tmp_path, 20, in_memory_bytes=0)
    assert streamed.unreadable == resident.unreadable
    assert "2.png" in streamed.unreadable[-1]
    assert np.array_equal(streamed.pixels(np.arange(len(streamed))), resident.images)


def test_an_image_with_too_many_pixels_is_listed_in_words_of_training(
    tmp_path: Path, red: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_training.data.images.MAX_PIXELS", 500)
    put(tmp_path, "happy/0.png", red)
    put(tmp_path, "happy/1.png", np.zeros((30, 30, 3), np.uint8))
    (line,) = read(tmp_path, 20).unreadable
    assert line.endswith("30×30 = 900 pixels; the maximum is 500; make it smaller")


def test_a_folder_per_image_is_refused(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    for number in range(30):
        put(tmp_path, f"train/face{number}/0.png", red)
    with pytest.raises(DataError, match=r"30 classes for 30 images\. These look like names of images or persons"):
        read(tmp_path, 20)


def test_empty_class_folders_are_said(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    put(tmp_path, "train/happy/0.png", red)
    (tmp_path / "train" / "sad").mkdir()
    (tmp_path / "train" / "sad" / ".DS_Store").write_bytes(b"")
    assert "1 empty folders: train/sad. Without images there is no class sad" in read(tmp_path, 20).notes


def test_names_in_any_encoding_are_read_into_the_same_class(tmp_path: Path, red: NDArray[np.uint8]) -> None:
    for name in ("train/Ünruhe/0.png", "test/U\u0308nruhe/0.png"):
        put(tmp_path, name, red)
    folder = os.fsencode(tmp_path) + b"/val/\xdcnruhe"
    os.makedirs(folder)  # noqa: PTH103 (bytes)
    Path(os.fsdecode(folder + b"/caf\xe9.png")).write_bytes(png(red))
    data = read(tmp_path, 20)
    assert data.classes == ("Ünruhe",)
    assert data.split_sizes == {"test": 1, "train": 1, "val": 1}
