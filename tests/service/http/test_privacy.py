import subprocess
import sys
from pathlib import Path

READ = """
import asyncio, sys
import httpx
from starlette.requests import Request
from fer_service.http.uploads import read_images

made = httpx.Request("POST", "http://test", files=[("file", ("a.jpg", bytes(5_000_000)))] * 3)
content = made.read()

async def receive():
    return {"type": "http.request", "body": content, "more_body": False}

headers = [(name.lower(), value) for name, value in made.headers.raw]
request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
written = []

def audit(event, arguments):
    if event == "tempfile.mkstemp" or (event == "open" and set(str(arguments[1])) & set("wax+")):
        written.append((event, arguments))

sys.addaudithook(audit)
uploads = asyncio.run(read_images(request, 6_000_000, 3))
assert [len(upload.data) for upload in uploads] == [5_000_000] * 3
assert not written, written
"""


def test_images_never_touch_the_disk() -> None:
    ended = subprocess.run([sys.executable, "-c", READ], cwd=Path(__file__).parents[3], check=False, timeout=60)
    assert ended.returncode == 0
