"""What callgrind counts: each case some times, then more times, with a mark between. Run by `instructions.py`.

Coroutines are driven by hand where the case never suspends, so that no event loop adds to the count.
"""

import asyncio
import gc
import sys
from importlib import import_module

from benches.cases.exchange import Receiver, ask, discard
from benches.cases.table import CASES, Case

FEW, MANY = 100, 400
CASES_COUNTED = ("json", "items", "deps", "body", "dict", "sync")
MARK = "Py_SetRecursionLimit"
"""A function of the interpreter that nothing else calls; callgrind writes its counts out at each call."""


def _mark() -> None:
    sys.setrecursionlimit(sys.getrecursionlimit())


class _Suspended(RuntimeError):
    """A case that is driven by hand waits for something."""


def _count(case: Case) -> None:
    app = case.build(import_module("ferroapi"))
    answer = asyncio.run(ask(app, case.request))
    assert answer.status == case.status, answer
    scope, messages = case.request.scope(), case.request.messages()

    def by_hand(times: int) -> None:
        for _ in range(times):
            awaiting = app(scope.copy(), Receiver(messages), discard).__await__()
            try:
                next(awaiting)
            except StopIteration:
                continue
            raise _Suspended(case.name)

    async def in_a_loop(times: int) -> None:
        for _ in range(times):
            await app(scope.copy(), Receiver(messages), discard)

    async def count() -> None:
        await in_a_loop(FEW)
        _mark()
        await in_a_loop(FEW)
        _mark()
        await in_a_loop(MANY)
        _mark()

    gc.collect()
    if case.name == "sync":
        asyncio.run(count())
        return
    by_hand(FEW)
    _mark()
    by_hand(FEW)
    _mark()
    by_hand(MANY)
    _mark()


if __name__ == "__main__":
    # A collection would fall into one count or the other by chance.
    gc.disable()
    by_name = {case.name: case for case in CASES}
    for name in sys.argv[1:]:
        _count(by_name[name])
