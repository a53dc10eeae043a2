import json
from typing import Any

import pytest
from fer_service.assets import MODELS, int8_file

from tests.docs.markdown import ROOT, Block, all_blocks
from tests.e2e.conftest import Server
from tools.reference_tables import metadata

README = (ROOT / "README.md").read_text("utf-8")


def close(shown: Any, real: Any) -> bool:
    """Return True if two JSON values are equal, except for what another CPU's arithmetic may change."""
    if isinstance(shown, dict) and isinstance(real, dict):
        return list(shown) == list(real) and all(close(shown[key], real[key]) for key in shown)
    if isinstance(shown, list) and isinstance(real, list):
        # The numbers of a list are rounded pixels of a landmark.
        points = zip(shown, real, strict=False)
        near = (abs(one - other) <= 1 if isinstance(one, int) else close(one, other) for one, other in points)
        return len(shown) == len(real) and all(near)
    if isinstance(shown, float) and isinstance(real, float):
        return abs(shown - real) <= (0.002 if abs(shown) < 1 else 0.1001)  # larger numbers are angles
    return bool(shown == real)


def pasted(answer: dict[str, Any]) -> str:
    """Return the answer as the README prints it."""
    (face,) = answer["faces"]
    probabilities = [f'"{name}": {value}' for name, value in face["probabilities"].items()]
    points = [f'"{name}": {point}' for name, point in face["landmarks"].items()]
    head = json.dumps({name: face[name] for name in ("box", "score")})[1:-1]
    quality = f'"quality": {json.dumps(face["quality"])}'
    middle = json.dumps({name: face[name] for name in ("emotion", "confidence", "uncertain", "reasons")})[1:-1]
    indent = " " * 12
    return (
        f'{{"image": {json.dumps(answer["image"])},\n'
        f' "faces": [{{{head},\n'
        f'{indent}"landmarks": {{{", ".join(points[:3])},\n'
        f'{" " * 26}{", ".join(points[3:])}}}, "roll": {face["roll"]},\n'
        f"{indent}{quality},\n"
        f"{indent}{middle},\n"
        f'{indent}"probabilities": {{{", ".join(probabilities[:4])},\n'
        f"{' ' * 30}{', '.join(probabilities[4:])}}}}}],\n"
        f' "model": {json.dumps(answer["model"])},\n'
        f' "summary": {json.dumps(answer["summary"])}}}\n'
    )


def test_the_readme_shows_the_real_answer(own_server: Server, astronaut_jpeg: bytes) -> None:
    shown = next(block for block in all_blocks("json") if block.page == "README.md")
    real = own_server.client.post("/predict", files={"file": ("photo.jpg", astronaut_jpeg)}).json()
    assert json.loads(pasted(real)) == real
    assert close(json.loads(shown.text), real), f"Replace the answer at {shown} with:\n{pasted(real)}"


def test_a_changed_answer_is_found() -> None:
    assert close({"score": 0.9, "box": {"x": 1}}, {"score": 0.901, "box": {"x": 1}})
    assert not close({"score": 0.9, "box": {"x": 1}}, {"score": 0.91, "box": {"x": 1}})
    assert not close({"score": 0.9, "box": {"x": 1}}, {"score": 0.9, "box": {"x": 2}})
    assert not close({"emotion": "happy"}, {"emotion": "sad"})
    assert not close({"faces": []}, {"faces": [1]})
    assert close({"nose": [226, 124]}, {"nose": [227, 124]})
    assert not close({"nose": [226, 124]}, {"nose": [228, 124]})


def test_the_comparison_shows_the_metrics_of_the_bundled_model() -> None:
    metrics = metadata(int8_file(MODELS["bundled"]))["metrics"]
    for real in (f"| {100 * metrics['accuracy']:.1f} % on {metrics['split']}", f"| {metrics['ece15']:.3f} |"):
        assert real in README, f"Correct the comparison in README.md: {real}"


@pytest.mark.parametrize("block", all_blocks("json"), ids=str)
def test_json_examples_are_valid(block: Block) -> None:
    assert json.loads(block.text)
