"""What a request of the test client costs beside one of Starlette's: `python -m benches.python.test_client`.

CPU time of the process, as both clients run the application in it. The clients take turns; the minimum of the rounds.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient as StarletteClient

from ferroapi import FastAPI
from ferroapi.testclient import TestClient

ROUNDS = 40
REQUESTS = 10

app = FastAPI()


@app.get("/async")
async def read() -> dict[str, int]:
    return {"value": 1}


@app.post("/async")
async def write(item: dict[str, int]) -> dict[str, int]:
    return item


@app.get("/def")
def read_in_thread() -> dict[str, int]:
    return {"value": 1}


REQUESTED: dict[str, Callable[[Any], Any]] = {
    "GET": lambda client: client.get("/async"),
    "POST with JSON": lambda client: client.post("/async", json={"value": 1}),
    "GET of a def endpoint": lambda client: client.get("/def"),
}


def cost(client: StarletteClient, request: Callable[[Any], Any]) -> float:
    """Return the CPU time of one request, in milliseconds."""
    began = time.process_time()
    for _ in range(REQUESTS):
        request(client)
    return (time.process_time() - began) / REQUESTS * 1000


def compare(where: str, theirs: StarletteClient, ours: StarletteClient) -> None:
    for name, request in REQUESTED.items():
        for client in (theirs, ours):
            answers = {(request(client).status_code, request(client).text) for _ in range(10)}
            assert answers == {(200, '{"value":1}')}, answers
        rounds = [(cost(theirs, request), cost(ours, request)) for _ in range(ROUNDS)]
        their_cost, our_cost = (min(column) for column in zip(*rounds, strict=True))
        sys.stdout.write(f"{name}, {where}: {their_cost:.2f} ms, {our_cost:.2f} ms, {their_cost / our_cost:.1f}x\n")


def main() -> None:
    compare("outside of with", StarletteClient(app), TestClient(app))
    with StarletteClient(app) as theirs, TestClient(app) as ours:
        compare("inside of with", theirs, ours)


if __name__ == "__main__":
    main()
