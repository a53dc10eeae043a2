import math

import pytest
from fer_service.contract.job import Stage
from fer_service.contract.schemas import BoundingBox, FaceEmotion, ImageSize, ModelName, Prediction
from fer_service.observability.metrics import REASONS, Metrics
from prometheus_client import CollectorRegistry

from tests.fakes import QUALITY


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


def prediction(*answers: tuple[str, float]) -> Prediction:
    box = BoundingBox(x=0, y=0, width=1, height=1)
    return Prediction(
        image=ImageSize(width=1, height=1),
        model=ModelName(name="tiny", version="1"),
        faces=[
            FaceEmotion(
                box=box,
                score=None,
                landmarks=None,
                roll=0,
                quality=QUALITY,
                emotion=emotion,
                confidence=confidence,
                uncertain=False,
                reasons=[],
                probabilities={},
            )
            for emotion, confidence in answers
        ],
    )


def test_the_names_are_the_documented_ones(metrics: Metrics, registry: CollectorRegistry) -> None:
    assert {family.name for family in registry.collect()} == {
        "fer_requests",
        "fer_request_duration_seconds",
        "fer_requests_in_flight",
        "fer_held_bytes",
        "fer_stage_duration_seconds",
        "fer_batch_size",
        "fer_detector_batch_size",
        "fer_queue_depth",
        "fer_rejected",
        "fer_faces_per_image",
        "fer_predictions",
        "fer_prediction_confidence",
        "fer_streams",
        "fer_videos",
        "fer_stream_frames",
        "fer_model_info",
        "fer_fallback",
    }


def test_seconds_are_in_doubling_buckets(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.duration.labels("/predict").observe(0.003)
    buckets = {
        float(sample.labels["le"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "fer_request_duration_seconds_bucket"
    }
    assert list(buckets)[:4] == [0.001, 0.002, 0.004, 0.008]
    assert all(right == 2 * left for left, right in zip(list(buckets), list(buckets)[1:-1], strict=False))
    assert (buckets[0.002], buckets[0.004], buckets[math.inf]) == (0, 1, 1)


def test_rejection_reasons_start_at_zero(metrics: Metrics, registry: CollectorRegistry) -> None:
    assert {sample.labels["reason"] for sample in metrics.rejected.collect()[0].samples} == set(REASONS)
    assert registry.get_sample_value("fer_rejected_total", {"reason": "client"}) == 0


def test_stages_and_expected_emotions_start_at_zero(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.expect(["happy"])
    assert registry.get_sample_value("fer_predictions_total", {"emotion": "happy"}) == 0
    for stage in Stage:
        assert registry.get_sample_value("fer_stage_duration_seconds_count", {"stage": stage}) == 0


def test_the_model_in_use_is_in_labels(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.describe("tiny", "1.2.3", "abc", "CPUExecutionProvider", "haar")
    labels = {
        "name": "tiny",
        "version": "1.2.3",
        "sha256": "abc",
        "provider": "CPUExecutionProvider",
        "detector": "haar",
    }
    assert registry.get_sample_value("fer_model_info", labels) == 1


def test_an_images_faces_and_times_are_counted(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.observe(prediction(("happy", 0.95), ("happy", 0.55), ("sad", 0.25)), {"decode": 0.5, "infer": 0.25})
    metrics.observe(prediction(), {"decode": 0.25})
    values = {
        ("fer_predictions_total", "emotion", "happy"): 2,
        ("fer_predictions_total", "emotion", "sad"): 1,
        ("fer_stage_duration_seconds_sum", "stage", "decode"): 0.75,
        ("fer_stage_duration_seconds_count", "stage", "infer"): 1,
        ("fer_faces_per_image_bucket", "le", "0.0"): 1,
        ("fer_faces_per_image_bucket", "le", "3.0"): 2,
        ("fer_prediction_confidence_bucket", "le", "0.5"): 1,
        ("fer_prediction_confidence_bucket", "le", "0.6"): 2,
    }
    found = {
        (name, label, value): registry.get_sample_value(name, {label: value}) for name, label, value in values
    }
    assert found == values


def test_two_services_in_a_process_do_not_share_metrics(metrics: Metrics) -> None:
    other = CollectorRegistry()
    Metrics(other)
    metrics.observe(prediction(), {})
    assert other.get_sample_value("fer_faces_per_image_count") == 0
