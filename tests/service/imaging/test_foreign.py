import base64
import gzip
import io
import zipfile

import numpy as np
import pytest
from fer_service.contract.errors import UndecodableImage
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image
from fer_service.imaging.foreign import foreign_content
from PIL import Image


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "text")
    return buffer.getvalue()


def brand(major: bytes, *others: bytes) -> bytes:
    content = b"ftyp" + major + bytes(4) + b"".join(others)
    return (len(content) + 4).to_bytes(4, "big") + content + bytes(100)


CONTENTS = {
    "video (MP4 or MOV)": brand(b"isom", b"iso2", b"mp41"),
    "raw file": brand(b"crx "),
    "HTML web page": b"<!DOCTYPE html><html><body>not found</body></html>",
    "an HTML web": b"\xef\xbb\xbf\r\n  <HTML lang=en>",
    "PDF document": b"%PDF-1.4\n",
    "SVG drawing": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "XML document": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "JSON": b'{"error": "not found"}',
    "gzip": gzip.compress(b"image"),
    "ZIP archive": zipped(),
    "JPEG XL": b"\xff\x0a" + bytes(20),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20),
    "Photoshop": b"8BPS\0\1",
    "WebM": b"\x1aE\xdf\xa3" + bytes(20),
    "AVI": b"RIFF\0\0\0\0AVI LIST",
    "base64": b"/9j/4AAQSkZJRgABAQAAAQABAAD",
    "AVIF or HEIC image": base64.b64encode(brand(b"heic")),
    "text, perhaps base64": base64.urlsafe_b64encode(bytes(range(200))),
    "a data URL": b"data:image/png;base64,iVBOR",
    "data URL:": b'"DATA:image/png;base64,iVBOR"',
    "PNG image in base64": b' "iVBORw0KGgoAAAANSUhEUgAA"',
    "hexadecimal": b"FFD8FFE000104A46",
    "in hexadecimal:": rb"b'\x89PNG\r\n\x1a\n'",
    "name of a file": b"@photos/me 1.JPEG\n",
    "form field": b"image=%2F9j%2F4AAQSk",
    "a form:": b'--x1\r\nContent-Disposition: form-data; name="file"\r\n\r\n\xff\xd8\xff',
    "JavaScript object": b"[object File]",
    "read as text": b"\xff\xd8\xff\xe0".decode("latin-1").encode(),
    "was read as text": b"\x89PNG\r\n".decode("utf-8", "replace").encode(),
    "changed line breaks": b"\x89PNG\x1a" + bytes(20),
    "HTML or XML document": b"<p>404</p>",
    "RTF": b"{\\rtf1",
    "old Office document": bytes.fromhex("d0cf11e0a1b11ae1"),
    "tar archive": bytes(257) + b"ustar",
    "NumPy array": b"\x93NUMPY\x01\0",
    "Targa": b"\0\0\x02" + bytes(9) + b"d\0P\0\x18\0",
    "video (MP4 or MOV):": b"\0\0\x04\0moov",
    "video (MPEG)": (b"G" + bytes(187)) * 3,
    "sound file": b"\xff\xfb\x90\x64",
    "an address": b"https://example.org/face.jpg",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
    "Netpbm": b"P6 2 2 255 ",
    "icon": b"\0\0\x01\0\x01\0",
    "DICOM": bytes(128) + b"DICM",
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_came_is_named_with_the_way_out(name: str) -> None:
    with pytest.raises(UndecodableImage, match=r"^this is .*[:.] .*\. Supported formats: JPEG, PNG") as caught:
        open_image(CONTENTS[name], 1000)
    assert name in str(caught.value)


def decode_whole(data: bytes) -> None:
    image = open_image(data, 20_000)
    decode(image.data, image.header)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "TIFF", "AVIF"])
@pytest.mark.parametrize("removed", [b"\r\n", b"\r\n\0"])
def test_a_file_that_lost_its_line_breaks_is_named(kind: str, removed: bytes) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    damaged = buffer.getvalue().translate(None, removed)[:-2000]
    with pytest.raises(UndecodableImage, match=r"no line breaks, so perhaps .* \(curl --data-binary, not -d\)"):
        decode_whole(damaged)
    with pytest.raises(UndecodableImage) as whole:
        open_image(buffer.getvalue()[:100], 20_000)
    assert "line breaks" not in str(whole.value)


def test_floats_are_named() -> None:
    buffer = io.BytesIO()
    Image.new("F", (8, 8)).save(buffer, "TIFF")
    with pytest.raises(UndecodableImage, match="TIFF with 32-bit floats is not supported; send 8 bits"):
        open_image(buffer.getvalue(), 1000)


@pytest.mark.parametrize("data", [b"", b"a", b"some text", bytes(2000), b"\0\0\0\x08ft"])
def test_other_bytes_have_no_name(data: bytes) -> None:
    assert foreign_content(data) is None
