"""The lines `make run` prints work: uvicorn serves the example, and bash runs them one after another."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="curl and bash are needed")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """Serve the example at a free port, as `make run` does, and return its host and port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with (tmp_path / "log").open("w") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "service.main:app", "--fd", str(listener.fileno())],
                cwd=EXAMPLES,
                env=os.environ | {"SERVICE_DATA": str(tmp_path)},
                pass_fds=[listener.fileno()],
                stdout=log,
                stderr=log,
            )
            try:
                # A connection waits in the listener's queue until the server takes it.
                yield f"127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.terminate()
                assert server.wait() in (0, -15), (tmp_path / "log").read_text()


def run_lines(host: str) -> list[str]:
    """Run the printed lines in one shell, and return what each of the plain curl lines said."""
    lines = (EXAMPLES / "curl.txt").read_text().replace("@HOST@", host).splitlines()
    script = "\n".join(f"{line}; echo" if line.strip().startswith("curl") else line for line in lines)
    shell = subprocess.run(["bash", "-eu"], input=script, cwd=EXAMPLES, capture_output=True, text=True)
    assert shell.returncode == 0, shell.stderr
    return shell.stdout.splitlines()


def test_printed_lines_work(host: str) -> None:
    added, listed, refused, kept, part, events = run_lines(host)
    assert json.loads(added)["name"] == "Drill"
    assert json.loads(listed) == [json.loads(added)]
    assert json.loads(refused)["detail"][0]["loc"] == ["body", "daily_price"]
    assert json.loads(kept)["filename"] == "README.md"
    assert part == "# The"
    assert [event["kind"] for event in json.loads(events)] == ["listed"]
