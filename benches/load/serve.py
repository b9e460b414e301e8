"""The server side of the load set: one uvicorn process on one core, started by `run.py` with a socket that listens."""

import os
import sys
from importlib import import_module

from benches.cases.exchange import ASGIApp
from benches.http.pinned import serve
from benches.load.application import make_application
from benches.load.store import Store, store_at


def application(contender: str, store: Store) -> ASGIApp:
    """Return the application of a contender."""
    if contender in ("ferroapi", "fastapi"):
        return make_application(import_module(contender), store)
    from benches.load.peers import PEERS

    return PEERS[contender](store)


def main(contender: str, url: str, core: str, listening: str) -> None:
    """Serve on the socket of file descriptor `listening`, from the database at `url`, until terminated."""
    os.sched_setaffinity(0, {int(core)})
    serve(application(contender, store_at(url)), int(listening), lifespan="on")


if __name__ == "__main__":
    main(*sys.argv[1:])
