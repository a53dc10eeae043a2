import pytest
from fer_service.analysis.options import Options
from fer_service.contract.errors import InvalidParameter
from fer_service.http.multipart import BOXES, QUERY_ONLY
from fer_service.http.query import ImageQuery, PredictQuery, StreamQuery, VideoQuery, parse_query
from starlette.datastructures import QueryParams


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", Options()),
        ("max_faces=7", Options(max_faces=7)),
        ("detect=false&min_score=0.25", Options(detect=False, min_score=0.25)),
        ("max_faces=3&max_faces=4", Options(max_faces=4)),
    ],
)
def test_a_query_is_its_parameters_and_the_defaults_of_the_others(query: str, options: Options) -> None:
    assert parse_query(PredictQuery, QueryParams(query)).options() == options


def test_a_drawn_answer_is_an_option_too() -> None:
    assert PredictQuery().options("png") == Options(draw="png")


def test_frames_of_a_stream_are_upright() -> None:
    assert StreamQuery(max_faces=2).options() == Options(max_faces=2, turned=False)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("max_faces=0", "max_faces: "),
        ("max_faces=", "max_faces: "),
        ("detect=perhaps", "detect: "),
        ("tigers=1", "tigers: "),
        ("smooth=nan", "smooth: "),
    ],
)
def test_an_invalid_parameter_is_named(query: str, named: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^{named}"):
        parse_query(StreamQuery, QueryParams(query))


def test_a_form_knows_the_parameters_that_are_not_its_fields() -> None:
    assert set(QUERY_ONLY.values()) == {*ImageQuery.model_fields, *VideoQuery.model_fields} - {BOXES}
