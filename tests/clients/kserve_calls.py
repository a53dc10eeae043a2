"""Calls a service by KServe's own client. Runs in the environment of the clients."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import kserve
import numpy as np

url, path = sys.argv[1:]
IMAGE = Path(path).read_bytes()
CROPS = np.full((3, 48, 48, 3), 128, np.uint8)


async def call() -> dict[str, Any]:
    client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
    health = [
        await client.is_server_live(url),
        await client.is_server_ready(url),
        await client.is_model_ready(url, "emotion"),
    ]
    shapes = []
    for binary in (True, False):
        faces = kserve.InferInput("faces", list(CROPS.shape), "UINT8")
        faces.set_data_from_numpy(CROPS, binary_data=binary)
        shapes.append((await infer(client, faces))["probabilities"].shape)
    image = kserve.InferInput("images", [1], "BYTES")
    image.set_data_from_numpy(np.array([IMAGE], np.object_), binary_data=True)
    answer = (await infer(client, image))["json"][0]
    await client.close()
    return {"health": health, "shapes": shapes, "answer": json.loads(answer)}


async def infer(client: Any, tensor: Any) -> dict[str, Any]:
    answer = await client.infer(url, kserve.InferRequest("emotion", [tensor]), model_name="emotion")
    return {output.name: output.as_numpy() for output in answer.outputs}


print(json.dumps(asyncio.run(call())))
