import os
from pathlib import Path

import pytest
from fer_training.data.tree import scan
from fer_training.errors import DataError


def touch(root: Path, *names: str | bytes) -> None:
    for name in names:
        path = os.fsencode(root) + b"/" + (name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 (bytes)
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(b"x")


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints/0.png",
        ".git/objects/0.png",
        "__MACOSX/happy/._0.png",
        "happy/@eaDir/0.png",
        "$RECYCLE.BIN/0.png",
        "System Volume Information/0.png",
        "happy/.DS_Store",
        "node_modules/package/0.png",
        "CVS/0.png",
        "FOUND.000/0.png",
        "happy/Thumbs.db",
        "happy/DESKTOP.INI",
        "happy/._0.png",
        "happy/~$0.png",
    ],
)
def test_hidden_and_system_entries_are_passed_over_and_counted(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "happy/0.png", name)
    tree = scan(tmp_path)
    assert [file.place for file in tree.files] == ["happy/0.png"]
    assert tree.notes()[0].startswith("1 hidden or system entries passed over: ")


def test_what_lies_too_deep_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "happy/0.png", "/".join("abcdefghijklmnopqrst") + "/0.png")
    tree = scan(tmp_path)
    assert [file.place for file in tree.files] == ["happy/0.png"]
    (line,) = tree.unreadable
    assert line.endswith("/q: more than 16 folders deep")


def test_a_hidden_folder_itself_is_read(tmp_path: Path) -> None:
    touch(tmp_path / ".cache", "happy/0.png")
    assert len(scan(tmp_path / ".cache").files) == 1


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "happy/0.png", "1.png")
    root = tmp_path / "data"
    (root / "sad").mkdir(parents=True)
    (root / "joy").symlink_to(tmp_path / "elsewhere" / "happy")
    (root / "sad" / "1.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    assert [file.place for file in scan(root).files] == ["joy/0.png", "sad/1.png"]


def test_a_link_may_show_a_folder_twice(tmp_path: Path) -> None:
    touch(tmp_path, "train/happy/0.png")
    (tmp_path / "test").symlink_to("train")
    assert [file.place for file in scan(tmp_path).files] == ["test/happy/0.png", "train/happy/0.png"]


@pytest.mark.parametrize("target", ["..", "../..", "again"])
def test_loops_of_links_are_refused_with_the_link(tmp_path: Path, target: str) -> None:
    touch(tmp_path, "train/happy/0.png")
    (tmp_path / "train" / "happy" / "again").symlink_to(target)
    with pytest.raises(DataError, match=r"happy/again is a loop of links"):
        scan(tmp_path)


def test_what_is_no_regular_file_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "happy/0.png")
    os.mkfifo(tmp_path / "happy" / "pipe.png")
    (tmp_path / "happy" / "gone.png").symlink_to("nowhere")
    reasons = sorted(line.rsplit("/", 1)[1] for line in scan(tmp_path).unreadable)
    assert reasons == ["gone.png: the link leads nowhere", "pipe.png: not a regular file"]


def test_names_are_text_whatever_their_bytes(tmp_path: Path) -> None:
    touch(tmp_path, b"pein\xe9/caf\xe9.png", "U\u0308nruhe/0.png", b"\x83\x7e/0.png")
    names = [file.place for file in scan(tmp_path).files]
    assert {"peiné/café.png", "Ünruhe/0.png"} < set(names)
    "".join(names).encode()


def test_empty_folders_are_known(tmp_path: Path) -> None:
    touch(tmp_path, "train/happy/0.png")
    (tmp_path / "train" / "sad").mkdir()
    assert scan(tmp_path).empty == [("train", "sad")]
