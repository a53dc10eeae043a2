"""Answers of the service that a test makes up, so that it knows every face."""

from typing import Any

from playwright.sync_api import Page

LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def face(
    left: float,
    top: float,
    side: float,
    emotion: str = "happy",
    score: float | None = 0.9,
    reasons: tuple[str, ...] = (),
    labels: list[str] = LABELS,
) -> dict[str, Any]:
    """A face of `/predict`; it is uncertain if it has reasons."""
    confidence = 0.4 if reasons else 0.94
    others = (1 - confidence) / (len(labels) - 1)
    return {
        "box": {"x": left, "y": top, "width": side, "height": side},
        "score": score,
        "landmarks": None,
        "roll": 0.0,
        "quality": {
            "size": side,
            "sharpness": 0.2,
            "exposure": 0.5,
            "clipped": 0.0,
            "pose": None,
            "cut": 0.0,
        },
        "emotion": emotion,
        "confidence": confidence,
        "uncertain": bool(reasons),
        "reasons": list(reasons),
        "probabilities": {label: confidence if label == emotion else others for label in labels},
    }


def prediction(*faces: dict[str, Any], width: int = 512, height: int = 512) -> dict[str, Any]:
    """The answer of `/predict` with these faces."""
    emotions: dict[str, int] = {}
    for each in faces:
        emotions[each["emotion"]] = emotions.get(each["emotion"], 0) + 1
    uncertain = sum(each["uncertain"] for each in faces) / len(faces) if faces else None
    return {
        "image": {"width": width, "height": height},
        "faces": list(faces),
        "model": {"name": "fake", "version": "1"},
        "summary": {"faces": len(faces), "emotions": emotions, "uncertain": uncertain},
    }


def answer(page: Page, content: dict[str, Any]) -> None:
    """Let the page receive this answer to every image."""
    page.route("**/predict", lambda route: route.fulfill(json=content))


def fail(page: Page, status: int, code: str, path: str = "**/predict") -> None:
    """Let the page receive this error for every image, or for what else it sends to a path."""
    problem = {
        "type": "about:blank",
        "title": "x",
        "status": status,
        "detail": "Words of the service",
        "code": code,
    }
    page.route(path, lambda route: route.fulfill(status=status, json=problem))
