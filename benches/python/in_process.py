"""Table A: the ASGI application called directly, in uvloop on one core, with a fixed scope, `receive` and `send`.

Every answer is compared before anything is timed. Contenders take turns: each round times all of them.
"""

import asyncio
import gc
import importlib
import os
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benches.cases.exchange import Answer, ASGIApp, Receiver, Request, ask, discard
from benches.cases.floor import floor
from benches.cases.table import CASES, Case
from benches.goals import Kept
from benches.rounds import Rounds

Sample = Callable[[int], Coroutine[Any, Any, float]]
"""Runs a number of times; returns seconds a time."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds of `samples` of about `seconds` each, for each contender."""

    rounds: int = 5
    samples: int = 5
    seconds: float = 0.06


@dataclass
class Measured(Rounds):
    """Microseconds a request of each contender: the minimum of each round, in `rounds`; `medians` of those."""

    case: Case
    rounds: dict[str, list[float]] = field(default_factory=dict)


class WrongAnswer(RuntimeError):
    """A contender answers something else than FastAPI does."""


def requests_of(app: ASGIApp, request: Request) -> Sample:
    """Return what times requests to an application."""
    scope, messages = request.scope(), request.messages()

    async def sample(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            # A server makes a new scope for each request, and applications write into it.
            await app(scope.copy(), Receiver(messages), discard)
        return (time.perf_counter() - start) / times

    return sample


def _calls(function: Callable[[], Any]) -> Sample:
    async def sample(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            function()
        return (time.perf_counter() - start) / times

    return sample


def _check(case: Case, name: str, expected: Answer, answer: Answer) -> None:
    if answer.status != case.status:
        raise WrongAnswer(f"{case.name}: {name} answers with status {answer.status}: {answer.body[:200]!r}")
    if answer != expected:
        raise WrongAnswer(f"{case.name}: {name} answers {answer}\ninstead of {expected}")


async def contenders(case: Case, processes: ExitStack) -> dict[str, Sample]:
    """Build the case's applications, compare their answers, and return what is to be timed.

    Processes are ended by the stack.

    Raises:
        WrongAnswer: an application answers with another status, header or body than FastAPI's.
    """
    samples = _apart(case, processes) if case.apart else await _here(case)
    if case.goal is not None and case.goal.beside is not None:
        # What it is compared with takes turns, too: a machine is seldom as fast some seconds later.
        samples[case.goal.beside] = await _beside(case.goal.beside, "ferroapi")
        if isinstance(case.goal, Kept):
            samples[f"fastapi {case.goal.beside}"] = await _beside(case.goal.beside, "fastapi")
    return samples


def _apart(case: Case, processes: ExitStack) -> dict[str, Sample]:
    from benches.python.apart import apart

    started = {name: processes.enter_context(apart(case.name, name)) for name in ("fastapi", "ferroapi")}
    expected, _ = started["fastapi"]
    for name, (answer, _) in started.items():
        _check(case, name, expected, answer)
    raw = requests_of(floor(case.request, expected), case.request)
    return {name: sample for name, (_, sample) in started.items()} | {"raw": raw}


async def _here(case: Case) -> dict[str, Sample]:
    ours = case.build(importlib.import_module("ferroapi"))
    apps = {"ferroapi": ours}
    if case.fastapi:
        apps["fastapi"] = case.build(importlib.import_module("fastapi"))
    if case.starlette:
        apps["starlette"] = case.starlette(importlib.import_module("starlette"))
    expected = await ask(apps.get("fastapi", ours), case.request)
    if case.name not in ("stream", "events"):  # a hundred messages are no shorter by hand
        apps["raw"] = floor(case.request, expected)
    for name, app in apps.items():
        for _ in range(3):  # the first request compiles; the ones that follow must answer the same
            _check(case, name, expected, await ask(app, case.request))
    samples = {name: requests_of(app, case.request) for name, app in apps.items()}
    if case.alone:
        if case.alone() != expected.body:
            raise WrongAnswer(f"{case.name}: pydantic alone makes {case.alone()!r}")
        samples["pydantic"] = _calls(case.alone)
    return samples


async def _beside(name: str, framework: str) -> Sample:
    """Build another case's application, check that it answers, and return what is to be timed."""
    case = next(case for case in CASES if case.name == name)
    app = case.build(importlib.import_module(framework))
    answer = await ask(app, case.request)
    for _ in range(3):
        _check(case, framework, answer, await ask(app, case.request))
    return requests_of(app, case.request)


async def _calibrate(sample: Sample, seconds: float) -> int:
    # Building the other contenders may have left work for the next request, such as a table of routes to make again.
    await sample(1)
    times = 1
    while True:
        taken = await sample(times) * times
        if taken >= seconds / 4:
            return max(1, round(times * seconds / taken))
        times *= 2


async def measure(case: Case, effort: Effort) -> Measured:
    """Time one case in interleaved rounds."""
    with ExitStack() as processes:
        return await _measure(case, effort, await contenders(case, processes))


async def _measure(case: Case, effort: Effort, samples: dict[str, Sample]) -> Measured:
    gc.collect()
    times = {name: await _calibrate(sample, effort.seconds) for name, sample in samples.items()}
    measured = Measured(case, {name: [] for name in samples})
    for _ in range(effort.rounds):
        best: dict[str, float] = dict.fromkeys(samples, float("inf"))
        for _ in range(effort.samples):
            for name, sample in samples.items():
                best[name] = min(best[name], await sample(times[name]))
        for name, seconds in best.items():
            measured.rounds[name].append(seconds * 1e6)
    return measured


def run(names: Iterable[str], effort: Effort, report: Callable[[Measured], None]) -> list[Measured]:
    """Measure the named cases, or all if none is named, and report each as it is done."""
    import uvloop

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    wanted = set(names)
    unknown = wanted - {case.name for case in CASES}
    if unknown:
        raise SystemExit(f"no such case: {', '.join(sorted(unknown))}")
    results = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for case in CASES:
            if not wanted or case.name in wanted:
                results.append(runner.run(measure(case, effort)))
                report(results[-1])
    return results
