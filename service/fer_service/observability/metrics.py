"""Every metric of the service, in a registry that is given to it."""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fer_service.contract.job import Stage
from fer_service.contract.schemas import Prediction

OUTCOMES: Final = ("answered", "failed", "dropped")
REASONS: Final = ("requests", "bytes", "client", "streams")
_SECONDS: Final = tuple(0.001 * 2**n for n in range(15))
_BATCH: Final = tuple(2**n for n in range(11))
_FACES: Final = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 100)
_CONFIDENCE: Final = tuple(n / 10 for n in range(1, 11))


class Metrics:
    """The service's metrics; times in seconds.

    Attributes:
        registry: Where they live.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "fer_requests",
            "Answered requests; code 499 is a client that went away",
            ["route", "code"],
            registry=registry,
        )
        self.duration = Histogram(
            "fer_request_duration_seconds",
            "From a request's head to its answer's end",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "fer_requests_in_flight",
            "Prediction requests being worked on",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.stages = Histogram(
            "fer_stage_duration_seconds",
            "An image's time in decode, detect, crop, queue and infer",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "fer_batch_size", "Crops a run of the network", buckets=_BATCH, registry=registry
        )
        self.detector_batch_size = Histogram(
            "fer_detector_batch_size",
            "Images a run of the detector, where it is on a GPU",
            buckets=_BATCH,
            registry=registry,
        )
        self.queue_depth = Gauge(
            "fer_queue_depth",
            "Images waiting for a core, or crops for the GPU",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.rejected = Counter(
            "fer_rejected",
            "Refused before any work: at the door (requests, bytes, client) or by the queue",
            ["reason"],
            registry=registry,
        )
        self.faces = Histogram("fer_faces_per_image", "Faces an image", buckets=_FACES, registry=registry)
        self.predictions = Counter("fer_predictions", "Faces by emotion", ["emotion"], registry=registry)
        self.confidence = Histogram(
            "fer_prediction_confidence",
            "Probability of the reported emotion",
            buckets=_CONFIDENCE,
            registry=registry,
        )
        self.streams = Gauge("fer_streams", "Streams open", registry=registry, multiprocess_mode="livesum")
        self.frames = Counter("fer_stream_frames", "Frames of streams", ["outcome"], registry=registry)
        self._info = Gauge(
            "fer_model_info",
            "Always 1; the labels say which model and detector are in use",
            ["name", "version", "sha256", "provider", "detector"],
            registry=registry,
            multiprocess_mode="max",
        )
        self._fallback = Gauge(
            "fer_fallback",
            "1 where `auto` found nothing better than the CPU or Haar",
            ["part"],
            registry=registry,
            multiprocess_mode="max",
        )
        # Known label values start at 0, so that a rate exists from the first scrape on.
        self._stage = {stage: self.stages.labels(stage) for stage in Stage}
        for outcome in OUTCOMES:
            self.frames.labels(outcome)
        for reason in REASONS:
            self.rejected.labels(reason)

    def describe(self, name: str, version: str, sha256: str, provider: str, detector: str) -> None:
        """Say which model and detector are in use."""
        self._info.labels(name, version, sha256, provider, detector).set(1)

    def fell_back(self, *, device: bool, detector: bool) -> None:
        """Say whether the device or the detector is less than what `auto` hoped for."""
        self._fallback.labels("device").set(device)
        self._fallback.labels("detector").set(detector)

    def expect(self, labels: Iterable[str]) -> None:
        """Start the counters of these emotions at 0."""
        for label in labels:
            self.predictions.labels(label)

    def observe(self, prediction: Prediction, seconds: Mapping[Stage, float]) -> None:
        """Count an image: its stages' times and what was found in it."""
        for stage, duration in seconds.items():
            self._stage[stage].observe(duration)
        self.faces.observe(len(prediction.faces))
        for face in prediction.faces:
            self.predictions.labels(face.emotion).inc()
            self.confidence.observe(face.confidence)
