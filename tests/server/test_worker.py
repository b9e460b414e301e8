"""gunicorn's worker class serves on the engine's protocol."""

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("gunicorn")
pytest.importorskip("uvicorn_worker")

APPLICATION = """
import gc
from ferroapi import FastAPI
from ferroapi.server import HTTPProtocol

app = FastAPI()

@app.get("/")
async def protocols():
    return [type(each).__name__ for each in gc.get_objects() if isinstance(each, HTTPProtocol)]
"""


def test_worker_serves_on_the_protocol_of_the_engine(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APPLICATION)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "gunicorn", "main:app", "-k", "ferroapi.server.Worker", "--bind", address]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(150):
            try:
                with urllib.request.urlopen(f"http://{address}/", timeout=5) as response:
                    answer = response.read()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("the server did not answer")
    finally:
        server.terminate()
        output, _ = server.communicate(timeout=20)
    assert answer == b'["HTTPProtocol"]', output
