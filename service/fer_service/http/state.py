"""The parts that the routes share; `create_app` builds them once."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from fer_service.analysis.executor import Executor
from fer_service.contract.errors import NotReady
from fer_service.contract.schemas import ModelCard
from fer_service.contract.settings import Settings
from fer_service.http.admission import Admission
from fer_service.http.api_keys import ApiKeys
from fer_service.http.lifecycle import Lifecycle
from fer_service.observability.metrics import Metrics
from fer_service.tracking.session_token import SessionTokens


@dataclass(frozen=True)
class AppState:
    """The parts of one application.

    Attributes:
        settings: Settings.
        executor: Analyzes images.
        admission: Bounds what is in flight.
        lifecycle: Phase of the process.
        metrics: Metrics of this process.
        keys: API keys; None disables authentication.
        card: The model and the detector in use.
        tokens: Session tokens of the model.
    """

    settings: Settings
    executor: Executor
    admission: Admission
    lifecycle: Lifecycle
    metrics: Metrics
    keys: ApiKeys | None
    card: ModelCard
    tokens: SessionTokens

    def check_alive(self) -> None:
        """Refuse work that no thread would do.

        Raises:
            NotReady: a network's thread has ended.
        """
        if not self.executor.alive:
            raise NotReady("a network's thread has ended; the process must be restarted")


def get_state(connection: HTTPConnection) -> AppState:
    """Return the parts of the application that serves a request or stream.

    A plain call: as a FastAPI dependency it costs 0.06 ms per request (docs/decisions/served-cost.md).
    """
    state: AppState = connection.app.state.service
    return state
