"""The server side of the load set: one server process on one core, started by `run.py`."""

import os
import sys
from functools import partial
from importlib import import_module

from benches.cases.exchange import ASGIApp
from benches.http.pinned import framework_of, serve_contender
from benches.load.application import make_application
from benches.load.store import store_at


def application(framework: str, url: str, is_tuned: bool) -> ASGIApp:
    """Return the application of a framework on the database at `url`."""
    store = store_at(url, is_tuned)
    if framework in ("ferroapi", "fastapi"):
        return make_application(import_module(framework), store)
    from benches.load.peers import PEERS

    return PEERS[framework](store)


def main(contender: str, url: str, store: str, core: str, where: str) -> None:
    """Serve on the socket of this file descriptor, or on this port, with the `plain` or `tuned` store."""
    os.sched_setaffinity(0, {int(core)})
    load = partial(application, framework_of(contender), url, store == "tuned")
    serve_contender(contender, load, int(where), has_lifespan=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
