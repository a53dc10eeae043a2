"""Everything that can go wrong on purpose.

FerError
├── StartError                      the service does not start; the text is for the operator
│   ├── SettingsError               a FER_ variable is unknown or has a bad value
│   ├── BundleError                 the model file is missing or breaks the contract
│   ├── DetectorError               the detector's file is missing or is none
│   └── ProviderError               the device asked for cannot be had
├── ClipError                       a video file cannot be read, or its results not be written
└── RequestError                    one request is answered with a problem; status and code below
    ├── MissingImage                400 missing_image
    ├── Unauthorized                401 unauthorized
    ├── Forbidden                   403 forbidden
    ├── NotAcceptable               406 not_acceptable
    ├── ImageTooLarge               413 image_too_large
    ├── TooManyPixels               413 too_many_pixels
    ├── UnsupportedMediaType        415 unsupported_media_type
    ├── UndecodableImage            422 undecodable_image
    ├── InvalidParameter            422 invalid_parameter
    ├── Overloaded                  429 overloaded
    ├── InternalError               500 internal_error
    ├── NotReady                    503 not_ready
    ├── Draining                    503 draining
    └── DeadlineExceeded            504 deadline_exceeded
"""

from typing import ClassVar


class FerError(Exception):
    """Base of every error that this package raises on purpose."""


class StartError(FerError):
    """The service cannot start; the text says what to change."""


class SettingsError(StartError):
    """A setting is unknown or has a value that cannot be."""


class BundleError(StartError):
    """The model file is missing or breaks the contract."""


class DetectorError(StartError):
    """The detector's file is missing or is no detector."""


class ProviderError(StartError):
    """The device that was asked for cannot be had."""


class ClipError(FerError):
    """A video file cannot be read at all, or its results cannot be written."""


class RequestError(FerError):
    """One request cannot be answered; its class says the HTTP status and the stable code.

    The text goes to the client: it names what is wrong and, where there is one, the way out.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]


class MissingImage(RequestError):
    """There is no image in the request."""

    status, code, title = 400, "missing_image", "No image in the request"


class Unauthorized(RequestError):
    """No key, or one that is not known."""

    status, code, title = 401, "unauthorized", "A valid API key is needed"


class Forbidden(RequestError):
    """A page of another origin, to which the service is closed."""

    status, code, title = 403, "forbidden", "Not allowed from this origin"


class NotAcceptable(RequestError):
    """The client accepts no media type that the route can answer with."""

    status, code, title = 406, "not_acceptable", "No media type that the client accepts"


class ImageTooLarge(RequestError):
    """More bytes than are allowed."""

    status, code, title = 413, "image_too_large", "The image has too many bytes"


class TooManyPixels(RequestError):
    """More pixels than are allowed, seen in the header before anything is decoded."""

    status, code, title = 413, "too_many_pixels", "The image has too many pixels"


class UnsupportedMediaType(RequestError):
    """The request's content type is not an image."""

    status, code, title = 415, "unsupported_media_type", "The content type is not an image"


class UndecodableImage(RequestError):
    """No decoder reads these bytes."""

    status, code, title = 422, "undecodable_image", "The image cannot be decoded"


class InvalidParameter(RequestError):
    """A parameter is unknown or out of its range."""

    status, code, title = 422, "invalid_parameter", "A parameter is not valid"


class Overloaded(RequestError):
    """Too much is in flight; the work was refused before it cost anything."""

    status, code, title = 429, "overloaded", "Too many requests in flight"


class InternalError(RequestError):
    """Something broke that nobody foresaw; the log has the traceback."""

    status, code, title = 500, "internal_error", "The service failed"


class NotReady(RequestError):
    """The model is not there yet, or its thread has died."""

    status, code, title = 503, "not_ready", "The service is not ready"


class Draining(RequestError):
    """The process is about to end."""

    status, code, title = 503, "draining", "The service is shutting down"


class DeadlineExceeded(RequestError):
    """The request's time was over before its answer was there."""

    status, code, title = 504, "deadline_exceeded", "The request took too long"
