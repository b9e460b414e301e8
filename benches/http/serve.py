"""The server side of table B: one uvicorn process on one core, started by `run.py` with a socket that listens."""

import os
import pickle
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from benches.cases.exchange import ASGIApp
from benches.cases.floor import floor
from benches.cases.table import CASES
from benches.http.pinned import OWN_PROTOCOL, serve
from ferroapi.server import HTTPProtocol


def _application(contender: str, case_name: str, answer: Path) -> ASGIApp:
    case = next(case for case in CASES if case.name == case_name)
    if contender == "raw":
        return floor(case.request, pickle.loads(answer.read_bytes()))
    if contender in ("ferroapi", "fastapi"):
        return case.build(import_module(contender))
    from benches.http.peers import PEERS

    return PEERS[contender]()


def main(contender: str, case_name: str, answer: str, core: str, listening: str) -> None:
    """Serve a case on the socket of file descriptor `listening` until terminated."""
    os.sched_setaffinity(0, {int(core)})
    framework = contender.removesuffix(OWN_PROTOCOL)
    protocol: Any = "httptools" if framework == contender else HTTPProtocol
    serve(_application(framework, case_name, Path(answer)), int(listening), http=protocol)


if __name__ == "__main__":
    main(*sys.argv[1:])
