"""GET /model: what is in use."""

from fastapi import APIRouter

from fer_service.analysis.analyzer import Analyzer
from fer_service.contract.schemas import ModelCard


def model_router(analyzer: Analyzer) -> APIRouter:
    """The route that tells which model and detector answer."""
    router = APIRouter(tags=["model"])
    bundle, metadata = analyzer.classifier.bundle, analyzer.classifier.bundle.metadata
    card = ModelCard(
        name=metadata.name,
        version=metadata.version,
        sha256=bundle.sha256,
        labels=list(metadata.labels),
        input_size=metadata.input_size,
        uncertain_below=metadata.uncertain_below,
        provider=analyzer.classifier.provider,
        detector=analyzer.detector.name,
        card=metadata.model_dump(mode="json", by_alias=True),
    )

    @router.get("/model")
    async def model() -> ModelCard:
        """The model's card, with the provider and the detector really in use."""
        return card

    return router
