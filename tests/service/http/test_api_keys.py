"""The file of API keys: read, read anew, and refused."""

import os
from pathlib import Path

import pytest
from fer_service.contract.errors import SettingsError
from fer_service.http.api_keys import ApiKeys

from tests.service.http.conftest import FACE, FIRST, SECOND, build


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rewrite(path: Path, content: str) -> None:
    """Exchange the file as secrets are exchanged: another file takes its name."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.replace(path)


def test_keys_rotate_without_a_restart(key_file: Path) -> None:
    clock = Clock()
    keys = ApiKeys(key_file, clock)
    rewrite(key_file, "third-key-0123456789")
    assert keys.holder(FIRST), "the file is not looked at within the same second"
    clock.now = 1.0
    assert keys.holder(FIRST) is None
    assert keys.holder("third-key-0123456789")


def test_a_file_of_the_same_size_and_time_is_read_anew(key_file: Path) -> None:
    clock = Clock()
    keys = ApiKeys(key_file, clock)
    before = key_file.stat()
    key_file.write_text(key_file.read_text().replace("first", "third"))
    os.utime(key_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = key_file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    clock.now = 1.0
    assert keys.holder(FIRST) is None
    assert keys.holder(FIRST.replace("first", "third"))


def test_a_bad_file_is_reported_once(key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    keys = ApiKeys(key_file, clock)
    good = key_file.read_text()
    for now, content, reports in ((1, "short", 1), (2, "short", 1), (3, good, 1), (4, "short", 2)):
        rewrite(key_file, content)
        clock.now = now
        assert keys.holder(FIRST)
        assert caplog.text.count("the previous keys stay in use") == reports


def test_a_byte_order_mark_is_no_part_of_a_key(key_file: Path) -> None:
    key_file.write_bytes(b"\xef\xbb\xbf" + FIRST.encode())
    assert ApiKeys(key_file).holder(FIRST)


@pytest.mark.parametrize("content", ["", "# none", "short"])
def test_a_file_that_became_bad_leaves_the_keys_as_they_were(
    key_file: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    keys = ApiKeys(key_file, clock)
    rewrite(key_file, content)
    clock.now = 1.0
    assert keys.holder(FIRST)
    assert "the previous keys stay in use" in caplog.text


def test_a_file_that_is_gone_leaves_the_keys_as_they_were(key_file: Path) -> None:
    clock = Clock()
    keys = ApiKeys(key_file, clock)
    key_file.unlink()
    clock.now = 1.0
    assert keys.holder(FIRST)


def test_a_holders_name_is_its_own_and_tells_nothing_of_the_key(key_file: Path) -> None:
    keys = ApiKeys(key_file)
    first, second = keys.holder(FIRST), keys.holder(SECOND)
    assert first
    assert second
    assert first != second
    assert first not in FIRST
    assert first == ApiKeys(key_file).holder(FIRST)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "no key found"),
        (b"# nothing\n\n", "no key found"),
        (b"good-key-0123456789\nshort\n", "invalid key in line 2"),
        (b"two words are no single key\n", "invalid key in line 1"),
        ("schlüssel-0123456789\n".encode(), "invalid key in line 1"),
        (b"\xff\xfe\xff\xfe", "cannot be read"),
    ],
)
def test_a_bad_file_stops_the_start_and_names_the_line(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"^FER_API_KEYS_FILE={path}: .*{text}"):
        build(FACE, api_keys_file=path)


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"FER_API_KEYS_FILE=.*No such file"):
        build(FACE, api_keys_file=tmp_path / "none")


def test_a_folder_is_no_file_of_keys(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"FER_API_KEYS_FILE=.*Is a directory"):
        build(FACE, api_keys_file=tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_file_of_keys(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match=r"FER_API_KEYS_FILE=.*Not a regular file"):
        build(FACE, api_keys_file=tmp_path / "pipe")
