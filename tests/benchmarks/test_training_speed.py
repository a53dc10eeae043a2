from dataclasses import replace

import numpy as np
import pytest
from fer_benchmarks.training_speed import measure_steps

from tests.training.synthetic import make_faces, make_recipe


@pytest.mark.parametrize("votes_head", [0.0, 0.5])
def test_both_kinds_of_step_are_timed(votes_head: float) -> None:
    faces = make_faces()
    votes = np.eye(7, dtype=np.float32)[faces.labels]
    data = replace(faces, votes=votes)
    recipe = make_recipe(loss={"name": "cross_entropy", "votes_head": votes_head})
    times = measure_steps(recipe, data, "cpu", blocks=2, steps=4)  # 12 steps: more than the epoch's 6
    assert times.real > 0
    assert times.constant > 0
