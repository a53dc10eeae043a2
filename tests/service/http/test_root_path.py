"""A service below a path, behind proxies that remove it and behind proxies that do not."""

import re
from typing import Any

import pytest
from fer_service.contract.errors import SettingsError
from fer_service.contract.settings import load_settings
from starlette.testclient import TestClient, WebSocketDenialResponse

from tests.service.conftest import plain
from tests.service.http.conftest import FACE, Serve


@pytest.fixture
def below(serve: Serve) -> TestClient:
    return serve(FACE, root_path="/apps/fer", allowed_hosts="testserver")


@pytest.mark.parametrize("prefix", ["", "/apps/fer"])
def test_every_route_is_answered_with_and_without_the_path(below: TestClient, prefix: str) -> None:
    for path in ("/", "/docs", "/openapi.json", "/model", "/livez", "/readyz", "/metrics", "/web/app.js"):
        assert below.get(prefix + path).status_code == 200, path
    assert below.post(f"{prefix}/predict", content=plain("lime")).status_code == 200
    assert below.get(f"{prefix}/livez", headers={"Host": "10.0.0.7"}).status_code == 200
    assert below.get(f"{prefix}/nowhere").json()["code"] == "not_found"
    with below.websocket_connect(f"{prefix}/stream", headers={"Origin": "http://testserver"}) as stream:
        stream.send_bytes(plain("lime"))
        assert stream.receive_json()["faces"]
    with pytest.raises(WebSocketDenialResponse), below.websocket_connect(f"{prefix}/nowhere"):
        pass
    assert 'fer_requests_total{code="200",route="/predict"} 1.0' in below.get("/metrics").text


@pytest.mark.parametrize("page", ["/apps/fer/", "/apps/fer/docs"])
def test_the_addresses_of_a_page_are_relative_to_it(below: TestClient, page: str) -> None:
    addresses = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", below.get(page).text)
    assert addresses
    for address in addresses:
        assert not address.startswith("/")
        assert below.get(f"/apps/fer/{address.removeprefix('./')}").status_code == 200


def test_the_path_alone_leads_to_the_page(below: TestClient) -> None:
    answer = below.get("/apps/fer", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "/apps/fer/")
    answer = below.get("/apps/fer?lang=de&x=%C3%BC", follow_redirects=False)
    assert answer.headers["location"] == "/apps/fer/?lang=de&x=%C3%BC"


def test_the_schema_names_the_path(serve: Serve, below: TestClient) -> None:
    schema: Any = below.get("/apps/fer/openapi.json").json()
    assert schema["servers"] == [{"url": "/apps/fer"}]
    assert "/predict" in schema["paths"]
    assert "servers" not in serve(FACE).get("/openapi.json").json()


def test_another_path_is_no_prefix(below: TestClient) -> None:
    for path in ("/apps/ferry/livez", "/apps/livez", "/apps/fer/apps/fer/livez"):
        assert below.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["fer", "/fer?x", "//fer", "/a b", "https://a/fer", "/..", "/predict", "/web/fer"]
)
def test_a_path_that_cannot_work_stops_the_start(path: str) -> None:
    with pytest.raises(SettingsError, match="FER_ROOT_PATH"):
        load_settings(root_path=path)


@pytest.mark.parametrize(("path", "root"), [("/", ""), ("", ""), ("/fer/", "/fer"), ("/a.b/c-d", "/a.b/c-d")])
def test_a_final_slash_is_left_out(path: str, root: str) -> None:
    assert load_settings(root_path=path).root_path == root


def test_no_path_of_the_service_can_be_the_prefix(serve: Serve) -> None:
    listed: Any = serve(FACE).get("/openapi.json").json()["paths"]
    for path in (*listed, "/stream", "/docs", "/openapi.json", "/web/app.js"):
        with pytest.raises(SettingsError, match="must not begin with a path of the service"):
            load_settings(root_path="/" + path.split("/")[1])
