"""Every error that this package raises on purpose.

FerError
├── StartError                the service cannot start; the text is for the operator
│   ├── SettingsError         a FER_ variable is unknown or invalid
│   ├── BundleError           the model file is missing or breaks the contract
│   ├── DetectorError         the detector file is missing or invalid
│   └── ProviderError         the requested device is not available
├── ClusterError              Ray is not installed, or its cluster cannot do the work
├── ResultsError              a file of results cannot be written or continued
├── ClipError                 a video cannot be read, or its results cannot be written
│   └── ClipMemoryError       the process that read it was killed
└── RequestError              one request is refused; the text is for the client
    ├── InvalidRequest        the request is not valid HTTP, or its form is damaged
    ├── RequestTooSlow        the request arrives too slowly
    ├── UrlTooLong            the URL has too many bytes
    ├── HeadTooLarge          the head has too many bytes or lines
    ├── MissingImage          the request holds no image or video
    ├── InvalidTensor         an inference request breaks the Open Inference Protocol
    ├── UnknownModel          no such model or version
    ├── Unauthorized          the API key is missing or invalid
    ├── Forbidden             the origin is not allowed
    ├── MisdirectedRequest    the service does not answer to the host
    ├── NotAcceptable         no offered media type is accepted
    ├── ImageTooLarge         too many bytes
    ├── TooManyPixels         too many pixels, by the image's header
    ├── UnsupportedMediaType  the route does not read the content type
    ├── UnsupportedCoding     the body is compressed or encoded
    ├── UndecodableImage      no decoder reads these bytes
    ├── UndecodableVideo      the bytes are not a video that can be read
    ├── VideosNotSupported    the service has no reader of videos, or they are turned off
    ├── InvalidParameter      a parameter is unknown or out of range
    ├── Overloaded            too much is in flight
    ├── InsufficientMemory    the service is short of memory
    ├── Preempted             the upload was cancelled for other clients
    ├── InternalError         a defect; the traceback is in the log
    ├── NotReady              the model is not loaded, or its thread has ended
    ├── Draining              the process is shutting down
    └── DeadlineExceeded      the request timed out

HTTP statuses and codes: `fer_service.http.problems`.
"""


class FerError(Exception):
    """Base of every error that this package raises on purpose."""


class StartError(FerError):
    """The service cannot start; the text says what to change."""


class SettingsError(StartError):
    """A setting is unknown or invalid."""


class BundleError(StartError):
    """The model file is missing or breaks the contract."""


class DetectorError(StartError):
    """The detector file is missing or invalid."""


class ProviderError(StartError):
    """The requested device is not available."""


class ClipError(FerError):
    """A video cannot be read, or its results cannot be written."""


class ClipMemoryError(ClipError):
    """The process that read a video was killed, most likely because memory ran out."""


class ClusterError(FerError):
    """Ray is not installed, or its cluster cannot do the work."""


class ResultsError(FerError):
    """A file of results cannot be written or continued."""


class RequestError(FerError):
    """One request is refused; the text names the cause and, if there is one, the way out."""


class InvalidRequest(RequestError):
    """The request is not valid HTTP, or its form is damaged."""


class RequestTooSlow(RequestError):
    """The head or the body arrives too slowly."""


class UrlTooLong(RequestError):
    """The URL has too many bytes."""


class HeadTooLarge(RequestError):
    """The head has too many bytes or lines."""


class MissingImage(RequestError):
    """The request holds no image or video."""


class InvalidTensor(RequestError):
    """The inference request violates the Open Inference Protocol, or its tensors do not fit the model."""


class UnknownModel(RequestError):
    """No model has this name or version."""


class Unauthorized(RequestError):
    """The API key is missing or invalid."""


class Forbidden(RequestError):
    """Web pages of this origin may not open streams."""


class MisdirectedRequest(RequestError):
    """The service does not answer to the Host of the request."""


class NotAcceptable(RequestError):
    """The client accepts no media type that the route offers."""


class ImageTooLarge(RequestError):
    """The image or the body has too many bytes."""


class TooManyPixels(RequestError):
    """The image's header claims too many pixels; nothing was decoded."""


class UnsupportedMediaType(RequestError):
    """The content type of the request is not one that the route reads."""


class UnsupportedCoding(RequestError):
    """The body, or a part of the form, is compressed or encoded."""


class UndecodableImage(RequestError):
    """The bytes are not an image that the service can read, or the image is damaged."""


class UndecodableVideo(RequestError):
    """The bytes are not a video that the service can read, or it is damaged."""


class VideosNotSupported(RequestError):
    """The service was installed without a reader of videos, or they are turned off."""


class InvalidParameter(RequestError):
    """A parameter, a form field or the JSON body is invalid."""


class Overloaded(RequestError):
    """A limit on requests, streams, videos or memory is reached."""


class InsufficientMemory(RequestError):
    """The service is short of memory; nothing is wrong with the image."""


class Preempted(RequestError):
    """The upload was cancelled because other clients needed its memory."""


class InternalError(RequestError):
    """A defect of the service; the traceback is in the log."""


class NotReady(RequestError):
    """The model is not loaded, a network's thread has ended, or all threads work on images past their deadline."""


class Draining(RequestError):
    """The process is shutting down."""


class DeadlineExceeded(RequestError):
    """The request timed out."""
