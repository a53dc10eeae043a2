"""Sessions of clients that send single images: the query's token in, tracked faces and the next token out."""

import time
from typing import Final

from fer_service.contract.errors import InvalidParameter
from fer_service.contract.schemas import Prediction, SessionPrediction, summary_of
from fer_service.http.query import ImageQuery
from fer_service.tracking.session_token import InvalidToken, SessionTokens
from fer_service.tracking.tracked_stream import HALF_LIFE, TrackedStream

_NEW: Final = "new"


def open_session(tokens: SessionTokens, query: ImageQuery) -> TrackedStream | None:
    """Return the session of a query, or None if it has none.

    Raises:
        InvalidParameter: the token is not one of this service and model.
    """
    if query.session is None:
        return None
    half_life = HALF_LIFE if query.smooth is None else query.smooth
    if query.session == _NEW:
        return tokens.start(half_life)
    try:
        return tokens.read(query.session, half_life)
    except InvalidToken as error:
        raise InvalidParameter(
            "session: invalid token; the model or the session key may have changed since; start with session=new"
        ) from error


def session_answer(tokens: SessionTokens, session: TrackedStream, prediction: Prediction) -> SessionPrediction:
    """Return the answer of a session to its next image."""
    # The clocks of two machines may differ; time in a session does not go back.
    now = max([time.time(), *(track.last_seen for track in session.tracker.tracks)])
    faces = session.update(prediction, now)
    return SessionPrediction(
        image=prediction.image,
        faces=faces,
        model=prediction.model,
        summary=summary_of(faces),
        session=tokens.write(session),
    )
