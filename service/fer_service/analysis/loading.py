"""From settings to an analyzer."""

from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from fer_service import assets
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.executor import Executor
from fer_service.analysis.options import Limits
from fer_service.classification.classifier import Classifier, open_classifier
from fer_service.contract.device import Device
from fer_service.contract.errors import BundleError, DetectorError
from fer_service.contract.settings import Settings, load_settings
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Detector
from fer_service.detection.landmarks import open_landmarks
from fer_service.observability.metrics import Metrics
from fer_service.onnx.gpu_support import cuda_is_built_in
from fer_service.onnx.session import Gpu
from fer_service.system.memory import memory_limit

_MAX_DECODE_MEMORY: Final = 5 * 2**28


def load(settings: Settings | None = None) -> Analyzer:
    """Build the pipeline for one image, from settings alone, in any process.

    Args:
        settings: Settings; read from the environment if None.

    Raises:
        StartError: a setting, the model, the detector or the device is invalid.
    """
    settings = settings or load_settings()
    limits = Limits(settings.max_image_pixels, settings.max_faces, settings.min_score)
    classifier = choose_classifier(settings)
    try:
        detector = choose_detector(
            settings.detector,
            settings.detect_side,
            coarse_first=settings.coarse_first,
            orientations=settings.orientations,
            device=detector_device(settings.device, classifier.on_gpu),
            gpu=Gpu(settings.cuda_graphs),
        )
    except DetectorError as error:
        raise DetectorError(f"FER_DETECTOR={settings.detector}: {error}") from error
    return assemble(detector, classifier, limits)


def assemble(detector: Detector, classifier: Classifier, limits: Limits | None = None) -> Analyzer:
    """Build the pipeline from a detector and a classifier, with the bundled landmark network."""
    return Analyzer(detector, classifier, limits, open_landmarks(assets.LANDMARKS))


def default_pipeline(classifier: Classifier, detector: str) -> Analyzer:
    """Build the pipeline of the default settings for measurements; FER_ variables do not count.

    Args:
        classifier: An open model.
        detector: A value of FER_DETECTOR.

    Raises:
        DetectorError: the detector file is missing or invalid.
    """
    side, orientations = (Settings.model_fields[name].default for name in ("detect_side", "orientations"))
    return assemble(choose_detector(detector, side, orientations=orientations), classifier)


def make_executor(analyzer: Analyzer, settings: Settings, metrics: Metrics | None = None) -> Executor:
    """Prepare the threads and processes that run an analyzer, within the settings and the machine's memory.

    Args:
        analyzer: The pipeline for one image.
        settings: Threads, batches and limits.
        metrics: Counts images, stages and batches; None keeps them to the executor.
    """
    return Executor(
        analyzer,
        metrics or Metrics(CollectorRegistry()),
        threads=settings.threads,
        max_batch=settings.max_batch,
        decode_memory=decode_memory(settings, memory_limit()),
    )


def decode_memory(settings: Settings, limit: int | None) -> int:
    """Return the maximum bytes for the images that one replica decodes in child processes at the same time.

    Args:
        settings: The setting, and the number of replicas that share the container.
        limit: Memory limit of the container in bytes.
    """
    if settings.decode_memory is not None:
        return settings.decode_memory
    return min(_MAX_DECODE_MEMORY, 3 * limit // 8 if limit else _MAX_DECODE_MEMORY) // settings.workers


def detector_device(device: Device, on_gpu: bool) -> Device:
    """Return the detector's device: the classifier's, so that one setting decides for both.

    Args:
        device: The requested device.
        on_gpu: True if the classifier runs on a GPU.
    """
    if not on_gpu:
        return "cpu"
    # TensorRT needs minutes per batch size, and a network this small gains little from it.
    return "auto" if device == "auto" else "cuda"


def choose_classifier(settings: Settings) -> Classifier:
    """Open the model that the settings name, on the device that they name.

    Raises:
        BundleError: the file is missing or breaks the contract.
        ProviderError: the requested device is not available.
    """
    gpu = Gpu(settings.cuda_graphs, settings.tensorrt_cache)

    # Concurrent images keep the cores busy; several threads per crop cost more than they save.
    def opened(path: Path, device: Device) -> Classifier:
        return open_classifier(path, device, threads=1, gpu=gpu)

    file = assets.model_file(settings.model)
    if settings.model not in assets.MODELS:
        try:
            return opened(file, settings.device)
        except BundleError as error:
            raise BundleError(f"FER_MODEL={settings.model}: {error}") from error
    for_cpu = assets.model_file(settings.model, int8=True)
    if settings.device == "cpu" or (settings.device == "auto" and not cuda_is_built_in()):
        return opened(for_cpu, "cpu")
    classifier = opened(file, settings.device)
    return classifier if classifier.on_gpu else opened(for_cpu, "cpu")
