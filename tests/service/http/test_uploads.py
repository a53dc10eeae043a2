import asyncio
import base64
from collections.abc import Sequence

import httpx
import pytest
from fer_service.contract.errors import (
    ImageTooLarge,
    InvalidParameter,
    InvalidRequest,
    MissingImage,
    Overloaded,
    RequestError,
    UnsupportedCoding,
    UnsupportedMediaType,
)
from fer_service.http.multipart import Upload
from fer_service.http.uploads import declared_length, read_image, read_images
from starlette.requests import Request
from starlette.types import Message

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
LIMIT = 10_000
OVERHEAD = 64 * 2**10
Part = tuple[str, tuple[str | None, bytes]]


@pytest.mark.parametrize(("declared", "length"), [("12", 12), ("0" * 30 + "12", 12), ("9" * 5000, 10**18 - 1)])
def test_a_declared_length_is_a_number_of_any_spelling(declared: str, length: int) -> None:
    headers = [(b"content-length", declared.encode())]
    assert declared_length(Request({"type": "http", "headers": headers}), 5) == length


@pytest.mark.parametrize("declared", ["", "-5", "many", "1e9", "²"])
def test_a_length_that_is_not_a_number_counts_as_undeclared(declared: str) -> None:
    headers = [(b"content-length", declared.encode("latin-1"))]
    assert declared_length(Request({"type": "http", "headers": headers}), 5) == 5


def test_a_boundary_longer_than_the_parser_accepts_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the multipart boundary has 257 characters, the maximum is 256"):
        one(request(Body(b"x"), f"multipart/form-data; boundary={'b' * 257}"))


class Body:
    """A request's body in chunks; counts how many were read."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.read = 0

    async def __call__(self) -> Message:
        self.read += 1
        more = self.read < len(self.chunks)
        return {"type": "http.request", "body": self.chunks[self.read - 1], "more_body": more}


def request(body: Body, content_type: str | None, length: int | None = None) -> Request:
    headers = [] if content_type is None else [(b"content-type", content_type.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return Request({"type": "http", "method": "POST", "headers": headers}, body)


def form(*parts: Part, chunk: int = 700) -> Request:
    """A multipart request as httpx writes it, in small chunks."""
    made = httpx.Request("POST", "http://test", files=list(parts))
    content = made.read()
    chunks = [content[start : start + chunk] for start in range(0, len(content), chunk)]
    return request(Body(*chunks), made.headers["content-type"], len(content))


def one(made: Request, limit: int = LIMIT) -> bytes:
    return asyncio.run(read_image(made, limit)).data


def many(made: Request, limit: int = LIMIT, count: int = 4) -> list[Upload]:
    return asyncio.run(read_images(made, limit, count))


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "image/jpeg",
        "image/png; charset=binary",
        "IMAGE/WEBP",
        "image/anything",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
    ],
)
def test_a_raw_body_is_the_image(content_type: str | None) -> None:
    assert one(request(Body(PICTURE[:100], PICTURE[100:]), content_type)) == PICTURE


def test_the_field_called_file_is_the_image() -> None:
    assert (
        one(form(("comment", (None, b"hello")), ("other", ("o.png", b"no")), ("file", ("a", PICTURE)))) == PICTURE
    )


@pytest.mark.parametrize(
    "name",
    [
        "image",
        "images",
        "files",
        "img",
        "photo",
        "picture",
        "upload",
        "Image",
        "FILE",
        "file[]",
        "images[]",
        "file[0]",
    ],
)
def test_a_file_in_a_field_with_another_usual_name_is_the_image(name: str) -> None:
    assert one(form((name, ("a.png", PICTURE)))) == PICTURE
    assert [upload.data for upload in many(form(*[(name, ("a.png", PICTURE))] * 3))] == [PICTURE] * 3


def test_a_text_with_a_usual_name_is_no_image() -> None:
    assert one(form(("image", (None, b"a title")), ("file", ("a", PICTURE)))) == PICTURE


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (form(("avatar", ("a.png", PICTURE)), ("ä", ("b", b""))), r"which has 'avatar', 'ä'; send .* 'file'"),
        (form(("image", (None, b"aGVsbG8="))), r"which has 'image' \(text, not a file\)"),
        (form(*[(f"n{i}", ("a", b"")) for i in range(6)]), r"which has 'n0', 'n1', 'n2', 'n3', 'n4', …; send"),
        (form(("n" * 1000, ("a", b""))), r"which has 'n{40}'; send"),
        (request(Body(b"--x--\r\n"), "multipart/form-data; boundary=x"), "which has no fields"),
    ],
)
def test_fields_that_came_instead_are_named(made: Request, text: str) -> None:
    with pytest.raises(MissingImage, match=f"missing field 'file' in the multipart body, {text}"):
        one(made)


def raw_form(*parts: tuple[str, bytes]) -> Request:
    """A form of parts with any head."""
    body = b"".join(b"--x\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return request(Body(body + b"--x--\r\n"), "multipart/form-data; boundary=x")


def test_a_part_with_the_type_of_an_image_needs_no_file_name() -> None:
    head = 'Content-Disposition: form-data; name="image"\r\nContent-Type: image/jpeg'
    assert one(raw_form((head, PICTURE))) == PICTURE


def test_a_file_input_that_was_left_empty_is_skipped() -> None:
    empty = (
        'Content-Disposition: form-data; name="file"; filename=""\r\nContent-Type: application/octet-stream',
        b"",
    )
    full = ('Content-Disposition: form-data; name="file"; filename="a.png"', PICTURE)
    for parts in ((empty, full), (full, empty)):
        assert one(raw_form(*parts)) == PICTURE
    with pytest.raises(MissingImage, match="the image is empty"):
        one(raw_form(empty))


def test_a_field_without_a_file_name_is_the_image_too() -> None:
    assert one(form(("file", (None, PICTURE)))) == PICTURE


@pytest.mark.parametrize("chunk", [1, 37, 100_000])
def test_how_the_body_is_cut_does_not_matter(chunk: int) -> None:
    assert one(form(("file", ("a.png", PICTURE)), chunk=chunk)) == PICTURE


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/json", "application/jsonp", "video/mp4", "multipart/mixed", "image"]
)
def test_other_content_types_are_not_read(content_type: str) -> None:
    body = Body(PICTURE)
    with pytest.raises(UnsupportedMediaType, match=content_type):
        one(request(body, content_type))
    assert body.read == 0


def test_a_content_type_that_takes_long_to_parse_is_refused() -> None:
    with pytest.raises(UnsupportedMediaType, match=r"has 60,029 characters, the maximum is 1,000"):
        one(request(Body(b"--b--"), "multipart/form-data; boundary=" + ";" * 59_999))


@pytest.mark.parametrize(
    "made",
    [
        request(Body(b""), "image/jpeg"),
        request(Body(b""), None),
        form(("file", ("a.png", b""))),
        form(("file", (None, b""))),
        form(("avatar", ("a.png", PICTURE))),
        form(("file ", ("a.png", PICTURE))),
        request(Body(b""), "multipart/form-data; boundary=x"),
        request(Body(PICTURE), "multipart/form-data"),
        request(Body(PICTURE), "multipart/form-data; boundary=x"),
        request(
            Body(b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'),
            "multipart/form-data; boundary=x",
        ),
        request(
            Body(b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--\r\n"),
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_without_an_image_there_is_a_sentence(made: Request) -> None:
    with pytest.raises((InvalidRequest, MissingImage), match=r"\w+ \w+ \w+"):
        one(made)


@pytest.mark.parametrize("end", range(1, 80, 7))
def test_a_form_that_was_cut_off_is_refused_with_all_its_images(end: int) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PICTURE + b"\r\n"
    cut = request(Body(part + part[: -min(end, len(part) - 4)]), "multipart/form-data; boundary=x")
    with pytest.raises(InvalidRequest, match="ends before its closing boundary; send all of it"):
        many(cut)


def test_several_images_belong_elsewhere() -> None:
    with pytest.raises(InvalidParameter, match="2 images; send several images to /predict/batch"):
        one(form(("file", ("a", PICTURE)), ("image", ("b", PICTURE))))


@pytest.mark.parametrize("declared", [True, False])
def test_a_raw_body_of_exactly_the_limit_is_read(declared: bool) -> None:
    body = bytes(LIMIT)
    assert one(request(Body(body), "image/png", LIMIT if declared else None)) == body


def test_a_declared_length_beyond_the_limit_is_refused_before_it_is_read() -> None:
    body = Body(bytes(LIMIT + 1))
    with pytest.raises(ImageTooLarge, match="10,001 bytes, the maximum is 10,000"):
        one(request(body, "image/png", LIMIT + 1))
    assert body.read == 0


def test_an_undeclared_length_is_read_no_further_than_the_limit() -> None:
    body = Body(*[bytes(4000)] * 10)
    with pytest.raises(ImageTooLarge):
        one(request(body, "image/png"))
    assert body.read == 3


def test_a_lying_length_does_not_help() -> None:
    with pytest.raises(ImageTooLarge):
        one(request(Body(*[bytes(4000)] * 10), "image/png", 10))


@pytest.mark.parametrize("name", ["a.png", None])
@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 2 * OVERHEAD])
def test_a_field_beyond_the_limit_is_too_large(name: str | None, size: int) -> None:
    with pytest.raises(ImageTooLarge):
        one(form(("file", (name, bytes(size))), chunk=50_000))


def test_several_images_come_in_order_with_their_names() -> None:
    parts: Sequence[Part] = [
        ("file", ("grüße.png", b"one")),
        ("comment", (None, b"hello")),
        ("file", (None, b"two")),
        ("file", ("", b"three")),
        ("file", ("c.png", b"")),
    ]
    assert many(form(*parts)) == [
        Upload("grüße.png", b"one"),
        Upload("1", b"two"),
        Upload("2", b"three"),
        Upload("c.png", b""),
    ]


def test_one_large_image_among_small_ones_is_for_the_caller_to_judge() -> None:
    uploads = many(form(("file", ("a", bytes(2 * LIMIT))), ("file", ("b", b"small")), chunk=5000))
    assert [len(upload.data) for upload in uploads] == [2 * LIMIT, 5]


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (form(*[("file", ("a", b"x"))] * 5), InvalidParameter),
        (form(("avatar", ("a", b"x"))), MissingImage),
        (request(Body(PICTURE), "image/png"), UnsupportedMediaType),
        (request(Body(PICTURE), None), UnsupportedMediaType),
        (request(Body(b"x"), "multipart/form-data; boundary=x", 4 * (LIMIT + OVERHEAD) + 1), ImageTooLarge),
        (form(*[("comment", (None, b"x"))] * 200), RequestError),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused(made: Request, error: type[RequestError]) -> None:
    with pytest.raises(error):
        many(made)


@pytest.mark.parametrize(
    ("header", "value", "coding"),
    [
        ("content-encoding", "gzip", "gzip"),
        ("content-encoding", "BR", "br"),
        ("content-encoding", "identity, deflate", "deflate"),
        ("content-encoding", "gzip, gzip", "gzip"),
        ("content-encoding", "zstd", "zstd"),
        ("transfer-encoding", "gzip, chunked", "gzip"),
    ],
)
@pytest.mark.parametrize("content_type", ["image/jpeg", "multipart/form-data; boundary=x"])
def test_a_compressed_body_is_refused_before_it_is_read(
    header: str, value: str, coding: str, content_type: str
) -> None:
    body = Body(PICTURE)
    made = request(body, content_type)
    made.scope["headers"].append((header.encode(), value.encode()))
    with pytest.raises(UnsupportedCoding, match="must not be compressed") as refusal:
        one(made)
    assert coding in str(refusal.value)
    assert body.read == 0


@pytest.mark.parametrize("coding", ["identity", "", "Identity, identity"])
def test_identity_is_no_coding(coding: str) -> None:
    made = request(Body(PICTURE), "image/jpeg")
    made.scope["headers"] += [(b"content-encoding", coding.encode()), (b"transfer-encoding", b"chunked")]
    assert one(made) == PICTURE


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("name=\"image\"; filename*=utf-8''%C3%A9.jpg", "é.jpg"),
        ("name=\"file\"; filename*=UTF-8'en'a%20b.png", "a b.png"),
        ('name="file"; filename="=?utf-8?B?w6kuanBn?="; filename*=utf-8\'\'%C3%A9.jpg', "é.jpg"),
        ('name="file"; filename="a*=utf-8.jpg"', "a*=utf-8.jpg"),
    ],
)
def test_a_name_may_be_in_the_extended_form(disposition: str, name: str) -> None:
    body = f"--x\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + PICTURE + b"\r\n--x--\r\n"
    made = request(Body(body), "multipart/form-data; boundary=x")
    assert asyncio.run(read_image(made, LIMIT)).name == name


def part(*headers: str, name: str = "file", data: bytes = PICTURE) -> bytes:
    lines = [f'Content-Disposition: form-data; name="{name}"; filename="a"', *headers]
    return b"--x\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + data + b"\r\n"


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("Content-Encoding: gzip", "gzip"),
        ("content-encoding:br", "br"),
        ("Content-Transfer-Encoding: base64", "base64"),
        ("Content-Transfer-Encoding: Quoted-Printable", "quoted-printable"),
    ],
)
def test_an_encoded_part_is_refused_and_the_coding_named(header: str, coding: str) -> None:
    made = request(Body(part(header) + b"--x--\r\n"), "multipart/form-data; boundary=x")
    with pytest.raises(UnsupportedCoding, match=f"{coding} is not supported"):
        one(made)


@pytest.mark.parametrize(
    "header", ["Content-Transfer-Encoding: binary", "Content-Transfer-Encoding: 8BIT", "X-A: b"]
)
def test_a_part_may_say_that_it_is_not_encoded(header: str) -> None:
    made = request(Body(part(header) + b"--x--\r\n"), "multipart/form-data; boundary=x")
    assert one(made) == PICTURE


def test_json_is_booked_and_read_no_further_than_its_image_may_be_long() -> None:
    text = b'{"image": "%s"}' % base64.b64encode(PICTURE)
    booked: list[int] = []
    made = request(Body(text[:500], text[500:]), "application/json; charset=utf-8")
    assert asyncio.run(read_image(made, LIMIT, booked.append)).data == PICTURE
    assert [size for size in booked if size] == [500, len(text) - 500]
    body = Body(b'{"image": "', *[b"A" * 10_000] * 100)
    with pytest.raises(ImageTooLarge):
        one(request(body, "application/json"))
    assert body.read <= (LIMIT * 3 // 2 + OVERHEAD) // 10_000 + 3


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_the_image_in_json_has_the_limit_of_other_images(size: int) -> None:
    made = request(Body(b'{"image": "%s"}' % base64.b64encode(bytes(size))), "application/json")
    if size <= LIMIT:
        assert one(made) == bytes(size)
    else:
        with pytest.raises(ImageTooLarge, match="10,001 bytes, the maximum is 10,000"):
            one(made)


def test_every_chunk_is_booked_before_it_is_kept() -> None:
    booked: list[int] = []
    asyncio.run(read_image(request(Body(b"abc", b"", b"de"), "image/png"), LIMIT, booked.append))
    assert [size for size in booked if size] == [3, 2]

    def refuse(size: int) -> None:
        raise Overloaded("full")

    with pytest.raises(Overloaded):
        asyncio.run(read_images(form(("file", ("a", PICTURE))), LIMIT, 4, refuse))


@pytest.mark.parametrize(("name", "text"), [("file", "more than 4 images"), ("other", "more than 36 fields")])
def test_a_form_of_countless_parts_is_read_no_further_than_allowed(name: str, text: str) -> None:
    body = Body(*[part(name=name, data=b"")] * 1000)
    with pytest.raises(InvalidParameter, match=text):
        many(request(body, "multipart/form-data; boundary=x"), LIMIT)
    assert body.read < 50
