"""Names for what people send instead of an image that the service reads."""

import re
from typing import Final, NamedTuple

ADDRESS: Final = re.compile(rb"(https?|ftps?|file|s3|gs|blob):", re.IGNORECASE)
_SEND_BYTES: Final = "send the bytes of the image, or its base64 in JSON"
NOT_FETCHED: Final = f"URLs are not fetched: {_SEND_BYTES}"
_VIDEO: Final = "send it to /predict/video, or use `fer-service predict`"
_TO_JPEG: Final = "convert it to JPEG"
_BINARY_MODE: Final = "send the bytes of the file as they are (curl --data-binary, not -d)"
_AS_JSON: Final = 'send the decoded bytes, or {"image": "<base64>"} with Content-Type: application/json'
# FF D8 FF and 89 PNG, taken for Latin-1 or for damaged UTF-8, and written as UTF-8.
_READ_AS_TEXT: Final = ("ÿØÿ".encode(), "\x89PNG".encode(), "\ufffd\ufffd\ufffd".encode(), "\ufffdPNG".encode())
_ENOUGH: Final = 4096  # bytes of an image among which a line break is all but certain
_VARIED: Final = 128  # different bytes among them, if they are compressed
# Position, bytes, name, way out.
_SIGNATURES: Final = (
    (0, b"%PDF-", "a PDF document", "send an image of the page"),
    (0, b"\x1f\x8b", "gzip data", "send the image without compression"),
    (0, b"PK\x03\x04", "a ZIP archive or an Office document", "send the images in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "send the images in it"),
    (0, b"Rar!\x1a\x07", "a RAR archive", "send the images in it"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard data", "send the image without compression"),
    (0, b"\xfd7zXZ\0", "XZ data", "send the image without compression"),
    (257, b"ustar", "a tar archive", "send the images in it"),
    (0, b"PK\x05\x06", "an empty ZIP archive", "send an image"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", "send the images in it"),
    (0, b"{\\rtf", "an RTF document", "send the images in it"),
    (0, b"\x93NUMPY", "a NumPy array", "encode it as PNG"),
    (0, b"\x89HDF\r\n", "an HDF5 file", "send the images in it"),
    (0, b"SIMPLE  =", "a FITS image", "convert it to PNG"),
    (0, b"BZh", "bzip2 data", "send the image without compression"),
    (0, b"\xff\x0a", "a JPEG XL image", _TO_JPEG),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image", _TO_JPEG),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image", _TO_JPEG),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", _TO_JPEG),
    (0, b"\xff\xd8\xff\xf7", "a JPEG-LS image", _TO_JPEG),
    (0, b"8BPS", "a Photoshop document", "export it as JPEG"),
    (0, b"gimp xcf", "a GIMP document", "export it as JPEG"),
    (0, b"\0\0\x01\0", "an icon", "convert it to PNG"),
    (0, b"\0\0\x02\0\0\0", "a Targa image", "convert it to PNG"),
    (0, b"\0\0\x0a\0\0\0", "a Targa image", "convert it to PNG"),
    (0, b"\0\0\x02\0", "a cursor", "convert it to PNG"),
    (0, b"icns", "an icon", "convert it to PNG"),
    (0, b"qoif", "a QOI image", "convert it to PNG"),
    (0, b"DDS ", "a DDS texture", "convert it to PNG"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image", _TO_JPEG),
    (0, b"#?R", "a Radiance image", _TO_JPEG),
    (0, b"PF\n", "a Netpbm image", "convert it to PNG"),
    (0, b"Pf\n", "a Netpbm image", "convert it to PNG"),
    (0, b"\x0a\x05\x01\x08", "a PCX image", "convert it to PNG"),
    (0, b"\x01\xda\0\x01", "an SGI image", "convert it to PNG"),
    (0, b"\x01\xda\x01\x01", "an SGI image", "convert it to PNG"),
    (0, b"II\xbc\x01", "a JPEG XR image", _TO_JPEG),
    (0, b"AT&TFORM", "a DjVu document", "send an image of the page"),
    (0, b"FLIF", "a FLIF image", "convert it to PNG"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile", "convert it to PNG"),
    (40, b" EMF", "a Windows metafile", "convert it to PNG"),
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
    (8, b"AVI ", "a video (AVI)", _VIDEO),
    (8, b"WAVE", "a sound file", "send an image"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)", _VIDEO),
    (0, b"\0\0\x01\xba", "a video (MPEG)", _VIDEO),
    (0, b"\0\0\x01\xb3", "a video (MPEG)", _VIDEO),
    (0, b"FLV\x01", "a video (Flash)", _VIDEO),
    (0, bytes.fromhex("3026b2758e66cf11"), "a video (Windows Media)", _VIDEO),
    (0, b"fLaC", "a sound file", "send an image"),
    *((0, b"\xff" + second, "a sound file", "send an image") for second in (b"\xfb", b"\xf3", b"\xf1", b"\xf9")),
    (0, b"OggS", "an Ogg file", "send an image"),
    (0, b"ID3", "a sound file", "send an image"),
    (0, b"\x89PNG", "a PNG image with changed line breaks", _BINARY_MODE),
    *((0, begin, "an image that was read as text", _BINARY_MODE) for begin in _READ_AS_TEXT),
    (0, b"version https://git-lfs", "a Git LFS pointer", "send the file that it stands for (git lfs pull)"),
    *((0, b"P%d" % number, "a Netpbm image", "convert it to PNG") for number in range(1, 8)),
)
_BRANDS: Final = {
    b"crx ": "raw",
    **dict.fromkeys((b"jp2 ", b"jpx ", b"jpm "), "JPEG 2000"),
    **dict.fromkeys((b"M4A ", b"M4B "), "sound"),
}
_BRAND_NAMES: Final = {
    "raw": ("a camera raw file", "export it as JPEG"),
    "JPEG 2000": ("a JPEG 2000 image", _TO_JPEG),
    "sound": ("a sound file", "send an image"),
    "": ("a video (MP4 or MOV)", _VIDEO),
}
_MOVIE_BOXES: Final = (b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"moof", b"pnot")
_PACKET: Final = 188  # bytes of a packet of an MPEG transport stream
# Begin of a text without marks and quotes, name, way out.
_TEXTS: Final = tuple(
    (re.compile(begin), name, way_out)
    for begin, name, way_out in (
        (rb"(?i)data:", "a data URL", _AS_JSON),
        (rb"[/_]9j[/_]", "a JPEG image in base64", _AS_JSON),
        (rb"iVBORw0KGgo", "a PNG image in base64", _AS_JSON),
        (rb"R0lGOD", "a GIF image in base64", _AS_JSON),
        (rb"UklGR", "a WebP image in base64", _AS_JSON),
        (rb"SUkqA|TU0AK", "a TIFF image in base64", _AS_JSON),
        (rb"AAAA.GZ0eXB", "an AVIF or HEIC image, or a video, in base64", _AS_JSON),
        (
            rb"(?i)(b['\"])?(0x|\\x)?(ff\\?x?d8\\?x?ff|89\\?x?(504e47|PNG))",
            "an image in hexadecimal",
            "send its bytes",
        ),
        (
            rb"(?i)--[^\r\n]+\r?\ncontent-",
            "a form",
            "send it with its Content-Type: multipart/form-data; boundary=…",
        ),
        (rb"#EXTM3U|ffconcat", "a playlist", "send the file that it names"),
        (rb"\[object ", "the name of a JavaScript object", "send the File or Blob itself"),
        (
            rb"(?i)@?[\w./\\: ~-]+\.(jpe?g|png|webp|gif|bmp|tiff?|avif|heic)\s*$",
            "the name of a file",
            "send its bytes",
        ),
        (rb"(?i)[a-z_][\w.-]{0,40}=[^=\s]", "a form field as text", "send a file: curl -F file=@photo.jpg"),
        (rb"[{[]", "JSON", 'send the bytes of the image, or {"image": "<base64>"} as application/json'),
        (rb"[A-Za-z0-9+/_\r\n-]{60,}={0,2}\s*$", "text, perhaps base64", _AS_JSON),
    )
)
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class Foreign(NamedTuple):
    """What a file is instead of an image that the service reads.

    Attributes:
        name: Name with its article.
        way_out: What the sender can do.
    """

    name: str
    way_out: str

    @property
    def is_video(self) -> bool:
        """True for all formats of videos."""
        return self.way_out == _VIDEO

    def __str__(self) -> str:
        return f"{self.name}: {self.way_out}"


def foreign_content(data: bytes) -> Foreign | None:
    """Return what an unsupported file is; None if unknown.

    Args:
        data: The whole file, or its first kilobyte.
    """
    if data[4:8] == b"ftyp":
        return Foreign(*_BRAND_NAMES[_family(data)])
    if data[4:8] in _MOVIE_BOXES:
        return Foreign(*_BRAND_NAMES[""])
    if data[: 3 * _PACKET : _PACKET] == b"GGG":
        return Foreign("a video (MPEG)", _VIDEO)
    for at, signature, name, way_out in _SIGNATURES:
        if data.startswith(signature, at):
            return Foreign(name, way_out)
    return _text(data[:1024])


def damage(data: bytes) -> str:
    """Return what may have damaged a file, and the way out; empty if nothing is known."""
    if len(data) >= _ENOUGH and b"\n" not in data and b"\r" not in data and len(set(data[:_ENOUGH])) > _VARIED:
        return f". It has no line breaks, so perhaps they were removed: {_BINARY_MODE}"
    return ""


def _family(data: bytes) -> str:
    size = min(int.from_bytes(data[:4], "big"), 256)
    found = [_BRANDS[data[at : at + 4]] for at in (8, *range(16, size, 4)) if data[at : at + 4] in _BRANDS]
    return found[0] if found else ""


def _text(begin: bytes) -> Foreign | None:
    for mark in _BYTE_ORDER_MARKS:
        begin = begin.removeprefix(mark)
    plain = begin.replace(b"\0", b"").lstrip()
    text = plain.lower()
    if ADDRESS.match(text):
        return Foreign("an address", f"{_SEND_BYTES}. URLs are not fetched")
    if b"<svg" in text:
        return Foreign("an SVG drawing", "convert it to PNG")
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")) or b"<html" in text:
        return Foreign("an HTML web page", "send the image itself, not the page that shows it")
    if text.startswith(b"<?xml"):
        return Foreign("an XML document", "send an image")
    if re.match(rb"<[a-z!]", text):
        return Foreign("an HTML or XML document", "send an image")
    plain = plain.strip(b"\"'")
    return next((Foreign(name, way_out) for begin, name, way_out in _TEXTS if begin.match(plain)), None)
