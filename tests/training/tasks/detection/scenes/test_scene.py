import numpy as np
import pytest
from fer_training.tasks.detection.scenes.scene import Ellipse, Scene

RED, BLUE = np.array([200.0, 0, 0]), np.array([0, 0, 200.0])
FACE = np.array([[20, 10, 60, 60]], np.float32)


@pytest.fixture
def scene() -> Scene:
    made = Scene(np.zeros((80, 100, 3), np.uint8), np.zeros((80, 100), np.float32))
    made.show(FACE[0], 1)
    return made


def test_a_face_is_seen_until_something_is_drawn_over_it(scene: Scene) -> None:
    assert scene.seen(FACE) == pytest.approx([1.0], abs=0.06)
    scene.draw(Ellipse(20, 35, 20, 60), RED)
    assert scene.seen(FACE) == pytest.approx([0.5], abs=0.1)
    assert scene.pixels[35, 25].tolist() == RED.tolist()
    scene.stroke((70, 0), (70, 79), 30, RED)
    assert scene.seen(FACE) == pytest.approx([0.45], abs=0.1)
    scene.dress(Ellipse(40, 35, 60, 70), np.full((8, 8, 3), 90, np.uint8))
    assert scene.seen(FACE) == [0]
    assert (scene.pixels[10:60, 20:60] == 90).all()


def test_cloth_fills_its_ellipse_and_nothing_else(scene: Scene) -> None:
    halves = np.zeros((8, 8, 3), np.uint8)
    halves[:, :4], halves[:, 4:] = RED, BLUE
    scene.dress(Ellipse(50, 40, 30, 20), halves)
    assert scene.pixels[40, 25].tolist() == RED.tolist()
    assert scene.pixels[40, 75].tolist() == BLUE.tolist()
    inside = (scene.pixels > 0).any(axis=2)
    assert inside.sum() == pytest.approx(np.pi * 30 * 20, rel=0.1)
    assert not inside[22, 22]


@pytest.mark.parametrize("middle", [(-200.0, 40.0), (50.0, 400.0), (-10.0, -10.0)])
def test_what_lies_outside_of_the_image_is_cut_off(scene: Scene, middle: tuple[float, float]) -> None:
    ellipse = Ellipse(*middle, 15, 15)
    scene.dress(ellipse, np.full((8, 8, 3), 255, np.uint8))
    scene.draw(ellipse, RED)
    assert (scene.pixels > 0).any(axis=2).sum() < 120
