import json

from starlette.testclient import TestClient

from tests.fakes import LABELS, metadata


def test_the_card_says_what_is_in_use(client: TestClient) -> None:
    card = client.get("/model").json()
    assert card.pop("card") == json.loads(metadata().model_dump_json(by_alias=True))
    assert card == {
        "name": "tiny",
        "version": "1.2.3",
        "sha256": "f" * 64,
        "labels": list(LABELS),
        "input_size": 48,
        "uncertain_below": 0.5,
        "provider": "FakeExecutionProvider",
        "detector": "fake",
        "landmarks": "none",
        "fallback": ["detector"],
    }
