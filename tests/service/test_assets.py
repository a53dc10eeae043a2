from pathlib import Path

import pytest
from fer_service import assets


@pytest.mark.parametrize("name", assets.MODELS)
def test_bundled_models_have_names_and_int8_twins(name: str) -> None:
    assert assets.model_file(name) == assets.MODELS[name]
    assert assets.model_file(name, int8=True) == assets.int8_file(assets.MODELS[name])


@pytest.mark.parametrize("int8", [False, True])
def test_any_other_name_is_a_path(int8: bool) -> None:
    assert assets.model_file("mine.onnx", int8=int8) == Path("mine.onnx")
