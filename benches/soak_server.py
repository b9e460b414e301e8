"""`make soak-server`: the engine's protocol beside clients that leave, stall and send rubbish: nothing is lost or kept.

Well-behaved clients check each answer of the one server process, by a number that is theirs alone, while the others
misbehave. Afterwards the server is asked what is left: connections, tasks, and memory for a request.
"""

import argparse
import asyncio
import contextlib
import json
import random
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from benches.surroundings import ROOT

RSS_LIMIT = 8.0  # bytes a request, once warm
RSS_ALLOWANCE = 1_000_000  # bytes, whatever the number of requests: the allocator's own
CLIENTS = 8
PARTS = 3
BESIDE = 4  # of each kind that misbehaves

SERVED = """
import asyncio, gc, os, sys
from ferroapi import Body, FastAPI
from ferroapi.server import HTTPProtocol
import uvicorn

app = FastAPI()

@app.get("/now/{number}")
async def now(number: int):
    return number

@app.get("/wait/{number}")
async def wait(number: int):
    await asyncio.sleep(0.001)
    return number

@app.get("/thread/{number}")
def thread(number: int):
    return number

@app.post("/body")
async def body(value: int = Body()):
    return value

@app.get("/left")
async def left():
    gc.collect()
    resident = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    connections = sum(isinstance(each, HTTPProtocol) for each in gc.get_objects())
    return {"connections": connections, "tasks": len(asyncio.all_tasks()), "resident": resident}

uvicorn.run(app, http=HTTPProtocol, fd=int(sys.argv[1]), access_log=False, log_level="critical")
"""


@dataclass
class Counts:
    """What the clients did, and what went wrong."""

    asked: int = 0
    misbehaved: int = 0
    wrong: list[str] = field(default_factory=list)


def request_of(number: int) -> bytes:
    """Return a request whose answer is this number, of a kind that depends on it."""
    kind = number % 4
    if kind == 3:
        body = b"%d" % number
        return b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )
    return b"GET /%b/%d HTTP/1.1\r\nHost: x\r\n\r\n" % ((b"now", b"wait", b"thread")[kind], number)


async def answer_to(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


async def behave(port: int, numbers: range, counts: Counts) -> None:
    """Ask for each number, some of them together, and check the answers; take a new connection now and then."""
    dice = random.Random(numbers.start)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waiting = list(numbers)
    while waiting:
        together, waiting = waiting[: (size := dice.choice((1, 1, 1, 2, 9)))], waiting[size:]
        stream = b"".join(map(request_of, together))
        cut = dice.randrange(len(stream))
        writer.write(stream[:cut])
        await writer.drain()
        writer.write(stream[cut:])
        for number in together:
            answer = await asyncio.wait_for(answer_to(reader), 60)
            counts.asked += 1
            if answer != b"%d" % number:
                counts.wrong.append(f"{answer!r} instead of {number}")
        if dice.random() < 0.01:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def misbehave(port: int, kind: str, seed: int, counts: Counts) -> None:
    """Leave, stall or send rubbish until cancelled."""
    dice = random.Random(f"{kind} {seed}")
    while True:
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                stream = b"".join(request_of(dice.randrange(1 << 40)) for _ in range(dice.randint(1, 9)))
                if kind == "rubbish":
                    stream = bytearray(stream)  # type: ignore[assignment]
                    for _ in range(dice.randint(1, 20)):
                        stream[dice.randrange(len(stream))] = dice.randrange(256)  # type: ignore[index]
                writer.write(stream[: dice.randint(1, len(stream))])
                if kind == "stall":
                    await asyncio.sleep(dice.random())
                elif dice.random() < 0.5:
                    await asyncio.wait_for(reader.read(100), 0.05)
            finally:
                counts.misbehaved += 1
                if dice.random() < 0.5:
                    writer.transport.abort()
                writer.close()
        await asyncio.sleep(0)


async def left(port: int) -> dict[str, Any]:
    """Return what the server holds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /left HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer: dict[str, Any] = json.loads(await answer_to(reader))
    writer.close()
    return answer


def shares(requests: int) -> list[list[range]]:
    """Return the numbers that each client asks for in each part: all below `requests`, each once."""
    starts = [requests * share // (PARTS * CLIENTS) for share in range(PARTS * CLIENTS + 1)]
    whole = [range(start, end) for start, end in pairwise(starts)]
    return [whole[part * CLIENTS : (part + 1) * CLIENTS] for part in range(PARTS)]


async def soak(port: int, requests: int) -> int:
    """Make so many requests beside the others; print what came of it, and return how much of it was wrong."""
    counts, readings = Counts(), []
    # What a server that has served nobody holds: its own tasks, and the connection that asks with its task.
    fresh = await left(port)
    for part, clients in enumerate(shares(requests)):
        beside = [
            asyncio.create_task(misbehave(port, kind, seed + part * BESIDE, counts))
            for kind in ("leave", "stall", "rubbish")
            for seed in range(BESIDE)
        ]
        await asyncio.gather(*(behave(port, numbers, counts) for numbers in clients))
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        # Whoever stalls is cut off by the server no later than this.
        await asyncio.sleep(1)
        readings.append((counts.asked, await left(port)))
    (asked, first), (whole, last) = readings[1], readings[2]
    grown = last["resident"] - first["resident"]
    growth = grown / (whole - asked)
    is_kept = grown > RSS_LIMIT * (whole - asked) + RSS_ALLOWANCE
    kept = {name: last[name] - fresh[name] for name in ("connections", "tasks")}
    print(
        f"{counts.asked:,} of {requests:,} requests answered, {len(counts.wrong)} wrong; "
        f"{counts.misbehaved:,} connections misbehaved; "
        f"left: {kept['connections']} connections, {kept['tasks']} tasks, {growth:+.2f} bytes a request"
    )
    print(*counts.wrong[:5], sep="\n", end="")
    kinds_kept: int = sum(number > 0 for number in kept.values()) + is_kept
    return len(counts.wrong) + abs(requests - counts.asked) + kinds_kept


def main() -> int:
    """Serve, soak, and return 1 if anything was lost, crossed or kept."""
    parser = argparse.ArgumentParser(prog="python -m benches.soak_server", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        command = [sys.executable, "-c", SERVED, str(listening.fileno())]
        server = subprocess.Popen(command, cwd=ROOT, pass_fds=[listening.fileno()])
        try:
            failures = asyncio.run(soak(listening.getsockname()[1], options.requests))
        finally:
            server.terminate()
            server.wait(30)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
