import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event, current_thread

import numpy as np
import pytest
from fer_training.data.images import FileImages, prefetch, read_square, resize_square
from fer_training.errors import DataError

from tests.training.synthetic import png


@pytest.fixture
def files(tmp_path: Path) -> FileImages:
    """Five constant images with the levels 0, 10, 20, 30 and 40."""
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(png(np.full((30, 20, 3), 10 * number, np.uint8)))
    return FileImages(paths, 16)


def test_files_are_indexed_as_an_array_is(files: FileImages) -> None:
    whole = files.load()
    assert files.shape == whole.shape == (5, 16, 16, 3)
    assert whole[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]
    assert np.array_equal(np.stack(list(files)), whole)
    for key in (slice(1, 4), np.array([4, 0, 0]), whole[:, 0, 0, 0] > 15):
        part = files[key]
        assert isinstance(part, FileImages)
        assert np.array_equal(part.load(), whole[key])
    assert np.array_equal(files[np.int64(3)], whole[3])


def test_no_rows_are_no_images(files: FileImages) -> None:
    nothing = files[np.array([], np.int64)]
    assert isinstance(nothing, FileImages)
    assert nothing.load().shape == (0, 16, 16, 3)


def test_a_file_that_has_gone_is_named(files: FileImages, tmp_path: Path) -> None:
    (tmp_path / "2.png").unlink()
    with pytest.raises(DataError, match=r"2\.png"):
        files.load()


def test_an_image_is_read_as_it_would_be_resized(files: FileImages, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 40, 3)).astype(np.uint8)
    (tmp_path / "x.png").write_bytes(png(image[..., ::-1]))
    assert np.array_equal(read_square(tmp_path / "x.png", 24), resize_square(image, 24))


@pytest.mark.parametrize("depth", [1, 2, 50])
def test_what_is_prefetched_comes_in_order_and_whole(depth: int) -> None:
    assert list(prefetch(iter(range(20)), depth)) == list(range(20))
    assert list(prefetch(iter(()), depth)) == []


def test_prefetching_works_ahead_on_another_thread() -> None:
    ahead, threads = Event(), []

    def items() -> Iterator[int]:
        threads.append(current_thread())
        yield 1
        ahead.set()
        yield 2

    found = prefetch(items())
    assert next(found) == 1
    assert ahead.wait(5)
    assert list(found) == [2]
    assert threads[0] is not current_thread()


def test_an_exception_while_prefetching_is_raised_after_what_came_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise DataError("gone")

    found = prefetch(items())
    assert next(found) == 1
    with pytest.raises(DataError, match="gone"):
        next(found)


def test_prefetching_ends_with_its_consumer() -> None:
    found = prefetch(iter(range(20)))
    assert next(found) == 0
    assert any(thread.name.startswith("prefetch") for thread in threading.enumerate())
    found.close()  # type: ignore[attr-defined]
    assert not any(thread.name.startswith("prefetch") for thread in threading.enumerate())
