import base64
import json
import tracemalloc
from typing import Any

import pytest
from fer_service.contract.errors import InvalidParameter, MissingImage, UndecodableImage
from fer_service.http.json_body import decode_image, decode_images
from fer_service.http.multipart import Upload
from starlette.testclient import TestClient

from tests.service.conftest import plain
from tests.service.http.conftest import FACE, Serve

# Every byte, so that every character of the alphabet occurs; longer than what is decoded at a time.
DATA = bytes(range(256)) * 700 + b"ab"
STANDARD = base64.b64encode(DATA).decode()
RED, GREEN = plain("red", 80, 60), plain("lime", 80, 60)


def escaped(text: str) -> bytes:
    """JSON as some writers make it: PHP escapes the slash, .NET the plus sign, Gson the equals sign."""
    escapes = (("\n", "\\r\\n"), ("/", "\\/"), ("+", "\\u002B"), ("=", "\\u003d"))
    for character, escape in escapes:
        text = text.replace(character, escape)
    return b'{"image":"%s"}' % text.encode()


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"image": STANDARD}).encode(),
        json.dumps({"image": STANDARD.rstrip("=")}, indent=2).encode(),
        json.dumps({"image": base64.urlsafe_b64encode(DATA).decode()}).encode(),
        json.dumps({"image": f" data:image/jpeg;base64,{STANDARD}"}).encode(),
        json.dumps({"image": f"DATA:image/svg+xml;charset=utf-8;Base64,{STANDARD}"}).encode(),
        json.dumps({"image": base64.encodebytes(DATA).decode()}).encode(),
        b'{"image": "%s"}' % base64.encodebytes(DATA),  # line breaks that JSON does not allow
        b'\xef\xbb\xbf\r\n{ "image"\t:"%s" } \n' % STANDARD.encode(),
        escaped(STANDARD),
        escaped(base64.encodebytes(DATA).decode()),
        escaped(f"data:image/jpeg;base64,{STANDARD}"),
    ],
)
def test_base64_of_every_spelling_is_decoded(body: bytes) -> None:
    assert decode_image(body).data == DATA


@pytest.mark.parametrize("length", range(65_530, 65_545))
def test_an_escape_at_the_end_of_a_block_is_not_cut(length: int) -> None:
    data = base64.b64decode("A" * (length - length % 4) + "////")
    assert decode_image(b'{"image":"%s"}' % base64.b64encode(data).replace(b"/", b"\\u002f")).data == data


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "invalid JSON at byte 1: expected a name in quotes"),
        (b"\xff\xd8\xff\xe0", "invalid JSON at byte 0: expected {"),
        (b"{'image': 'YQ'}", "invalid JSON at byte 1"),
        (b'{"image"}', "invalid JSON at byte 8: expected :"),
        (b'{"image": YQ}', "invalid JSON at byte 10: expected image in quotes"),
        (b'{"image": "YQ', "invalid JSON at byte 10: the text has no end"),
        (b'{"image": "YQ"', "invalid JSON at byte 14: expected }"),
        (b'{"image": "YQ",}', "invalid JSON at byte 15: expected a name in quotes"),
        (b'{"image": "YQ"} {}', "invalid JSON at byte 16: there is more data after the object"),
        (b'{"image": "Y\\"Q"}', "invalid JSON"),
        (b"{}", "missing name 'image'"),
        (b'{"file": "YQ"}', "unknown name 'file' in the JSON body"),
        (b'{"imageUrl": "https://a/b.jpg"}', "unknown name 'imageUrl' .* URLs are not fetched"),
        (b'{"image": "YQ", "detect": false}', "unknown name 'detect' .* options in the query"),
        (b'{"image": "YQ", "image": "YQ"}', "'image' twice"),
        (b'{"image": null}', "image: must be a text in base64, not null"),
        (b'{"image": ["YQ"]}', "image: must be a text in base64, not a list; .* /predict/batch"),
        (b'{"image": {"data": "YQ"}}', "not an object"),
        (b'{"image": -1}', "not a number"),
        (b'["YQ"]', "the body is a list, not an object; .* /predict/batch"),
        (b'"YQ"', "the body is a text, not an object"),
        (b"true", "the body is true, not an object"),
        (b"[" * 1_000_000, "the body is a list"),
    ],
)
def test_json_of_another_form_is_refused_with_the_right_one(body: bytes, text: str) -> None:
    with pytest.raises(InvalidParameter, match=text) as refusal:
        decode_image(body)
    assert '{"image": "<base64>"}' in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b*d", "it has the character '\\*'"),
        ("YWJj\\u0000", "it has the character"),
        ("ab==cd", "it has the character '='"),
        ("A" * 65_534 + "==" + "AAAA", "more characters follow its end"),
        ("abcde", "one character is left after the last group of four, so the text is cut off"),
        ("data:image/png,abcd", "a data URL must be like data:image/jpeg;base64,<base64>"),
        ("data:image/png;base64", "a data URL must be like"),
        *((address, "this is an address. URLs are not fetched: send the bytes") for address in (
            "http://example.org/a.jpg", "HTTPS:\\/\\/example.org", " https://a", "ftp://a/b", "s3://bucket/key",
            "file:///a.jpg", "blob:https://a/b",
        )),
    ],
)  # fmt: skip
def test_what_is_not_base64_is_named(text: str, message: str) -> None:
    with pytest.raises(UndecodableImage, match=f"^image: .*{message}"):
        decode_image(b'{"image": "%s"}' % text.encode())


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_holds_no_image(body: bytes) -> None:
    with pytest.raises(MissingImage, match="the body is empty"):
        decode_image(body)


def test_several_images_come_in_order_and_the_bad_one_has_an_error() -> None:
    first, second, third = decode_images(b'{"images": ["YQ==", "*", ""]}', 3, "too many")
    assert (first, third) == (Upload("0", b"a"), Upload("2", b""))
    assert isinstance(second.error, UndecodableImage)
    assert "images.1" in str(second.error)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"images": ["YQ", "YQ", "YQ"]}', "too many"),
        (b'{"images": []}', "images: the list is empty"),
        (b'{"images": "YQ"}', "images: must be a list of texts in base64, not a text"),
        (b'{"images": ["YQ", 1]}', "images.1: must be a text in base64, not a number"),
        (b'{"images": ["YQ",]}', "invalid JSON at byte 17"),
        (b'{"images": ["YQ"', "expected ]"),
        (b'{"image": "YQ"}', "unknown name 'image'"),
        (b'["YQ"]', "the body is a list"),
    ],
)
def test_a_list_of_another_form_is_refused(body: bytes, text: str) -> None:
    with pytest.raises(InvalidParameter, match=text):
        decode_images(body, 2, "too many")


def test_decoding_takes_little_more_memory_than_the_image() -> None:
    body = b'{"image": "%s"}' % (b"\\/" * 1_000_000)
    tracemalloc.start()
    size = len(decode_image(body).data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * size + 2**20


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_answered_like_the_bytes(client: TestClient, content_type: str) -> None:
    body = json.dumps({"image": base64.b64encode(GREEN).decode()})
    answer = client.post("/predict?detect=false", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()) == (
        200,
        client.post("/predict?detect=false", content=GREEN).json(),
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"image": ""}, (400, "missing_image")),
        ({}, (422, "invalid_parameter")),
        ({"image": "*"}, (422, "undecodable_image")),
        ({"image": base64.b64encode(b"no image").decode()}, (422, "undecodable_image")),
        ({"image": base64.b64encode(bytes(5_001)).decode()}, (413, "image_too_large")),
        ({"image": "A" * 80_000}, (413, "image_too_large")),
    ],
)
def test_json_that_cannot_be_answered_has_a_status_and_a_code(
    serve: Serve, body: Any, expected: tuple[int, str]
) -> None:
    answer = serve(FACE, max_image_bytes=5_000).post("/predict", json=body)
    assert (answer.status_code, answer.json()["code"]) == expected


def test_a_batch_in_json_has_the_number_of_each_image(client: TestClient) -> None:
    images = [base64.b64encode(RED).decode(), "https://example.org/a.jpg", base64.b64encode(GREEN).decode()]
    first, second, third = client.post("/predict/batch", json={"images": images}).json()["results"]
    assert [result["name"] for result in (first, second, third)] == ["0", "1", "2"]
    assert (first["faces"][0]["emotion"], third["faces"][0]["emotion"]) == ("angry", "happy")
    assert second["error"]["code"] == "undecodable_image"
    assert "not fetched" in second["error"]["detail"]
