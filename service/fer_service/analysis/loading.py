"""Settings → the parts they name, put together."""

from pathlib import Path

from fer_service import assets
from fer_service.analysis.analyzer import Analyzer, Limits
from fer_service.classification.classifier import Classifier, open_classifier
from fer_service.contract.device import Device
from fer_service.contract.settings import Settings, load_settings
from fer_service.detection.choice import choose_detector
from fer_service.onnx.session import Gpu, cuda_is_built_in


def load(settings: Settings | None = None) -> Analyzer:
    """The line for one image, from settings alone, in any process.

    Args:
        settings: Read from the environment unless given.

    Raises:
        StartError: a setting, the model, the detector or the device is not right.
    """
    settings = settings or load_settings()
    limits = Limits(settings.max_image_pixels, settings.max_faces, settings.min_score)
    classifier = choose_classifier(settings)
    detector = choose_detector(
        settings.detector,
        settings.detect_side,
        coarse=settings.coarse_side,
        device=detector_device(settings.device, classifier.on_gpu),
        gpu=Gpu(settings.cuda_graphs),
    )
    return Analyzer(detector, classifier, limits)


def detector_device(device: Device, on_gpu: bool) -> Device:
    """Where the detector is to run: beside the network, so that one setting decides about both.

    Args:
        device: What was asked for.
        on_gpu: Whether the network got a GPU.
    """
    if not on_gpu:
        return "cpu"
    # TensorRT would take minutes for each size of batch; a network this small gains little by it.
    return "auto" if device == "auto" else "cuda"


def choose_classifier(settings: Settings) -> Classifier:
    """The model that the settings name, on the device they name.

    Raises:
        BundleError: the file is missing or breaks the contract.
        ProviderError: the device that was asked for cannot be had.
    """
    gpu = Gpu(settings.cuda_graphs, settings.tensorrt_cache)

    # Images side by side keep the cores busy; several threads for one crop cost more than they save.
    def opened(path: Path, device: Device) -> Classifier:
        return open_classifier(path, device, threads=1, gpu=gpu)

    bundled = assets.MODELS.get(settings.model)
    if bundled is None:
        return opened(Path(settings.model), settings.device)
    if settings.device == "cpu" or (settings.device == "auto" and not cuda_is_built_in()):
        return opened(assets.int8_file(bundled), "cpu")
    classifier = opened(bundled, settings.device)
    return classifier if classifier.on_gpu else opened(assets.int8_file(bundled), "cpu")
