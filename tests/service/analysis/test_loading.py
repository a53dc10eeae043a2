from pathlib import Path

import pytest
from fer_service import assets
from fer_service.analysis.loading import choose_classifier, detector_device, load
from fer_service.contract.device import Device
from fer_service.contract.errors import BundleError, ProviderError
from fer_service.contract.settings import load_settings
from fer_service.detection.orientations import Orientations
from fer_service.detection.scales import Scales
from fer_service.onnx.gpu_support import cuda_is_built_in
from fer_service.system.files import file_sha256

cpu_only = pytest.mark.skipif(cuda_is_built_in(), reason="this onnxruntime could take a GPU")


@pytest.mark.parametrize("model", assets.MODELS)
@pytest.mark.parametrize("device", ["cpu", pytest.param("auto", marks=cpu_only)])
def test_on_a_cpu_a_bundled_model_is_the_one_in_int8(model: str, device: str) -> None:
    classifier = choose_classifier(load_settings(model=model, device=device))
    assert classifier.bundle.path == assets.int8_file(assets.MODELS[model])
    assert not classifier.on_gpu


@cpu_only
def test_a_gpu_that_is_not_there_is_not_replaced_by_the_cpu() -> None:
    with pytest.raises(ProviderError, match="FER_DEVICE=cuda"):
        choose_classifier(load_settings(device="cuda"))


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_path_is_taken_as_it_is(device: str) -> None:
    classifier = choose_classifier(load_settings(model=str(assets.MODELS["bundled"]), device=device))
    assert classifier.bundle.sha256 == file_sha256(assets.MODELS["bundled"])


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere\.onnx"):
        load(load_settings(model=str(tmp_path / "nowhere.onnx"), detector="haar"))


def test_the_settings_decide_about_the_parts() -> None:
    analyzer = load(load_settings(detector="haar", detect_side=300, max_faces=7, min_score=0.3, device="cpu"))
    assert (analyzer.detector.name, analyzer.detector.side) == ("haar", 300)
    assert (analyzer.limits.max_faces, analyzer.limits.min_score) == (7, 0.3)


@pytest.mark.parametrize("coarse_first", [False, True])
def test_the_settings_decide_about_the_full_scale(coarse_first: bool) -> None:
    analyzer = load(load_settings(detector="own", coarse_first=coarse_first, device="cpu"))
    assert isinstance(analyzer.detector, Orientations)
    assert analyzer.detector.scales.coarse_first is coarse_first
    assert analyzer.detector.side == 640


def test_the_settings_decide_about_turned_faces() -> None:
    analyzer = load(load_settings(detector="own", orientations=False, device="cpu"))
    assert isinstance(analyzer.detector, Scales)


@pytest.mark.parametrize(
    ("device", "on_gpu", "expected"),
    [
        ("cpu", False, "cpu"),
        ("auto", False, "cpu"),  # the network found no GPU: there is none for the detector either
        ("auto", True, "auto"),
        ("cuda", True, "cuda"),
        ("tensorrt", True, "cuda"),
    ],
)
def test_the_detector_runs_beside_the_network(device: Device, on_gpu: bool, expected: Device) -> None:
    assert detector_device(device, on_gpu) == expected
