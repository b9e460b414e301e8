"""A case in a process of its own: packages that observe an application replace names of `fastapi` for a whole process.

Run with the name of a case. It prints the answer, then for each line, a number of requests, the seconds one took.
"""

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from benches.cases.exchange import Answer, ask
from benches.cases.table import CASES
from benches.python.in_process import Sample, requests_of
from benches.surroundings import ROOT


def surroundings(framework: str) -> dict[str, str]:
    """Return the variables of a process in which `fastapi` is this framework."""
    # A plugin of pydantic's, such as logfire's, wraps every validator.
    own = {"PYDANTIC_DISABLE_PLUGINS": "1"} | ({"FERROAPI_ALIAS": "1"} if framework == "ferroapi" else {})
    return {name: value for name, value in os.environ.items() if name != "FERROAPI_ALIAS"} | own


@contextmanager
def apart(name: str, framework: str) -> Iterator[tuple[Answer, Sample]]:
    """Start such a process; yield what it answers, and what times it.

    Raises:
        RuntimeError: by the latter, when the process has ended.
    """
    command = [sys.executable, "-m", "benches.python.apart", name]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=surroundings(framework), **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def line() -> bytes:
            if not (answered := answers.readline()):
                raise RuntimeError(f"{name}: the process of {framework} has ended")
            return answered

        async def sample(times: int) -> float:
            requests.write(b"%d\n" % times)
            requests.flush()
            return float(line())

        yield pickle.loads(bytes.fromhex(line().decode())), sample
        requests.close()


async def _main(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    app = case.build(import_module("fastapi"))
    answer = await ask(app, case.request)
    for _ in range(3):  # the first request compiles; the ones that follow must answer the same
        assert await ask(app, case.request) == answer
    print(pickle.dumps(answer).hex(), flush=True)
    sample = requests_of(app, case.request)
    for line in sys.stdin:
        print(await sample(int(line)), flush=True)


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(sys.argv[1]))
