"""What is around the protocol when it serves in earnest: worker processes, signals and client certificates."""

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from time import sleep

import pytest
import trustme

APPLICATION = """
import asyncio, os
from pathlib import Path
from ferroapi import FastAPI
from ferroapi.responses import StreamingResponse

app = FastAPI()

@app.get("/")
async def process():
    return os.getpid()

@app.get("/long")
async def long():
    async def parts():
        yield b"begun"
        while not Path("may-end").exists():
            await asyncio.sleep(0.05)
        yield b", ended"

    return StreamingResponse(parts())
"""

# Nobody reads what a server logs while it is asked over and over: it would wait for that at some point.
UVICORN = ["uvicorn", "main:app", "--http", "ferroapi.server:HTTPProtocol", "--no-access-log"]
# A machine with more to do may need longer for a new process than the five seconds after which uvicorn gives it up.
WORKERS = [*UVICORN, "--workers", "2", "--timeout-worker-healthcheck", "60"]
GUNICORN = ["gunicorn", "main:app", "-k", "ferroapi.server.Worker"]
CLOSING = b"Waiting for connections to close"
"""What uvicorn logs when it has been told to end and a request is not answered yet."""


class Server:
    """A server process on a socket that is open before it, so that clients wait for it instead of being refused."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.port = port

    def connection(self) -> HTTPConnection:
        """Return a new connection, on which nothing is asked yet."""
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def process_id(self) -> int:
        """Ask which process answers, as often as one that ends takes the connection with it."""
        while True:
            connection = self.connection()
            try:
                connection.request("GET", "/")
                return int(connection.getresponse().read())
            except (ConnectionError, HTTPException):
                continue
            finally:
                connection.close()

    def wait_for_another(self, known: set[int]) -> None:
        """Ask until a process answers that is none of these."""
        while self.process_id() in known:
            assert self.process.poll() is None
            sleep(0.05)

    def wait_for_line(self, text: bytes) -> None:
        """Read what the server logs up to a line with this text."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            if text in line:
                return
            lines.append(line)
        raise AssertionError(b"".join(lines).decode())


@contextmanager
def served(folder: Path, command: Sequence[str]) -> Iterator[Server]:
    """Run a server on the application; it is told to end if it has not ended."""
    (folder / "main.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        place = ["--fd", str(descriptor)] if command[0] == "uvicorn" else ["--bind", f"fd://{descriptor}"]
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *place],
            cwd=folder,
            pass_fds=[descriptor],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Server(process, listener.getsockname()[1])
        finally:
            process.terminate()
            process.communicate()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (UVICORN, -signal.SIGTERM),
        (WORKERS, 0),
        (GUNICORN, 0),
    ],
    ids=["uvicorn", "workers", "gunicorn"],
)
def test_server_that_is_told_to_end_answers_what_it_has_begun(tmp_path: Path, command: list[str], code: int) -> None:
    pytest.importorskip(command[0])
    with served(tmp_path, command) as server:
        connection = server.connection()
        connection.request("GET", "/long")
        response = connection.getresponse()
        assert response.read(5) == b"begun"
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_line(CLOSING)
        (tmp_path / "may-end").touch()
        assert response.read() == b", ended"
        connection.close()
        assert server.process.wait() == code


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "hangup"])
def test_worker_process_is_replaced(tmp_path: Path, is_killed: bool) -> None:
    with served(tmp_path, WORKERS) as server:
        before = {server.process_id()}
        while len(before) < 2:
            before.add(server.process_id())
        if is_killed:
            os.kill(min(before), signal.SIGKILL)
        else:
            server.process.send_signal(signal.SIGHUP)
        server.wait_for_another(before)


def test_worker_of_gunicorn_is_replaced_after_its_requests(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    with served(tmp_path, [*GUNICORN, "--max-requests", "2"]) as server:
        server.wait_for_another({server.process_id()})


def test_client_certificate_is_demanded(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    options = ["--ssl-certfile", "server.pem", "--ssl-ca-certs", "authority.pem", "--ssl-cert-reqs", "2"]

    def asked(issuer: trustme.CA | None) -> int:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if issuer is not None:
            issuer.issue_cert("client@example.org").configure_cert(context)
        connection = HTTPSConnection("localhost", server.port, timeout=60, context=context)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status
        finally:
            connection.close()

    with served(tmp_path, [*UVICORN, *options]) as server:
        assert asked(authority) == 200
        for stranger in (None, other):
            # By TLS 1.3 a client learns of it when it reads.
            with pytest.raises((ssl.SSLError, ConnectionError)):
                asked(stranger)
        assert asked(authority) == 200
