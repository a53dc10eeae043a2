"""FastAPI as in tutorials: an async route that does everything, sessions with one thread per core."""

import os

import uvicorn
from fastapi import FastAPI, UploadFile
from fer_service.analysis.loading import load
from fer_service.contract.schemas import Prediction
from fer_service.contract.settings import Settings

app = FastAPI()
analyzer = load(Settings(threads=os.cpu_count() or 1))


@app.post("/predict")
async def predict(file: UploadFile) -> Prediction:
    """Answer one image, on the event loop."""
    return analyzer.analyze(await file.read())


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
