"""What a request may cost: a time that grows with its size, and little of it for each byte, whatever it is made of.

Times are CPU time, in milliseconds of a quiet machine: what other processes do to caches and cores is divided out by
the time that a fixed piece of work takes just before and after.
`python -m tests.core.test_cost [PART_OF_A_NAME]` prints them for 64 kB and 1 MB, and pydantic's part.
"""

import asyncio
import gc
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from statistics import median
from typing import Any
from urllib.parse import parse_qsl

import pytest

from .hostile import AROUND, PYDANTIC, REQUESTS, Sent
from .hostile_application import application, handled, wrapped

pytestmark = pytest.mark.timeout(900)  # CPU time is judged; a process that others leave little of it takes minutes.

SMALL, LARGE = 64_000, 256_000
"""The sizes that are compared, in bytes."""

GROWTH = 2.5
"""How much more than linear the growth may seem on a machine that others use, too."""

CALIBRATED = 0.56
"""What `calibrate` takes on a quiet machine of today with Python 3.11, in milliseconds."""

ROUNDS = 8
"""How often a request is measured before a cost counts as too high; one that is low enough is measured less often."""

HELD = 10.0
"""How long 64 kB may hold the event loop in our code, in milliseconds. See docs/differences.md."""

MEGABYTE, MEGABYTE_HELD = 1_000_000, 100.0
"""The same of 1 MB: bytes, and milliseconds."""

BUSY = 2
"""How much longer than on a quiet machine a request may seem to take: calibration does not see all that others do."""

NEGLIGIBLE = 1.5
"""A cost of which the growth is not looked at, in milliseconds."""

MESSAGES = {
    "middleware: small messages",
    "handler: form: small messages",
    "handler: multipart: small messages",
    "handler: multipart: small messages of boundaries",
    "handler: multipart: small messages of parts",
}
"""Requests of so many messages that a middleware function, or a handler with Starlette's parser of forms, takes longer.

64 kB of chunks of one byte are some 10,000 messages: 6 us each for a middleware function, FastAPI 75 us; 3 us for the
parser, most of it python-multipart's. The cost is linear all the same.
"""

HANDLED = "handler: "

NEWEST_PARSER = (0, 0, 34)
OLD_PARSER = 1.6
"""How much longer than this version of python-multipart the oldest one takes, with the oldest Starlette."""

TABLE = {**REQUESTS, **AROUND, **{HANDLED + name: make for name, make in REQUESTS.items()}}
"""Each kind of request, also behind middleware, and to routes that have a handler of their own."""

Applications = tuple[Any, Any, Any]


@pytest.fixture(scope="module", autouse=True)
def _only_what_is_measured_is_collected() -> Iterator[None]:
    # What other tests have left behind would be gone through by the garbage collector during each request.
    logging.disable(logging.WARNING)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def applications() -> Applications:
    return application(), wrapped(), handled()


def calibrate() -> None:
    """Do a fixed piece of work, of the kinds that requests are made of: text, dicts, small objects, bytecode."""
    pairs = dict(parse_qsl("&".join(f"key{number}=value%20{number}" for number in range(150))))
    assert json.loads(json.dumps(pairs)) == pairs
    total = 0
    for number in range(6000):
        total += number & 7
    assert total == 21_000


def cpu_time(work: Callable[[], object]) -> float:
    """Do something; return the CPU time that it took, in milliseconds."""
    start = time.thread_time()
    work()
    return (time.thread_time() - start) * 1000


def calibrated(work: Callable[[], float]) -> float:
    """Return what a measurement gives, in milliseconds of a quiet machine."""
    around = [cpu_time(calibrate) for _ in range(3)]
    found = work()
    around += [cpu_time(calibrate) for _ in range(3)]
    return found * CALIBRATED / median(around)


def serve(app: Any, sent: Sent) -> float:
    """Serve a request; return the CPU time that it took, in milliseconds."""

    async def measured() -> float:
        messages = iter(sent.messages())
        answer: list[Any] = []

        async def receive() -> Any:
            return next(messages, {"type": "http.disconnect"})

        async def send(message: Any) -> None:
            answer.append(message)

        scope = sent.scope()
        start = time.thread_time()
        await app(scope, receive, send)
        taken = time.thread_time() - start
        assert 200 <= answer[0]["status"] < 500
        return taken * 1000

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.run(measured())


def cost(apps: Applications, name: str, size: int, enough: float = 0.0) -> tuple[float, float]:
    """What a request of a size costs, and what of that is pydantic's: the least of rounds, until ours is enough."""
    sent = TABLE[name](size)
    app = apps[2 if name.startswith(HANDLED) else name in AROUND]
    serve(app, TABLE[name](100))
    serve(app, TABLE[name](100))
    part = PYDANTIC.get(name.removeprefix(HANDLED))
    work = None if part is None else part(sent)
    whole, alone = math.inf, 0.0 if work is None else math.inf
    for done in range(1, ROUNDS + 1):
        whole = min(whole, calibrated(lambda: serve(app, sent)))
        if work is not None and whole > enough:
            alone = min(alone, calibrated(lambda: cpu_time(work)))
        # A difference of two times is taken from two measurements of each at least.
        if whole <= enough or (whole - alone <= enough and (work is None or done > 1)):
            break
    return whole, min(alone, whole)


def slowness(name: str) -> float:
    """Return how much slower than a quiet machine of today a request may be; others parse the forms of handlers."""
    is_old = tuple(map(int, version("python-multipart").split("."))) < NEWEST_PARSER
    is_theirs = name.startswith((f"{HANDLED}form", f"{HANDLED}multipart"))
    return BUSY * OLD_PARSER if is_theirs and is_old else BUSY


@pytest.mark.parametrize("name", TABLE)
def test_cost_of_a_request_is_linear_and_little(name: str, applications: Applications) -> None:
    held = HELD * slowness(name)
    small, small_alone = cost(applications, name, SMALL, enough=held / 4)
    if name not in MESSAGES:
        assert small - small_alone <= held
    allowed = GROWTH * LARGE / SMALL * max(small, NEGLIGIBLE)
    large, large_alone = cost(applications, name, LARGE, enough=allowed)
    assert large - large_alone <= allowed


@pytest.mark.parametrize("name", [name for name in TABLE if name not in MESSAGES])
def test_cost_of_a_megabyte_is_bounded(name: str, applications: Applications) -> None:
    held = MEGABYTE_HELD * slowness(name)
    whole, alone = cost(applications, name, MEGABYTE, enough=held / 2)
    assert whole - alone <= held


def main() -> None:
    apps = application(), wrapped(), handled()
    logging.disable(logging.WARNING)
    print(f"{'milliseconds of CPU time':64}{'64 kB':>9}{'pydantic':>9}{'1 MB':>9}{'pydantic':>9}")
    for name in TABLE:
        if not sys.argv[1:] or sys.argv[1] in name:
            figures = *cost(apps, name, 64_000), *cost(apps, name, MEGABYTE, enough=20.0)
            own = figures[0] - figures[1], figures[2] - figures[3]
            mark = "!" if own[0] > HELD or own[1] > MEGABYTE_HELD else " "
            print(f"{mark} {name:62}" + "".join(f"{figure:9.1f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
