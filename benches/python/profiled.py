"""What a profiled build learns from, run by `make wheel`: the cases of table A, and mostly those on a server.

What is done a hundredth as often, such as the start of an application, is compiled to be small.
"""

from benches.python import counted

IN_PROCESS, SERVED = 300, 10_000
"""Requests of each case."""


def main() -> None:
    """Make the requests; not of cases that packages of others observe, since most of what runs there is theirs."""
    for name in counted.CASES_COUNTED:
        if name not in counted.APART:
            counted.MANY = SERVED if name.endswith(counted.ON_SERVER) else IN_PROCESS
            counted.run(name)


if __name__ == "__main__":
    main()
