"""POST /predict/video: the faces of a video, frame by frame, while it is read."""

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from fer_service.analysis.analyzer import Analysis
from fer_service.contract.errors import InternalError, RequestError, VideosNotSupported
from fer_service.contract.extras import install_command
from fer_service.contract.job import Job
from fer_service.contract.schemas import VideoEnd, VideoError, VideoFrame, VideoLine, VideoStart
from fer_service.contract.summaries import FrameCounts
from fer_service.http.admission import StreamFrames
from fer_service.http.authentication import authenticate
from fer_service.http.image_work import record_frame
from fer_service.http.lifecycle import Phase
from fer_service.http.lines import HEADERS, MEDIA_TYPE, Lines
from fer_service.http.multipart import FIELD
from fer_service.http.openapi import VIDEO, VIDEO_LINES, answered, refused
from fer_service.http.preemption import preemptible
from fer_service.http.problems import problem_of
from fer_service.http.query import VideoQuery
from fer_service.http.state import AppState, get_state
from fer_service.http.time_limit import cancel_on_disconnect, time_limit
from fer_service.http.uploads import declared_length, read_video
from fer_service.http.video_reader import VideoReader
from fer_service.tracking.tracked_stream import TrackedStream
from fer_service.video.analysis import frame_prediction
from fer_service.video.clip import Clip
from fer_service.video.isolated import IsolatedClip
from fer_service.video.sampling import Sampling

_LAST_SHARE: Final = 0.8  # of FER_REQUEST_TIMEOUT, in which a video may end when the process shuts down
_BINARY: Final = {"type": "string", "format": "binary"}
_VIDEO: Final = {
    "multipart/form-data": {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}}},
    "video/*": {"schema": _BINARY},
    "application/octet-stream": {"schema": _BINARY},
}
logger = logging.getLogger(__name__)
router = APIRouter(tags=["predict"])


@router.post(
    "/predict/video",
    summary="Analyze a video",
    status_code=200,
    response_class=Lines,
    response_model=VideoLine,
    responses=answered("One JSON object per line.", {MEDIA_TYPE: VIDEO_LINES}, *HEADERS) | refused(*VIDEO),
    openapi_extra={"requestBody": {"required": True, "content": _VIDEO}},
)
async def predict_video(request: Request, query: Annotated[VideoQuery, Query()]) -> Response:
    """Answer with a line per analysed frame while the video is read; faces keep their ids from frame to frame.

    The first line has the duration. The last one has a summary, or the error that ended the analysis. To cancel,
    close the connection.
    """
    state = get_state(request)
    client = authenticate(request, state.keys)
    if not find_spec("av"):
        raise VideosNotSupported(f"the service cannot read videos: {install_command('video')}")
    if not state.settings.max_videos:
        raise VideosNotSupported("videos are turned off (FER_MAX_VIDEOS=0)")
    state.check_alive()
    state.executor.analyzer.limits.checked(query.options())
    # The frames of a client's videos take turns with its requests.
    job = Job(time.monotonic() + state.settings.video_timeout, client, f"videos of {client}")
    return Lines(request, _lines(_Asked(request, query, state, client, job)))


@dataclass(frozen=True)
class _Asked:
    request: Request
    query: VideoQuery
    state: AppState
    client: str
    job: Job


async def _lines(asked: _Asked) -> AsyncGenerator[str, None]:
    request, state, job = asked.request, asked.state, asked.job
    admission, settings = state.admission, state.settings
    ending = settings.drain_delay + _LAST_SHARE * settings.request_timeout
    with admission.request(asked.client, declared_length(request, 0)) as hold:
        admission.check_video(asked.client)
        async with time_limit(job, "FER_VIDEO_TIMEOUT"), preemptible(admission.ledger, hold):
            data = await read_video(request, settings.max_video_bytes, partial(admission.ledger.grow, hold))
        # The bytes stay booked: the process that decodes the video holds them.
        with admission.video(hold) as frames:
            async with VideoReader(job, lambda: state.lifecycle.phase is Phase.DRAINING, ending) as reader:
                clip = await cancel_on_disconnect(request, reader.open(data, settings.max_video_pixels))
                del data
                yield VideoStart(duration=clip.duration).model_dump_json()
                async with aclosing(_analyzed(asked, reader, clip, frames)) as lines:
                    async for line in lines:
                        yield line


async def _analyzed(
    asked: _Asked, reader: VideoReader, clip: Clip | IsolatedClip, frames: StreamFrames
) -> AsyncGenerator[str, None]:
    """Yield the lines after the first. An error is a line too, because the status has been sent."""
    executor, query = asked.state.executor, asked.query
    uncertain_below = executor.analyzer.classifier.bundle.metadata.uncertain_below
    tracked = TrackedStream(uncertain_below, query.smooth)
    sampling, counts = Sampling(query.every), FrameCounts()
    try:
        async for frame in reader.frames():
            if not sampling.takes(frame.time):
                continue
            async with frames.place_in_time(asked.job):
                work = Job(time.monotonic() + asked.state.settings.request_timeout, asked.client, asked.job.turn)
                prediction = await executor.run_pixels(frame.pixels, query.options(), work)
            record_frame(asked.request.scope, Analysis(prediction), work)
            result = frame_prediction(frame, prediction, tracked)
            counts.add(result.faces)
            progress = round(min(frame.time / clip.duration, 1.0), 4) if clip.duration else None
            yield VideoFrame(**dict(result), progress=progress).model_dump_json()
        yield VideoEnd(summary=counts.summary(), damage=clip.damage).model_dump_json()
    except RequestError as error:
        yield VideoError(error=problem_of(error)).model_dump_json()
    except Exception:
        logger.exception("a video failed")
        yield VideoError(error=problem_of(InternalError("internal error; see the server log"))).model_dump_json()
