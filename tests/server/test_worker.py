"""gunicorn's worker class serves on the engine's protocol."""

import socket
import subprocess
import sys
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
    return [type(each).__name__ for each in gc.get_objects() if issubclass(type(each), HTTPProtocol)]
"""


def test_worker_serves_on_the_protocol_of_the_engine(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The request waits in the listener's queue until the worker takes it, and is refused when the server ends.
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        descriptor = listener.fileno()
        worker = ["-k", "ferroapi.server.Worker", "--bind", f"fd://{descriptor}"]
        command = [sys.executable, "-m", "gunicorn", "main:app", *worker]
        server = subprocess.Popen(command, cwd=tmp_path, pass_fds=[descriptor])
    try:
        with urllib.request.urlopen(url) as response:
            assert response.read() == b'["HTTPProtocol"]'
    finally:
        server.terminate()
        server.wait()
