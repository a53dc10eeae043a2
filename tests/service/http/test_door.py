import asyncio
from typing import Any

from tests.service.conftest import HeldClassifier, plain
from tests.service.http.conftest import FACE, build, call, running

PICTURE = plain("lime")
LENGTH = {"Content-Length": str(len(PICTURE))}


def test_one_request_too_many_is_refused_before_its_body_is_read() -> None:
    async def scenario() -> None:
        classifier = HeldClassifier()
        async with running(build(FACE, classifier=classifier, max_in_flight=2)) as app:
            classifier.hold()
            inside = [asyncio.create_task(call(app, "/predict", PICTURE, headers=LENGTH)) for _ in range(2)]
            await classifier.busy()
            for path in ("/predict", "/predict/batch"):
                refused = await call(app, path, headers=LENGTH)
                assert (refused.status, refused.code) == (429, "overloaded")
                assert refused.headers["retry-after"] == "1"
                assert refused.headers["x-request-id"]
            for path in ("/livez", "/readyz", "/metrics", "/model"):
                assert (await call(app, path, b"", method="GET")).status == 200
            classifier.free.set()
            assert [answer.status for answer in await asyncio.gather(*inside)] == [200, 200]
            assert (await call(app, "/predict", PICTURE, headers=LENGTH)).status == 200

    asyncio.run(scenario())


def test_too_many_bytes_are_refused_before_they_are_read() -> None:
    async def scenario() -> None:
        classifier = HeldClassifier()
        limits: dict[str, Any] = {"max_in_flight": 8, "max_batch_images": 1, "max_image_bytes": 100_000}
        async with running(build(FACE, classifier=classifier, **limits)) as app:
            classifier.hold()
            inside = asyncio.create_task(call(app, "/predict", PICTURE, headers=LENGTH))
            await classifier.busy()
            refused = await call(app, "/predict", headers={"Content-Length": "200000"})
            assert (refused.status, refused.code) == (429, "overloaded")
            classifier.free.set()
            assert (await inside).status == 200
            metrics = (await call(app, "/metrics", b"", method="GET")).body.decode()
            assert 'fer_rejected_total{reason="bytes"} 1.0' in metrics

    asyncio.run(scenario())
