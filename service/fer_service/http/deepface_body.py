"""The bodies of DeepFace's API: options, and in JSON an image in base64."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from pydantic import ValidationError

from fer_service.contract.deepface import EMOTION, DeepFaceRequest
from fer_service.contract.errors import InvalidParameter, MissingImage
from fer_service.contract.text import printable
from fer_service.contract.validation import first_error
from fer_service.http.json_body import decode_text

# `img_path` is the name of older versions.
_IMAGE: Final = re.compile(rb'"(img|img_path)"\s*:\s*"([^"]*)"')
_LIST: Final = re.compile(rb'"(img|img_path)"\s*:\s*\[')
_MAX_OPTIONS: Final = 2**14  # bytes


def read_deepface(body: bytes) -> tuple[bytes, DeepFaceRequest]:
    """Return the image and the options of a body.

    Args:
        body: The whole body.

    Raises:
        MissingImage: there is no image.
        InvalidParameter: the JSON is invalid, or asks for what the service cannot do.
        UndecodableImage: the text of the image is not base64; addresses are not fetched.
    """
    # A general parser would hold the text several times, so it gets the rest alone.
    found = _IMAGE.search(body)
    if found is None and _LIST.search(body):
        raise InvalidParameter("img: a list of images is not supported; send one image per request")
    rest = body if found is None else body[: found.start(2)] + body[found.end(2) :]
    if len(rest) > _MAX_OPTIONS:
        raise InvalidParameter(f"the JSON without its image has more than {_MAX_OPTIONS:,} bytes")
    options = _checked(partial(DeepFaceRequest.model_validate_json, rest), "the JSON")
    if found is None or not found[2]:
        raise MissingImage('missing image; send {"img": "<base64>", "actions": ["emotion"]}')
    return decode_text(body, *found.span(2), found[1].decode()), options


def form_options(texts: Mapping[str, str]) -> DeepFaceRequest:
    """Return the options of a form; without `actions` they are the service's own.

    Raises:
        InvalidParameter: a value is invalid, or asks for what the service cannot do.
    """
    given = {name: text for name, text in texts.items() if text}  # a form also sends empty fields
    if sum(map(len, given.values())) > _MAX_OPTIONS:
        raise InvalidParameter(f"the form without its image has more than {_MAX_OPTIONS:,} bytes")
    return _checked(partial(DeepFaceRequest.model_validate, {"actions": [EMOTION], **given}), "the form")


def _checked(read: Callable[[], DeepFaceRequest], whole: str) -> DeepFaceRequest:
    try:
        options = read()
    except ValidationError as error:
        raise InvalidParameter(first_error(error.errors()).sentence(whole)) from error
    check_supported(options)
    return options


def check_supported(options: DeepFaceRequest) -> None:
    """Refuse what only DeepFace can do.

    Raises:
        InvalidParameter: the request asks for it.
    """
    others = [printable(action)[:20] for action in options.actions if action != EMOTION]
    if others or not options.actions:
        asked = ", ".join(others[:5]) or "none"
        raise InvalidParameter(f'actions: only emotion is supported, not {asked}; send "actions": ["emotion"]')
    if options.anti_spoofing:
        raise InvalidParameter("anti_spoofing is not supported; send false")
