"""Names for what people send instead of an image that the service reads."""

import re
from typing import Final

ADDRESS: Final = re.compile(rb"(https?|ftps?|file|s3|gs|blob):", re.IGNORECASE)
NOT_FETCHED: Final = "URLs are not fetched: send the bytes of the image, or its base64 in JSON"
_TO_JPEG: Final = "convert it to JPEG"
# Position, bytes, name, way out.
_SIGNATURES: Final = (
    (0, b"%PDF-", "a PDF document", "send an image of the page"),
    (0, b"\x1f\x8b", "gzip data", "send the image without compression"),
    (0, b"PK\x03\x04", "a ZIP archive or an Office document", "send the images in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "send the images in it"),
    (0, b"Rar!\x1a\x07", "a RAR archive", "send the images in it"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard data", "send the image without compression"),
    (0, b"BZh", "bzip2 data", "send the image without compression"),
    (0, b"\xff\x0a", "a JPEG XL image", _TO_JPEG),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image", _TO_JPEG),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image", _TO_JPEG),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", _TO_JPEG),
    (0, b"\xff\xd8\xff\xf7", "a JPEG-LS image", _TO_JPEG),
    (0, b"8BPS", "a Photoshop document", "export it as JPEG"),
    (0, b"gimp xcf", "a GIMP document", "export it as JPEG"),
    (0, b"\0\0\x01\0", "an icon", "convert it to PNG"),
    (0, b"\0\0\x02\0", "a cursor", "convert it to PNG"),
    (0, b"icns", "an icon", "convert it to PNG"),
    (0, b"qoif", "a QOI image", "convert it to PNG"),
    (0, b"DDS ", "a DDS texture", "convert it to PNG"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image", _TO_JPEG),
    (0, b"#?RADIANCE", "a Radiance image", _TO_JPEG),
    (0, b"\x8aMNG", "an MNG animation", "send one frame as PNG"),
    (0, b"\x8bJNG", "a JNG image", _TO_JPEG),
    (0, b"BPG\xfb", "a BPG image", _TO_JPEG),
    (0, b"%!PS", "a PostScript document", "send an image of the page"),
    (0, b"FUJIFILMCCD-RAW", "a camera raw file", "export it as JPEG"),
    (0, b"IIU\0", "a camera raw file", "export it as JPEG"),
    (0, b"IIRO", "a camera raw file", "export it as JPEG"),
    (0, b"IIRS", "a camera raw file", "export it as JPEG"),
    (0, b"MMOR", "a camera raw file", "export it as JPEG"),
    (0, b"FOVb", "a camera raw file", "export it as JPEG"),
    (0, b"\0MRM", "a camera raw file", "export it as JPEG"),
    (128, b"DICM", "a DICOM file", "export it as PNG"),
    (8, b"AVI ", "a video (AVI)", "send single frames"),
    (8, b"WAVE", "a sound file", "send an image"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)", "send single frames"),
    (0, b"\0\0\x01\xba", "a video (MPEG)", "send single frames"),
    (0, b"\0\0\x01\xb3", "a video (MPEG)", "send single frames"),
    (0, b"FLV\x01", "a video (Flash)", "send single frames"),
    (0, b"OggS", "an Ogg file", "send an image"),
    (0, b"ID3", "a sound file", "send an image"),
    (0, b"/9j/", "a JPEG image in base64", "send the decoded bytes"),
    (0, b"iVBORw0KGgo", "a PNG image in base64", "send the decoded bytes"),
    (0, b"R0lGOD", "a GIF image in base64", "send the decoded bytes"),
    (0, b"UklGR", "a WebP image in base64", "send the decoded bytes"),
    (0, b"data:", "a data URI", "send the decoded bytes"),
    (0, b"version https://git-lfs", "a Git LFS pointer", "send the file that it stands for (git lfs pull)"),
    *((0, b"P%d" % number, "a Netpbm image", "convert it to PNG") for number in range(1, 8)),
)
_BRANDS: Final = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIC"),
    **dict.fromkeys((b"mif1", b"msf1", b"mif2"), "HEIF"),
    b"crx ": "raw",
    **dict.fromkeys((b"jp2 ", b"jpx ", b"jpm "), "JPEG 2000"),
    **dict.fromkeys((b"M4A ", b"M4B "), "sound"),
}
_BRAND_NAMES: Final = {
    "HEIC": ("a HEIC image", f"{_TO_JPEG}; iPhones send JPEG if Settings > Camera > Formats is Most Compatible"),
    "HEIF": ("a HEIF image", _TO_JPEG),
    "raw": ("a camera raw file", "export it as JPEG"),
    "JPEG 2000": ("a JPEG 2000 image", _TO_JPEG),
    "sound": ("a sound file", "send an image"),
    "": ("a video (MP4 or MOV)", "send single frames, or use `fer-service predict` for video files"),
}
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def foreign_content(data: bytes) -> str | None:
    """Return the name of an unsupported file, and the way out; None if unknown.

    Args:
        data: The whole file, or its first kilobyte.
    """
    if data[4:8] == b"ftyp":
        return ": ".join(_BRAND_NAMES[_family(data)])
    for at, signature, name, way_out in _SIGNATURES:
        if data.startswith(signature, at):
            return f"{name}: {way_out}"
    return _text(data[:1024])


def _family(data: bytes) -> str:
    size = min(int.from_bytes(data[:4], "big"), 256)
    found = [_BRANDS[data[at : at + 4]] for at in (8, *range(16, size, 4)) if data[at : at + 4] in _BRANDS]
    return "HEIC" if "HEIC" in found else found[0] if found else ""


def _text(begin: bytes) -> str | None:
    for mark in _BYTE_ORDER_MARKS:
        begin = begin.removeprefix(mark)
    text = begin.replace(b"\0", b"").lstrip().lower()
    if ADDRESS.match(text):
        return f"an address. {NOT_FETCHED}"
    if b"<svg" in text:
        return "an SVG drawing: convert it to PNG"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")) or b"<html" in text:
        return "an HTML web page: send the image itself, not the page that shows it"
    if text.startswith(b"<?xml"):
        return "an XML document: send an image"
    if text.startswith((b"{", b"[")):
        return "JSON: send the bytes of the image as the body, or as the multipart field file"
    return None
