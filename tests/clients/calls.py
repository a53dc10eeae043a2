"""Calls every route of a service by the generated client. Runs in the environment of the generator."""

import io
import json
import sys
from base64 import b64encode
from pathlib import Path

from fer_service_client import Client
from fer_service_client.api.model import model
from fer_service_client.api.operations import livez, metrics, readyz
from fer_service_client.api.predict import predict, predict_batch
from fer_service_client.models import (
    PredictBatchFilesBody,
    PredictBatchJsonBody,
    PredictFilesBody,
    PredictJsonBody,
)
from fer_service_client.types import File

url, path = sys.argv[1:]
client = Client(base_url=url)


def image() -> File:
    return File(payload=io.BytesIO(Path(path).read_bytes()), file_name="photo.jpg", mime_type="image/jpeg")


base64 = b64encode(image().payload.read()).decode()
form = predict.sync(client=client, body=PredictFilesBody(file=image()), max_faces=1)
body = predict.sync(client=client, body=File(payload=image().payload.read()))
text = predict.sync(client=client, body=PredictJsonBody(image=base64))
batch = predict_batch.sync(client=client, body=PredictBatchFilesBody(file=[image(), image()]))
texts = predict_batch.sync(client=client, body=PredictBatchJsonBody(images=[base64, "bm8="]))
bad = predict.sync_detailed(client=client, body=File(payload=b"%PDF-1.7"))
wrong = predict.sync_detailed(client=client, body=PredictJsonBody(image=base64), max_faces=0)
empty = predict_batch.sync_detailed(client=client, body=PredictBatchJsonBody(images=[]))
print(
    json.dumps(
        {
            "predict": [found.faces[0].emotion for found in (form, body, text)],
            "box": form.faces[0].box.to_dict(),
            "landmarks": (found := form.faces[0].landmarks) and found.to_dict(),
            "probabilities": form.faces[0].probabilities.to_dict(),
            "batch": [len(result.faces) for result in batch.results],
            "errors": [texts.results[1].error.code, bad.parsed.code, wrong.parsed.code, empty.parsed.code],
            "statuses": [int(answer.status_code) for answer in (bad, wrong, empty)],
            "model": model.sync(client=client).labels,
            "health": [livez.sync(client=client).status, readyz.sync(client=client).status],
            "metrics": "fer_requests_total" in metrics.sync_detailed(client=client).content.decode(),
        }
    )
)
