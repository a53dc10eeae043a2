"""Settings → the parts they name, put together."""

from service.analyzer import Analyzer, Limits
from service.detectors import choose_detector
from service.inference.classifier import open_classifier
from service.inference.session import Gpu
from service.settings import Settings, load_settings


def load(settings: Settings | None = None) -> Analyzer:
    """The line for one picture, from settings alone, in any process.

    Args:
        settings: Read from the environment unless given.

    Raises:
        StartError: a setting, the model, the detector or the device is not right.
    """
    settings = settings or load_settings()
    limits = Limits(settings.max_image_pixels, settings.max_faces, settings.min_score)
    # Pictures side by side keep the cores busy; several threads for one crop cost more than they save.
    gpu = Gpu(settings.cuda_graphs, settings.tensorrt_cache)
    classifier = open_classifier(settings.model_path, settings.device, threads=1, gpu=gpu)
    return Analyzer(choose_detector(settings.detector, settings.detect_side), classifier, limits)
