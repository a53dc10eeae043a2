"""GET and HEAD /model."""

from fastapi import APIRouter, Request

from fer_service.contract.errors import Unauthorized
from fer_service.contract.schemas import ModelCard
from fer_service.http.authentication import authenticate
from fer_service.http.openapi import refused
from fer_service.http.state import get_state

router = APIRouter(tags=["model"])


@router.head("/model", include_in_schema=False)
@router.get("/model", summary="Model card", responses=refused(Unauthorized))
async def model(request: Request) -> ModelCard:
    """Return the model card, with the provider and the detector in use."""
    state = get_state(request)
    authenticate(request, state.keys)
    return state.card
