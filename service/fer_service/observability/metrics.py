"""All metrics of the service except memory, in an injected registry."""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fer_service.contract.job import Stage
from fer_service.contract.schemas import Prediction

OUTCOMES: Final = ("answered", "failed", "dropped")
REASONS: Final = ("requests", "bytes", "client", "streams", "videos", "stalled", "share", "frames")
UNMATCHED: Final = "unmatched"  # the route of requests that no route handles
_SECONDS: Final = tuple(0.001 * 2**n for n in range(15))
_BATCH: Final = tuple(2**n for n in range(11))
_FACES: Final = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 100)
_CONFIDENCE: Final = tuple(n / 10 for n in range(1, 11))


class Metrics:
    """Metrics of the service; all times are in seconds.

    Attributes:
        registry: Registry of the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "fer_requests",
            "Requests by route and status code; 499 means that the client disconnected",
            ["route", "code"],
            registry=registry,
        )
        self.duration = Histogram(
            "fer_request_duration_seconds",
            "Time from the head of a request to the end of its response",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "fer_requests_in_flight",
            "Prediction requests and stream frames in progress, from the end of their upload on",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.held_bytes = Gauge(
            "fer_held_bytes",
            "Bytes in memory of uploads, frames and answers on their way",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.stages = Histogram(
            "fer_stage_duration_seconds",
            "Time per image and stage: queue, decode, detect, crop, infer, draw",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "fer_batch_size", "Crops per inference batch", buckets=_BATCH, registry=registry
        )
        self.detector_batch_size = Histogram(
            "fer_detector_batch_size",
            "Images per detector batch; on a GPU only",
            buckets=_BATCH,
            registry=registry,
        )
        self.queue_depth = Gauge(
            "fer_queue_depth",
            "Images that wait for a thread",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.rejected = Counter(
            "fer_rejected",
            "Requests, uploads and streams refused or cancelled by admission control, by the reason",
            ["reason"],
            registry=registry,
        )
        self.faces = Histogram("fer_faces_per_image", "Faces per image", buckets=_FACES, registry=registry)
        self.predictions = Counter("fer_predictions", "Faces by predicted emotion", ["emotion"], registry=registry)
        self.confidence = Histogram(
            "fer_prediction_confidence",
            "Probability of the predicted emotion",
            buckets=_CONFIDENCE,
            registry=registry,
        )
        self.streams = Gauge("fer_streams", "Open streams", registry=registry, multiprocess_mode="livesum")
        self.videos = Gauge("fer_videos", "Videos in progress", registry=registry, multiprocess_mode="livesum")
        self.frames = Counter("fer_stream_frames", "Frames of streams by outcome", ["outcome"], registry=registry)
        self._info = Gauge(
            "fer_model_info",
            "Always 1; the labels name the model and the detector in use",
            ["name", "version", "sha256", "provider", "detector"],
            registry=registry,
            multiprocess_mode="max",
        )
        self._fallback = Gauge(
            "fer_fallback",
            "1 if `auto` uses less than the best choice: the CPU instead of a GPU, the built-in detector "
            "instead of YuNet",
            ["part"],
            registry=registry,
            multiprocess_mode="max",
        )
        # Known label values start at 0, so that rates exist from the first scrape.
        self._stage = {stage: self.stages.labels(stage) for stage in Stage}
        for outcome in OUTCOMES:
            self.frames.labels(outcome)
        for reason in REASONS:
            self.rejected.labels(reason)

    def describe(self, name: str, version: str, sha256: str, provider: str, detector: str) -> None:
        """Set the labels of `fer_model_info`."""
        self._info.labels(name, version, sha256, provider, detector).set(1)

    def fell_back(self, *, device: bool, detector: bool) -> None:
        """Set `fer_fallback`: True if `auto` uses less than the best device or detector."""
        self._fallback.labels("device").set(device)
        self._fallback.labels("detector").set(detector)

    def expect(self, labels: Iterable[str]) -> None:
        """Start the counters of these labels at 0."""
        for label in labels:
            self.predictions.labels(label)

    def observe(self, prediction: Prediction, seconds: Mapping[Stage, float]) -> None:
        """Count one image: its faces and the time of its stages.

        Args:
            prediction: Faces of the image.
            seconds: Seconds per stage.
        """
        for stage, duration in seconds.items():
            self._stage[stage].observe(duration)
        self.faces.observe(len(prediction.faces))
        for face in prediction.faces:
            self.predictions.labels(face.emotion).inc()
            self.confidence.observe(face.confidence)
