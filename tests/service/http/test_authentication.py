import asyncio
import base64
from pathlib import Path

import pytest
from fer_service.contract.errors import Forbidden, Unauthorized
from fer_service.http.api_keys import ApiKeys
from fer_service.http.authentication import authenticate, check_origin
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Scope

from tests.service.conftest import HeldClassifier, plain
from tests.service.http.conftest import FACE, FIRST, SECOND, Serve, build, call, running

PICTURE = plain("lime")


@pytest.fixture
def keyed(serve: Serve, key_file: Path) -> TestClient:
    return serve(FACE, api_keys_file=key_file)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": FIRST},
        {"X-API-Key": SECOND},
        {"Authorization": f"Bearer {SECOND}"},
        {"Authorization": f"bearer {FIRST}"},
        {"Authorization": "Basic eDp5", "X-API-Key": FIRST},
    ],
)
def test_every_key_of_the_file_opens(keyed: TestClient, headers: dict[str, str]) -> None:
    assert keyed.post("/predict", content=PICTURE, headers=headers).status_code == 200
    assert keyed.get("/model", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": FIRST[:-1]},
        {"X-API-Key": FIRST + "x"},
        {"X-API-Key": "# of the two teams"},
        {"X-API-Key": "schlüssel-0123456789".encode("latin-1").decode("latin-1")},
        {"Authorization": FIRST},
        {"Authorization": f"Basic {FIRST}"},
        {"Authorization": "Bearer"},
    ],
)
def test_whoever_has_none_is_refused_with_a_problem(keyed: TestClient, headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    for answer in (keyed.post("/predict", content=PICTURE, headers=raw), keyed.get("/model", headers=raw)):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/docs", "/openapi.json"])
def test_probes_scrapers_and_the_documentation_need_no_key(keyed: TestClient, path: str) -> None:
    assert keyed.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_every_prediction_route_needs_a_key(keyed: TestClient, path: str) -> None:
    assert keyed.post(path).status_code == 401


def test_a_refusal_is_counted_and_its_body_is_not_read(key_file: Path) -> None:
    async def scenario() -> None:
        async with running(build(FACE, api_keys_file=key_file)) as app:
            assert (await call(app, "/predict")).status == 401
            metrics = (await call(app, "/metrics", b"", method="GET")).body.decode()
            assert 'fer_requests_total{code="401",route="/predict"} 1.0' in metrics

    asyncio.run(scenario())


def test_the_documentation_knows_of_the_key_only_where_there_is_one(keyed: TestClient, client: TestClient) -> None:
    assert keyed.get("/openapi.json").json()["paths"]["/predict"]["post"]["security"] == [{"APIKeyHeader": []}]
    assert "security" not in client.get("/openapi.json").json()["paths"]["/predict"]["post"]


def test_other_pages_are_shut_out_by_default(client: TestClient) -> None:
    answer = client.post("/predict", content=PICTURE, headers={"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in answer.headers


def test_pages_that_are_named_may_ask(serve: Serve, key_file: Path) -> None:
    client = serve(FACE, cors_origins="https://example.org", api_keys_file=key_file)
    origin = {"Origin": "https://example.org"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key, traceparent"}
    preflight = client.options("/predict", headers=origin | asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://example.org"
    for headers, status in (({"X-API-Key": FIRST}, 200), ({}, 401)):
        answer = client.post("/predict", content=PICTURE, headers=origin | headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "https://example.org"
    assert client.options("/predict", headers={"Origin": "https://evil.org"} | asked).status_code == 400


def protocol(key: str) -> str:
    """The key as a page offers it."""
    return "fer.key." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def connection(*protocols: str, **headers: str) -> HTTPConnection:
    """A handshake that offers these subprotocols with these headers."""
    scope: Scope = {
        "type": "websocket",
        "path": "/stream",
        "client": ("10.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "subprotocols": list(protocols),
    }
    return HTTPConnection(scope)


def client_of(keys: ApiKeys | None, *protocols: str, **headers: str) -> str:
    """The client that `authenticate` sees."""
    return authenticate(connection(*protocols, **headers), keys)


@pytest.mark.parametrize(
    ("origins", "headers", "accepted"),
    [
        ((), {"host": "fer:8000"}, True),
        ((), {"host": "fer:8000", "origin": "http://fer:8000"}, True),
        ((), {"host": "fer:8000", "origin": "http://evil.org"}, False),
        ((), {"host": "fer:8000", "origin": "null"}, False),
        ((), {"host": "fer:8000", "origin": "http://["}, False),
        ((), {"host": "fer:8000", "origin": "https://fer.org", "x-forwarded-host": "fer.org:443"}, True),
        (("http://good.org",), {"host": "fer:8000", "origin": "http://good.org"}, True),
        (("http://good.org",), {"host": "fer:8000", "origin": "http://evil.org"}, False),
        (("*",), {"host": "fer:8000", "origin": "http://evil.org"}, True),
    ],
)
def test_a_stream_is_opened_by_the_services_page_or_an_allowed_origin(
    origins: tuple[str, ...], headers: dict[str, str], accepted: bool
) -> None:
    if accepted:
        check_origin(connection(**headers).headers, origins)
    else:
        with pytest.raises(Forbidden, match="FER_CORS_ORIGINS"):
            check_origin(connection(**headers).headers, origins)


def test_a_refused_stream_is_answered_with_a_problem(keyed: TestClient) -> None:
    for headers, status, code in (({"Origin": "http://evil.org"}, 403, "forbidden"), ({}, 401, "unauthorized")):
        with pytest.raises(WebSocketDenialResponse) as denied, keyed.websocket_connect("/stream", headers=headers):
            pass
        assert (denied.value.status_code, denied.value.json()["code"]) == (status, code)


def test_a_stream_takes_its_key_as_a_header_too(key_file: Path) -> None:
    keys = ApiKeys(key_file)
    assert client_of(keys, **{"x-api-key": FIRST}) == keys.holder(FIRST)


# Among them every length modulo 3, and signs that base64 and its form for addresses write differently.
@pytest.mark.parametrize("key", [FIRST, SECOND, "signs->>>???~~~!", "length-17-171717", "length-17-1717171"])
def test_a_page_offers_its_key_as_a_subprotocol(key_file: Path, key: str) -> None:
    key_file.write_text(f"{SECOND}\n{key}\n")
    keys = ApiKeys(key_file)
    for protocols in (["fer.v1", protocol(key)], [protocol(key), "fer.v1"]):
        assert client_of(keys, *protocols) == keys.holder(key)


@pytest.mark.parametrize(
    "offered",
    [
        "fer.key.",
        protocol(FIRST[:-1]),
        protocol(FIRST + "x"),
        protocol("schlüssel-0123456789"),
        FIRST,
        "fer.key." + FIRST,
        protocol(FIRST).replace("fer.key.", "fer.kex."),
        protocol(FIRST) + "!",
        "fer.key.AAAAA",
    ],
)
def test_a_subprotocol_without_a_valid_key_is_refused_and_not_repeated(key_file: Path, offered: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        client_of(ApiKeys(key_file), "fer.v1", offered)
    assert (offered.removeprefix("fer.key.") or FIRST) not in str(refused.value)


def test_a_request_cannot_bring_its_key_as_a_subprotocol(keyed: TestClient) -> None:
    assert keyed.get("/model", headers={"Sec-WebSocket-Protocol": protocol(FIRST)}).status_code == 401


def test_a_client_without_a_key_is_its_address() -> None:
    assert client_of(None) == "10.0.0.1"


def test_one_client_cannot_take_every_place(key_file: Path) -> None:
    async def scenario() -> None:
        classifier = HeldClassifier()
        app = build(FACE, classifier=classifier, api_keys_file=key_file, max_per_client=1, max_in_flight=9)
        async with running(app):
            classifier.hold()
            inside = asyncio.create_task(call(app, "/predict", PICTURE, headers={"X-API-Key": FIRST}))
            await classifier.busy()
            refused = await call(app, "/predict", headers={"X-API-Key": FIRST})
            assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "overloaded", "1")
            other = asyncio.create_task(call(app, "/predict", PICTURE, headers={"X-API-Key": SECOND}))
            classifier.free.set()
            assert [answer.status for answer in await asyncio.gather(inside, other)] == [200, 200]
            assert (await call(app, "/predict", PICTURE, headers={"X-API-Key": FIRST})).status == 200
            metrics = (await call(app, "/metrics", b"", method="GET")).body.decode()
            assert 'fer_rejected_total{reason="client"} 1.0' in metrics
            assert "fer_requests_in_flight 0.0" in metrics

    asyncio.run(scenario())
