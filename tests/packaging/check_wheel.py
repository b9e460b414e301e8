"""`make wheel`: install a built wheel into an empty virtual environment, with no Rust on PATH, and serve one request.
It is a program, not a pytest test: it needs a wheel, and a package index for the dependencies.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
import zipfile
from pathlib import Path

APPLICATION = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/items/{item_id}")
async def read_item(item_id: int, q: str | None = None):
    return {"item_id": item_id, "q": q, "class": FastAPI.__module__}
"""
EXPECTED = b'{"item_id":7,"q":"caf\xc3\xa9","class":"fastapi.applications"}'
START_SECONDS = 30
CONTENTS = ("ferroapi/py.typed", "ferroapi/_core.pyi", "ferroapi/.agents/skills/ferroapi/SKILL.md")


def free_port() -> int:
    """A port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, server: "subprocess.Popen[bytes]") -> bytes:
    """The body of `url`, asked again until the server is up.

    Raises:
        SystemExit: the server ended, or did not answer within `START_SECONDS`.
    """
    for _ in range(START_SECONDS * 5):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with code {server.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return bytes(response.read())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise SystemExit(f"no answer from {url} in {START_SECONDS} s")


def check_contents(wheel: Path) -> None:
    """See that files which are no modules are in the wheel too.

    Raises:
        SystemExit: one is missing.
    """
    with zipfile.ZipFile(wheel) as archive:
        missing = sorted(set(CONTENTS).difference(archive.namelist()))
    if missing:
        raise SystemExit(f"{wheel.name}: without {', '.join(missing)}")


def check(wheel: Path) -> None:
    """Install and serve.

    Raises:
        SystemExit: Rust is on PATH, or the answer is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        venv.create(environment, with_pip=True)
        keep = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "LANG", "HOME"))}
        variables = keep | {"PATH": f"{environment / 'bin'}:/usr/bin:/bin"}
        for tool in ("cargo", "rustc", "maturin"):
            if shutil.which(tool, path=variables["PATH"]):
                raise SystemExit(f"{tool} is on PATH, so this would prove nothing")
        python = environment / "bin" / "python"
        requirement = f"ferroapi[standard] @ {wheel.resolve().as_uri()}"
        options = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *options, requirement], check=True, env=variables, cwd=folder)
        (Path(folder) / "main.py").write_text(APPLICATION)
        port = free_port()
        command = [
            environment / "bin" / "ferroapi",
            "run",
            "main.py",
            "--alias",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        server = subprocess.Popen(command, env=variables, cwd=folder)
        try:
            answer = fetch(f"http://127.0.0.1:{port}/items/7?q=caf%C3%A9", server)
        finally:
            server.terminate()
            server.wait(timeout=10)
    if answer != EXPECTED:
        raise SystemExit(f"{wheel.name}: answered {answer!r}, expected {EXPECTED!r}")
    print(f"{wheel.name}: installed into an empty environment without Rust, and served a request")


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit("usage: check_wheel.py WHEEL...")
    for argument in sys.argv[1:]:
        check_contents(Path(argument))
        check(Path(argument))
