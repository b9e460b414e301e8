"""The server side of table B: one server process on one core, started by `run.py`.

uvicorn is given a socket that listens, granian the port to listen on: its workers make their sockets themselves.
"""

import os
import pickle
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

from benches.cases.exchange import Answer, ASGIApp
from benches.cases.floor import floor, rsgi_floor
from benches.cases.table import CASES
from benches.http.pinned import RAW_RSGI, framework_of, serve_contender


def _application(framework: str, case_name: str, answer: Path) -> ASGIApp:
    case = next(case for case in CASES if case.name == case_name)
    if framework in ("raw", RAW_RSGI):
        expected: Answer = pickle.loads(answer.read_bytes())
        return floor(case.request, expected) if framework == "raw" else rsgi_floor(case.request, expected)
    if framework in ("ferroapi", "fastapi"):
        return case.build(import_module(framework))
    from benches.http.peers import PEERS

    return PEERS[framework]()


def main(contender: str, case_name: str, answer: str, core: str, where: str) -> None:
    """Serve a case on the socket of this file descriptor, or on this port, until terminated."""
    os.sched_setaffinity(0, {int(core)})
    load = partial(_application, framework_of(contender), case_name, Path(answer))
    serve_contender(contender, load, int(where))


if __name__ == "__main__":
    main(*sys.argv[1:])
