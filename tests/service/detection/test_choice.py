import logging
import shutil
from pathlib import Path

import pytest
from fer_service.contract.errors import DetectorError
from fer_service.detection.choice import choose_detector, falls_back
from fer_service.detection.own import OwnDetector
from fer_service.detection.scales import Scales
from fer_service.detection.weights import YUNET
from fer_service.detection.yunet import YuNet

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture
def pulled(empty_cache: None, yunet_file: Path) -> None:
    YUNET.path.parent.mkdir(parents=True)
    shutil.copy(yunet_file, YUNET.path)


def test_auto_without_yunet_is_our_detector_and_one_warning_names_the_command(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, logger="fer_service"):
        detector = choose_detector("auto", 640)
    assert isinstance(detector, Scales)
    assert isinstance(detector.network, OwnDetector)
    assert falls_back("auto")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("fer-service detector pull")
    assert len(record.getMessage()) <= 120
    assert "FER_DETECTOR=own" in record.getMessage()


@pytest.mark.parametrize("choice", ["own", "haar", "yunet"])
def test_a_named_detector_is_no_fallback(choice: str) -> None:
    assert not falls_back(choice)


@pytest.mark.usefixtures("pulled")
@pytest.mark.parametrize("choice", ["auto", "yunet"])
def test_downloaded_yunet_is_used_without_a_warning(choice: str, caplog: pytest.LogCaptureFixture) -> None:
    detector = choose_detector(choice, 480)
    assert isinstance(detector, Scales)
    assert isinstance(detector.network, YuNet)
    assert not falls_back(choice)
    assert (detector.name, detector.side) == (f"yunet:{YUNET.path.stem}", 480)
    assert not caplog.records


@pytest.mark.parametrize(("side", "expected"), [(640, 320), (320, 320), (200, 200)])
def test_haar_works_on_320_pixels_at_most(side: int, expected: int, caplog: pytest.LogCaptureFixture) -> None:
    detector = choose_detector("haar", side)
    assert (detector.name, detector.side) == ("haar", expected)
    assert not caplog.records


def test_a_path_is_opened(yunet_file: Path) -> None:
    assert choose_detector(str(yunet_file), 640).name == "yunet:planted"


@pytest.mark.parametrize("choice", ["yunet", "/nowhere/detector.onnx", "Haar"])
def test_a_missing_file_is_an_error_that_names_the_command(choice: str) -> None:
    with pytest.raises(DetectorError, match=r"no such detector file; .*fer-service detector pull"):
        choose_detector(choice, 640)
