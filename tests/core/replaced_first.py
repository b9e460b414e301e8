"""`python -m tests.core.replaced_first`: names of other packages, replaced before FastAPI or ferroapi is imported.

A process for each name and framework: what the packages have imported is there already, what is measured is not.
"""

import asyncio
import json
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

# What both frameworks import.
import pydantic
import starlette.applications
import starlette.formparsers
import starlette.testclient  # noqa: F401

from .replaced import Notes, layered, owner_of, replaced, serve, service

assert pydantic.VERSION
assert not {"fastapi", "ferroapi"} & sys.modules.keys(), "nothing can come before them any more"


NOT_COUNTED = {
    "starlette.requests:HTTPConnection.headers",
    "starlette.datastructures:Headers.__init__",
    "starlette.datastructures:Headers.__getitem__",
    "starlette.datastructures:Headers.get",
    "starlette.datastructures:ImmutableMultiDict.multi_items",
}
"""Names that are asked, but by forms once more or once less than by FastAPI."""

MAKERS = {"service": service, "layered": layered}


def observed_first(framework: str, make: Callable[[Any], Any], path: str, name: str) -> dict[str, Any]:
    """Return the calls of the name and the answers, by request, once all is declared that is declared late."""
    notes = Notes()
    with replaced(owner_of(framework, path), name, notes):
        package = __import__(framework)

        async def run() -> dict[str, Any]:
            app = make(package)
            await serve(app, notes)
            seen = await serve(app, notes)
            is_counted = f"{path}.{name}" not in NOT_COUNTED
            return {label: (calls if is_counted else bool(calls), *rest) for label, (calls, *rest) in seen.items()}

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return asyncio.run(run())


def in_a_process_of_its_own(call: Callable[[], Any]) -> Any:
    """Return what a call gives as text, or the exception that it raises."""
    reading, writing = os.pipe()
    if (process := os.fork()) == 0:
        try:
            found = {label: repr(seen) for label, seen in call().items()}
        except BaseException as error:
            found = {"raised": repr(error)}
        with os.fdopen(writing, "w") as pipe:
            json.dump(found, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(process, 0)
    return json.loads(text)


def main(maker: str, *names: str) -> None:
    """Print a line for each name: the requests that are answered otherwise, or ask otherwise for it."""
    for each in names:
        path, _, name = each.rpartition(".")
        theirs, ours = (
            in_a_process_of_its_own(partial(observed_first, framework, MAKERS[maker], path, name))
            for framework in ("fastapi", "ferroapi")
        )
        labels = [label for label in {**theirs, **ours} if label == "raised" or theirs.get(label) != ours.get(label)]
        print(json.dumps([each, labels]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
