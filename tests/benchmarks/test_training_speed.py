from dataclasses import replace

import numpy as np
from fer_benchmarks.training_speed import measure_steps

from tests.training.synthetic import make_faces, make_recipe


def test_both_kinds_of_step_are_timed_with_a_votes_head() -> None:
    faces = make_faces()
    votes = np.eye(7, dtype=np.float32)[faces.labels]
    data = replace(faces, votes=votes)
    recipe = make_recipe(loss={"name": "cross_entropy", "votes_head": 0.5})
    times = measure_steps(recipe, data, "cpu", blocks=1, steps=4)  # 8 steps, and an epoch has 6
    assert times.real > 0
    assert times.constant > 0
