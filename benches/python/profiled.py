"""What a profiled build learns from, run by `maturin build --pgo`: the cases of table A, and mostly those on a server.

What is done a hundredth as often, such as the start of an application, is compiled to be small.
"""

import asyncio

import uvloop

from benches.cases.table import CASES
from benches.python import counted

IN_PROCESS, SERVED = 300, 10_000
"""Requests of each case."""


def main() -> None:
    """Make the requests; not of cases that packages of others observe, since most of what runs there is theirs."""
    by_name = {case.name: case for case in CASES}
    for name in counted.CASES_COUNTED:
        if name.endswith(counted.ON_SERVER):
            counted.MANY = SERVED
            uvloop.run(counted.count_served(by_name[name.removesuffix(counted.ON_SERVER)]))
        elif name not in counted.APART:
            counted.MANY = IN_PROCESS
            asyncio.run(counted.count(by_name[name]))


if __name__ == "__main__":
    main()
