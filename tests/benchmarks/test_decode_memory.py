import sys

import numpy as np
import pytest
from fer_benchmarks.decode_memory import encoders, main, measure_in_fresh_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.mark.parametrize(
    "kind",
    ["JPEG progressive 4:4:4", "WebP lossless", "GIF", "TIFF 16-bit RGBA", "AVIF"],
)
def test_decoding_stays_within_the_estimate(kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 1500, 4), np.uint8)
    row = measure_in_fresh_process(encoders()[kind](pixels))
    assert 2 < row["measured"] < row["estimate"] + 1


def test_every_kind_is_measured_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["decode_memory", "--small", "--only", "TIFF 16-bit RGBA"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["flat 320×240", "noise 320×240"]
    assert lines[2].endswith("| yes |")
