"""POST /predict?session=: clients that send single images."""

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import plain
from tests.service.http.conftest import FACE, Serve

GREEN, RED = plain("lime", 80, 60), plain("red", 80, 60)
KEY = "one secret for all machines"


def test_faces_keep_their_ids_and_are_smoothed(client: TestClient) -> None:
    first = client.post("/predict", params={"session": "new"}, content=GREEN).json()
    assert [face["id"] for face in first["faces"]] == [1]
    assert first["summary"] == {"faces": 1, "emotions": {"happy": 1}, "uncertain": 0.0}
    query = {"session": first["session"], "smooth": 60}
    second = client.post("/predict", params=query, content=RED).json()
    (face,) = second["faces"]
    assert face["id"] == 1
    assert face["emotion"] == "happy"  # still
    assert max(face["raw_probabilities"], key=face["raw_probabilities"].get) == "angry"
    again = client.post("/predict", params={"session": "new"}, content=RED).json()
    assert again["faces"][0]["emotion"] == "angry"


def test_without_a_session_nothing_changes(client: TestClient) -> None:
    answer = client.post("/predict", content=GREEN).json()
    assert "session" not in answer
    assert "id" not in answer["faces"][0]


def test_another_machine_with_the_same_secret_goes_on(serve: Serve) -> None:
    one, other, stranger = serve(FACE, session_key=KEY), serve(FACE, session_key=KEY), serve(FACE)
    token = one.post("/predict", params={"session": "new"}, content=GREEN).json()["session"]
    assert other.post("/predict", params={"session": token}, content=GREEN).json()["faces"][0]["id"] == 1
    refused = stranger.post("/predict", params={"session": token}, content=GREEN)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
    assert "session=new" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("params", "accept", "expected"),
    [
        ({"session": ""}, "*/*", "session=new"),
        ({"session": "NEW"}, "*/*", "session=new"),
        ({"session": "x" * 5000}, "*/*", "session=new"),
        ({"session": "new"}, "image/png", "Accept: application/json"),
        ({"smooth": 1}, "*/*", "session=new"),
        ({"session": "new", "smooth": -1}, "*/*", "smooth"),
    ],
)
def test_invalid_queries_are_refused(
    client: TestClient, params: dict[str, str], accept: str, expected: str
) -> None:
    response = client.post("/predict", params=params, content=GREEN, headers={"Accept": accept})
    assert response.status_code == 422
    assert expected in response.json()["detail"]
