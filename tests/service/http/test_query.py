import pytest
from fer_service.analysis.analyzer import Options
from fer_service.contract.errors import InvalidParameter
from fer_service.http.query import PredictQuery, checked, described
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import QueryParams


class Zoo(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lions: int = Field(2, ge=1, description="how many")
    open: bool = Field(True, description="whether people come in")


@pytest.mark.parametrize(
    ("query", "lions", "is_open"),
    [("", 2, True), ("lions=7", 7, True), ("open=false&lions=3", 3, False), ("lions=3&lions=4", 4, True)],
)
def test_a_query_is_its_parameters_and_the_defaults_of_the_others(query: str, lions: int, is_open: bool) -> None:
    assert checked(Zoo, QueryParams(query)) == Zoo(lions=lions, open=is_open)


@pytest.mark.parametrize(
    ("query", "named"),
    [("lions=0", "lions: "), ("lions=", "lions: "), ("open=perhaps", "open: "), ("tigers=1", "tigers: ")],
)
def test_the_parameter_that_is_wrong_is_named(query: str, named: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^{named}"):
        checked(Zoo, QueryParams(query))


def test_openapi_knows_each_parameter_its_kind_its_range_and_its_default() -> None:
    lions, is_open = described(Zoo)
    assert lions["schema"].items() >= {"type": "integer", "minimum": 1, "default": 2}.items()
    assert is_open["schema"].items() >= {"type": "boolean", "default": True}.items()
    assert {key: lions[key] for key in ("name", "in", "required", "description")} == {
        "name": "lions",
        "in": "query",
        "required": False,
        "description": "how many",
    }


def test_what_a_request_chooses_is_what_the_analyzer_is_told() -> None:
    assert checked(PredictQuery, {}).options() == Options()
    chosen = {"detect": "false", "max_faces": "3", "min_score": "0.25"}
    assert checked(PredictQuery, chosen).options() == Options(detect=False, max_faces=3, min_score=0.25)
