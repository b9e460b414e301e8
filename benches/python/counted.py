"""What callgrind counts: each case some times, then more times, with a mark between. Run by `instructions.py`.

All runs inside one step of one task, so that an event loop adds to the count only where a case waits for something.
"""

import asyncio
import gc
import sys
from importlib import import_module

from benches.cases.exchange import Receiver, ask, discard
from benches.cases.table import CASES, Case

FEW, MANY = 25, 100
# All that table A has, but for what takes minutes under callgrind: ten thousand routes, a hundred events a request.
CASES_COUNTED = tuple(case.name for case in CASES if case.name not in ("routes 10", "routes 10000", "events"))
MARK = "Py_SetRecursionLimit"
"""A function of the interpreter that nothing else calls; callgrind writes its counts out at each call."""


def _mark() -> None:
    sys.setrecursionlimit(sys.getrecursionlimit())


async def _count(case: Case) -> None:
    app = case.build(import_module("ferroapi"))
    answer = await ask(app, case.request)
    assert answer.status == case.status, answer
    scope, messages = case.request.scope(), case.request.messages()

    async def requests(times: int) -> None:
        for _ in range(times):
            await app(scope.copy(), Receiver(messages), discard)

    await requests(FEW)
    gc.collect()
    _mark()
    await requests(FEW)
    _mark()
    await requests(MANY)
    _mark()


if __name__ == "__main__":
    # A collection would fall into one count or the other by chance, as would a thread that takes its turn by the clock.
    gc.disable()
    sys.setswitchinterval(1000)
    by_name = {case.name: case for case in CASES}
    for name in sys.argv[1:]:
        asyncio.run(_count(by_name[name]))
