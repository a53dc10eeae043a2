from pathlib import Path

import numpy as np
import pytest
from fer_training.data.folders import read
from fer_training.errors import DataError

from tests.training.synthetic import png

IMAGE = png(np.zeros((8, 8), np.uint8))


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train/images/0.png": IMAGE, "train/labels/0.txt": b"1 0.5 0.5 1 1\n"}, "YOLO"),
        ({"images/train/0.png": IMAGE, "labels/train/0.txt": b"0 .5 .5 .1 .1"}, "YOLO"),
        ({"Train/Images/0.png": IMAGE, "Train/Labels/0.txt": b""}, "YOLO"),
        ({"0.png": IMAGE, "0.txt": b"0 0.5 0.5 1 1"}, "YOLO"),
        ({"train/images/0.png": IMAGE, "data.yaml": b"nc: 1\nnames: [x]\n"}, "YOLO"),
        ({"train/0.png": IMAGE, "train/_annotations.coco.json": b'{"info": {}, "images": []'}, "COCO"),
        ({"JPEGImages/0.png": IMAGE, "Annotations/0.xml": b"<annotation><folder>"}, "Pascal VOC"),
        ({"train/images/0.png": IMAGE, "test/images/0.png": IMAGE}, "the only folder with images is images"),
    ],
)
def test_folders_without_classes_are_refused_by_what_they_look_like(
    tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    write(tmp_path, files)
    with pytest.raises(DataError, match=said):
        read(tmp_path, 8)


def test_classes_with_boxes_beside_them_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"happy/0.png": IMAGE, "sad/0.png": IMAGE, "sad/0.txt": b"1 0.5 0.5 1 1"})
    assert read(tmp_path, 8).classes == ("happy", "sad")
