"""Several images of one request: each has a result of its own, in order."""

import asyncio
from collections.abc import Mapping, Sequence

from starlette.requests import Request

from fer_service.analysis.options import Options
from fer_service.contract.errors import MissingImage, RequestError
from fer_service.contract.job import Job, Stage, total_seconds
from fer_service.contract.schemas import BatchError, BatchPrediction
from fer_service.http.image_work import record_image
from fer_service.http.multipart import Upload
from fer_service.http.problems import problem_of
from fer_service.http.state import AppState
from fer_service.http.uploads import too_large

Result = BatchPrediction | BatchError


async def analyze_batch(
    request: Request, uploads: Sequence[Upload], options: Options, limit: Job, state: AppState
) -> tuple[list[Result], dict[Stage, float]]:
    """Analyze images at the same time.

    Args:
        request: The request, which records them.
        uploads: Its images.
        options: The same choices for all.
        limit: Deadline and client of the request.
        state: The parts of the application.

    Returns:
        A prediction or an error for each image, and the seconds per stage over all images.
    """
    try:
        async with asyncio.TaskGroup() as group:  # an unexpected error ends the work for all images
            tasks = [group.create_task(_analyze_one(request, upload, options, limit, state)) for upload in uploads]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    answers = [task.result() for task in tasks]
    return [result for result, _ in answers], total_seconds(seconds for _, seconds in answers)


async def _analyze_one(
    request: Request, upload: Upload, options: Options, limit: Job, state: AppState
) -> tuple[Result, Mapping[Stage, float]]:
    job = Job(limit.deadline, limit.client, f"batches of {limit.client}")
    try:
        if upload.error:
            raise upload.error
        if not upload.data:
            raise MissingImage("the image is empty")
        if len(upload.data) > state.settings.max_image_bytes:
            raise too_large(len(upload.data), state.settings.max_image_bytes)
        analysis = await state.executor.run(upload.data, options, job)
    except RequestError as error:
        return BatchError(name=upload.name, error=problem_of(error)), {}
    record_image(request.scope, analysis, job)
    return BatchPrediction(name=upload.name, **dict(analysis.prediction)), job.seconds
