import random

import pytest

from tests.service.imaging.samples import samples
from tests.service.imaging.segments import restructured, segments


@pytest.mark.parametrize("name", samples())
def test_the_parts_are_the_file(name: str) -> None:
    data = samples()[name]
    parts = segments(data)
    assert b"".join(parts) == data
    assert len(parts) >= 2


def test_copies_have_parts_in_other_places() -> None:
    png, jpeg = samples()["PNG"], samples()["JPEG"]
    copies = [restructured(random.Random(seed), png, jpeg) for seed in range(50)]
    assert copies == [restructured(random.Random(seed), png, jpeg) for seed in range(50)]
    assert any(copy.count(b"IHDR") > 1 for copy in copies)
    assert any(b"\xff\xda" in copy for copy in copies)
