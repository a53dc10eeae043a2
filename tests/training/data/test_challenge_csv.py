import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fer_training.data import FaceDataset
from fer_training.data.challenge_csv import read
from fer_training.errors import DataError

from tests.training.synthetic import write_csv

FERPLUS = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
HEADER = "emotion,pixels,Usage\n"
PIXELS = " ".join(["7"] * 2304)
GOOD = f"3,{PIXELS},Training\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fer2013.csv"


def test_columns_are_found_by_name_not_by_place(path: Path) -> None:
    path.write_text(f"Usage,emotion,pixels\nPublicTest,3,{PIXELS}\n")
    data = read(path)
    assert (data.splits.tolist(), data.labels.tolist(), data.images.shape) == (["PublicTest"], [3], (1, 48, 48, 1))
    assert (data.images == 7).all()


def test_rows_without_an_emotion_are_counted(path: Path) -> None:
    path.write_text(f"{HEADER}{GOOD},{PIXELS},Training\nNaN,{PIXELS},Training\n{GOOD}")
    data = read(path)
    assert (len(data), data.notes) == (2, ("2 rows without a label left out",))
    # The rows of the votes have no other names than their numbers.
    (path.parent / "fer2013new.csv").write_text(FERPLUS + "\n")
    with pytest.raises(DataError, match=r"fer2013\.csv, line 3: invalid emotion"):
        read(path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param(f"9,{PIXELS},Training\n", "invalid emotion 9", id="emotion-9"),
        pytest.param(f"-1,{PIXELS},Training\n", "invalid emotion -1", id="emotion-minus-1"),
        pytest.param(f"glad,{PIXELS},Training\n", "glad", id="emotion-in-words"),
        pytest.param("3,1 2 3,Training\n", "not a square grey image", id="too-few-pixels"),
        pytest.param(f"3,{PIXELS} 7,Training\n", "not a square grey image", id="too-many-pixels"),
        pytest.param(f"3,{PIXELS[:-1]}x,Training\n", "x", id="pixel-in-letters"),
        pytest.param(f"3,{PIXELS[:-1]}256,Training\n", "256", id="pixel-256"),
        pytest.param("3\n", "", id="no-pixels"),
        pytest.param("3,,Training\n", "the image has no pixels", id="empty-pixels"),
        pytest.param(f"3,{PIXELS}\n", "", id="no-split"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(path: Path, row: str, said: str) -> None:
    path.write_text(HEADER + GOOD + row + GOOD)
    with pytest.raises(DataError, match=r"fer2013\.csv, line 3: ") as caught:
        read(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("missing", ["emotion", "pixels"])
def test_a_missing_column_is_named(path: Path, missing: str) -> None:
    path.write_text((HEADER + GOOD).replace(missing, "other", 1))
    with pytest.raises(DataError, match=rf"fer2013\.csv: missing column {missing}; the file has the columns "):
        read(path)


@pytest.mark.parametrize(("text", "said"), [(HEADER, "no images"), ("", "missing column emotion, pixels")])
def test_an_empty_file_is_refused(path: Path, text: str, said: str) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read(path)


def test_a_file_that_is_not_text_is_refused(path: Path) -> None:
    path.write_bytes((HEADER + GOOD).encode() + b"\xff\xfe,")
    with pytest.raises(DataError, match=r"fer2013\.csv"):
        read(path)


def test_one_changed_level_changes_the_sha256(path: Path, faces: FaceDataset, csv_file: Path) -> None:
    images = faces.images.copy()
    images[0, 0, 0, 0] ^= 1
    assert read(write_csv(replace(faces, images=images), path)).sha256 != read(csv_file).sha256
    assert read(write_csv(faces, path)).sha256 == read(csv_file).sha256


@pytest.mark.parametrize(
    "header",
    [
        "emotion, Usage, pixels",
        " emotion , pixels , Usage ",
        "EMOTION,PIXELS,USAGE",
        "Usage;emotion;pixels",
        "emotion\tUsage\tpixels",
        '"emotion", "Usage", "pixels"',
        "usage,label,pixels",
        "usage,category,pixels",
        "emotion|pixels|split",
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"sep=;\n", b"\n\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_dialect_is_read(path: Path, header: str, mark: bytes, end: str) -> None:
    separator = next(sign for sign in (";", "\t", "|", ",") if sign in header)
    lines = [header]
    for label in (3, 5):
        known = {
            "emotion": label,
            "label": label,
            "category": label,
            "pixels": PIXELS,
            "usage": "Training",
            "split": "Training",
        }
        names = [name.strip(' "').lower() for name in header.split(separator)]
        lines.append(separator.join(str(known[name]) for name in names))
    path.write_bytes(mark + (end.join(lines) + end).encode())
    data = read(path)
    assert (data.labels.tolist(), data.splits.tolist()) == ([3, 5], ["Training", "Training"])
    assert (data.images == 7).all()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings_are_read(path: Path, encoding: str) -> None:
    path.write_text(HEADER + GOOD, encoding=encoding)
    assert read(path).labels.tolist() == [3]


def test_a_compressed_file_is_read(path: Path) -> None:
    packed = path.with_name("fer2013.csv.gz")
    packed.write_bytes(gzip.compress((HEADER + GOOD).encode()))
    assert read(packed).labels.tolist() == [3]
    packed.write_bytes(packed.read_bytes()[:40])
    with pytest.raises(DataError, match=r"fer2013\.csv\.gz: cannot be read as text"):
        read(packed)


def test_a_column_of_true_and_false_may_say_the_split(path: Path) -> None:
    path.write_text("emotion,pixels,is_train\n3,1 2 3 4,True\n4,1 2 3 4,False\n")
    data = read(path)
    assert data.split_sizes == {"train": 1, "test": 1}
    assert data.notes == ("splits by columns of true and false: is_train is train, all others are test",)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(path: Path) -> None:
    path.write_bytes(gzip.compress(HEADER.encode() + b"7" * (2**25 + 10)))
    with pytest.raises(DataError, match="a line has more than 33,554,432 characters"):
        read(path)


def test_the_content_decides_what_is_compressed(path: Path) -> None:
    path.write_bytes(gzip.compress(b"emotion,pixels\n3,1 2 3 4\n"))
    assert len(read(path)) == 1
    for begin, said in ((b"PK\3\4", "a ZIP archive or an Excel file"), (b"\xd0\xcf\x11\xe0", "an Excel file")):
        path.write_bytes(begin + bytes(60))
        with pytest.raises(DataError, match=f"{said}, not text"):
            read(path)


def test_a_file_without_a_header_is_read_by_its_content(path: Path) -> None:
    path.write_text(GOOD + GOOD.replace("Training", "PublicTest"))
    assert read(path).splits.tolist() == ["Training", "PublicTest"]


@pytest.mark.parametrize("name", ["pixel", "p", ""])
def test_one_column_per_pixel_is_read(path: Path, name: str) -> None:
    pixels = ",".join(map(str, range(64)))
    path.write_text(f"label,{','.join(f'{name}{i}' for i in range(64))}\nhappiness,{pixels}\n")
    data = read(path)
    assert data.labels.tolist() == [3]
    assert data.images.ravel().tolist() == list(range(64))


@pytest.mark.parametrize(
    ("name", "split"),
    [("train.csv", "train"), ("Test.CSV", "test"), ("fer2013.csv", "all"), ("val_set.csv", "validation")],
)
def test_without_usage_the_name_of_the_file_gives_the_split(path: Path, name: str, split: str) -> None:
    path.with_name(name).write_text(f"emotion,pixels\n3,{PIXELS}\n")
    assert read(path.with_name(name)).splits.tolist() == [split]


def test_spellings_of_splits_are_matched(path: Path) -> None:
    path.write_text(
        HEADER + "".join(f"3,{PIXELS},{split}\n" for split in ("training", "TRAIN", "publictest", "x"))
    )
    assert read(path).splits.tolist() == ["Training", "train", "PublicTest", "x"]


def test_a_column_named_image_may_have_the_pixels(path: Path) -> None:
    for head, row in (("label,image", f"happy,{PIXELS}"), ("filename,image,emotion", f"0.png,{PIXELS},3")):
        path.write_text(f"{head}\n{row}\n")
        assert read(path).labels.tolist() == [3]


@pytest.mark.parametrize("emotion", ["happy", "Happiness", "3.0", " 3"])
def test_emotions_may_be_words(path: Path, emotion: str) -> None:
    path.write_text(HEADER + f"{emotion},{PIXELS},Training\n")
    assert read(path).labels.tolist() == [3]


def test_contempt_of_ck_plus_is_an_eighth_class(path: Path) -> None:
    path.write_text(HEADER + GOOD + GOOD.replace("3,", "7,", 1))
    data = read(path)
    assert (data.name, data.classes[7], data.labels.tolist()) == ("CK+", "contempt", [3, 7])
    assert data.notes == ("emotion 7 is read as contempt, as in CK+ (1 images)",)


def test_grey_levels_may_be_lists_or_end_in_point_zero(path: Path) -> None:
    listed = f'"[{PIXELS.replace(" ", ", ")}]"'
    path.write_text(HEADER + f"3,{listed},Training\n3,{PIXELS.replace('7', '7.0')},Training\n")
    assert (read(path).images == 7).all()
    path.write_text(HEADER + f"3,{PIXELS.replace('7', '0.5')},Training\n")
    with pytest.raises(DataError, match=r"line 2: invalid grey level 0\.5, must be a whole number"):
        read(path)


@pytest.mark.parametrize("numbers", [range(1, 8), range(1, 7), (1, 3, 4, 5, 7)])
def test_emotions_that_count_from_one_are_refused(path: Path, numbers: Sequence[int]) -> None:
    path.write_text("emotion,pixels\n" + "".join(f"{number},{PIXELS}\n" for number in numbers))
    with pytest.raises(DataError, match=rf"emotions 1 to {numbers[-1]}, but FER-2013 counts from 0"):
        read(path)


def test_images_of_different_sizes_are_named_by_line(path: Path) -> None:
    path.write_text(f"emotion,pixels\n3,{PIXELS}\n3,1 2 3 4\n")
    with pytest.raises(DataError, match=r"line 3: the image has "):
        read(path)


def test_the_votes_alone_are_refused_with_the_way_out(path: Path) -> None:
    write_votes(path, [(1,) * 10])
    with pytest.raises(DataError, match=r"has the votes of FER\+, but no images: give the fer2013\.csv"):
        read(path)


def write_votes(path: Path, rows: list[tuple[int, ...]], header: str = FERPLUS) -> Path:
    lines = [header, *(f"Training,fer{i:07}.png,{','.join(map(str, row))}" for i, row in enumerate(rows))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def beside(path: Path) -> Path:
    """A file with two images; the vote file belongs into the same folder."""
    path.write_text(HEADER + GOOD + GOOD.replace("3,", "0,", 1))
    return path.with_name("fer2013new.csv")


def test_votes_in_the_same_folder_become_shares_in_label_order(path: Path, beside: Path) -> None:
    write_votes(beside, [(1, 2, 0, 0, 3, 0, 2, 2, 0, 0), (0, 0, 0, 0, 0, 0, 0, 8, 1, 1)])
    votes = read(path).votes
    assert votes is not None
    # angry, disgust, fear, happy, sad, surprise, neutral
    np.testing.assert_allclose(votes[0], np.array([3, 0, 2, 2, 0, 0, 1]) / 8)
    assert not votes[1].any()


def test_votes_are_found_beside_files_of_other_names_and_dialects(path: Path, beside: Path) -> None:
    write_votes(beside, [(1,) * 10, (2,) * 10])
    beside.rename(beside.with_name("FER2013New.CSV"))
    other = beside.with_name("FER2013New.CSV")
    other.write_bytes(b"\xef\xbb\xbf" + other.read_bytes().replace(b",", b"; "))
    path.rename(path.with_name("icml_face_data.csv"))
    votes = read(path.with_name("icml_face_data.csv")).votes
    assert votes is not None
    np.testing.assert_allclose(votes, 1 / 7)


def test_votes_of_other_splits_are_left_out(path: Path, beside: Path) -> None:
    write_votes(beside, [(8, 0, 0, 0, 2, 0, 0, 0, 0, 0), (1,) * 10, (0, 10, 0, 0, 0, 0, 0, 0, 0, 0)])
    lines = beside.read_text().splitlines()
    beside.write_text("\n".join([*lines[:2], lines[2].replace("Training", "PublicTest"), lines[3]]))
    path.with_name("train.csv").write_text(f"emotion,pixels\n0,{PIXELS}\n3,{PIXELS}\n")
    votes = read(path.with_name("train.csv")).votes
    assert votes is not None
    np.testing.assert_allclose(votes[:, [0, 3, 6]], [[0.2, 0, 0.8], [0, 1, 0]], rtol=1e-6)


def test_votes_in_another_order_are_refused(path: Path, beside: Path) -> None:
    write_votes(beside, [(1,) * 10] * 2)
    beside.write_text(beside.read_text().replace("Training", "PublicTest", 1))
    with pytest.raises(DataError, match=r"rows are of other images than fer2013\.csv: column Usage differs"):
        read(path)


def test_without_a_vote_file_there_are_no_votes(path: Path, beside: Path) -> None:
    assert not beside.exists()
    assert read(path).votes is None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_votes_about_other_images_are_refused(path: Path, beside: Path, count: int) -> None:
    write_votes(beside, [(1,) * 10] * count)
    with pytest.raises(DataError, match=rf"fer2013new\.csv has {count} rows, but fer2013\.csv has 2"):
        read(path)


@pytest.mark.parametrize("column", ["neutral", "anger", "disgust"])
def test_a_missing_column_of_votes_is_named(path: Path, beside: Path, column: str) -> None:
    write_votes(beside, [(1,) * 10] * 2, FERPLUS.replace(column, "other"))
    with pytest.raises(DataError, match=rf"fer2013new\.csv: invalid FER\+ votes: .*{column}"):
        read(path)


def test_votes_in_words_are_refused(path: Path, beside: Path) -> None:
    write_votes(beside, [(1,) * 10] * 2)
    beside.write_text(beside.read_text().replace("1,1,1", "1,one,1", 1))
    with pytest.raises(DataError, match=r"fer2013new\.csv: invalid FER\+ votes: .*one"):
        read(path)


def test_a_changed_vote_changes_the_sha256(path: Path, beside: Path) -> None:
    hashes = {read(path).sha256}
    for first in (1, 2):
        write_votes(beside, [(first,) * 10, (1,) * 10])
        hashes |= {read(path).sha256, read(path).sha256}
    assert len(hashes) == 3


def test_one_column_per_emotion_is_refused_with_the_way_out(path: Path) -> None:
    path.write_text("pixels,angry,happy,sad\n0 0 0 0,0,1,0\n")
    with pytest.raises(DataError, match=r"missing column emotion\. Write the names .* angry, happy, sad"):
        read(path)


@pytest.mark.parametrize("level", ["-1", "256", "x"])
def test_an_invalid_grey_level_is_named_by_line(path: Path, level: str) -> None:
    path.write_text(f"emotion,pixels,Usage\n0,0 0 0 {level},Training\n")
    with pytest.raises(DataError, match=r"line 2: invalid grey level, must be a whole number from 0 to 255"):
        read(path)
