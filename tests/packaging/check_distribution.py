"""`make wheel` and `make sdist`: install a distribution into an empty virtual environment and serve requests there.
It does so by `ferroapi run --alias`, and by another server with nothing but `FERROAPI_ALIAS=1`. A wheel is installed
with no Rust on PATH. It is a program, not a pytest test: it needs a distribution that was built, and a package index.
"""

import os
import shutil
import socket
import subprocess
import sys
import tarfile
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
CONTENTS = (
    "_ferroapi_alias.py",
    "ferroapi/py.typed",
    "ferroapi/_core.pyi",
    "ferroapi/.agents/skills/ferroapi/SKILL.md",
    "ferroapi.data/platlib/ferroapi_alias.pth",
)
LICENSES = ("LICENSE", "THIRD-PARTY-LICENSES.txt")


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


def is_wheel(distribution: Path) -> bool:
    """Whether it is a wheel; anything else is a source distribution."""
    return distribution.suffix == ".whl"


def files(distribution: Path) -> set[str]:
    """The names of the files as below `python/` in the repository."""
    if is_wheel(distribution):
        version = distribution.name.split("-")[1]
        with zipfile.ZipFile(distribution) as archive:
            return {name.replace(f"ferroapi-{version}.data/", "ferroapi.data/") for name in archive.namelist()}
    with tarfile.open(distribution) as archive:
        return {name.partition("/python/")[2] for name in archive.getnames()}


def licenses(distribution: Path) -> set[str]:
    """The names of the licence files, which are at the root of the repository."""
    if is_wheel(distribution):
        with zipfile.ZipFile(distribution) as archive:
            return {name.rpartition("/")[2] for name in archive.namelist() if ".dist-info/licenses/" in name}
    with tarfile.open(distribution) as archive:
        return {name.rpartition("/")[2] for name in archive.getnames() if name.count("/") == 1}


def check_contents(distribution: Path) -> None:
    """See that files which are no modules are in the distribution too.

    Raises:
        SystemExit: one is missing.
    """
    missing = sorted({*CONTENTS} - files(distribution) | {*LICENSES} - licenses(distribution))
    if missing:
        raise SystemExit(f"{distribution.name}: without {', '.join(missing)}")


def variables_for(distribution: Path, environment: Path) -> dict[str, str]:
    """The environment variables for pip and for the server.

    Raises:
        SystemExit: the distribution is a wheel, and Rust is on PATH.
    """
    if not is_wheel(distribution):
        return os.environ | {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
    keep = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "LANG", "HOME"))}
    variables = keep | {"PATH": f"{environment / 'bin'}:/usr/bin:/bin"}
    for tool in ("cargo", "rustc", "maturin"):
        if shutil.which(tool, path=variables["PATH"]):
            raise SystemExit(f"{tool} is on PATH, so this would prove nothing")
    return variables


def check_start(python: Path, variables: dict[str, str]) -> None:
    """See that the start of the interpreter loads nothing of ferroapi, but for the variable.

    Raises:
        SystemExit: it does, or the variable does not make `fastapi` ferroapi.
    """
    code = "import sys; print(*[name for name in sys.modules if 'ferroapi' in name]); import fastapi"
    plain = subprocess.run([python, "-c", code], capture_output=True, text=True, env=variables, check=False)
    if plain.stdout.strip() or "No module named 'fastapi'" not in plain.stderr:
        raise SystemExit(f"without the variable: {plain.stdout}{plain.stderr}")
    aliased = variables | {"FERROAPI_ALIAS": "1"}
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, env=aliased, check=False)
    if found.stdout.split() != ["_ferroapi_alias"] or found.stderr:
        raise SystemExit(f"with the variable: {found.stdout}{found.stderr}")


def serve(command: list[str | Path], folder: str, variables: dict[str, str]) -> None:
    """Start a server, and ask it.

    Raises:
        SystemExit: the answer is wrong.
    """
    port = free_port()
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], env=variables, cwd=folder)
    try:
        answer = fetch(f"http://127.0.0.1:{port}/items/7?q=caf%C3%A9", server)
    finally:
        server.terminate()
        server.wait(timeout=10)
    if answer != EXPECTED:
        raise SystemExit(f"{command}: answered {answer!r}, expected {EXPECTED!r}")


def check(distribution: Path) -> None:
    """Install and serve.

    Raises:
        SystemExit: Rust is on PATH although a wheel needs none, or an answer is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        venv.create(environment, with_pip=True)
        variables = variables_for(distribution, environment)
        python = environment / "bin" / "python"
        requirement = f"ferroapi[standard] @ {distribution.resolve().as_uri()}"
        # pip keeps the wheel that it built from a file of that name, and would install it again.
        options = ["--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        subprocess.run([python, "-m", "pip", "install", *options, requirement], check=True, env=variables, cwd=folder)
        check_start(python, variables)
        (Path(folder) / "main.py").write_text(APPLICATION)
        serve([environment / "bin" / "ferroapi", "run", "main.py", "--alias"], folder, variables)
        serve([environment / "bin" / "uvicorn", "main:app"], folder, variables | {"FERROAPI_ALIAS": "1"})
    without = " without Rust" if is_wheel(distribution) else ""
    print(f"{distribution.name}: installed into an empty environment{without}, and served requests")


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit("usage: check_distribution.py DISTRIBUTION...")
    for argument in sys.argv[1:]:
        check_contents(Path(argument))
        check(Path(argument))
