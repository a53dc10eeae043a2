"""GET /model."""

from fastapi import APIRouter, Depends

from fer_service.contract.schemas import ModelCard
from fer_service.http.authentication import authenticate
from fer_service.http.state import StateDep

router = APIRouter(tags=["model"])


@router.get("/model", dependencies=[Depends(authenticate)])
async def model(state: StateDep) -> ModelCard:
    """Return the model card, with the provider and the detector in use."""
    return state.card
