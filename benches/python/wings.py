"""What each faster replacement saves of a served request, by instructions: with it, and with the library's own code.

A case is served by the engine's HTTP protocol under uvloop; its client is another process, which is not counted.
"""

import argparse

from benches.python.counted import ON_SERVER
from benches.python.instructions import count_together

CASES = {
    "threads": ("sync", "sdeps"),
    "middleware": ("http middleware", "cors"),
    "models": ("model",),
}
"""The cases that what is switched off with `FERROAPI_PLAIN` by this name stands in the way of."""

LEAST = 0.10
"""The share of each request that one of them has to save, to be worth its code."""


def main() -> None:
    """Count, and print the rows of a table.

    Raises:
        SystemExit: one saves too little, or the cases did not run under valgrind.
    """
    parser = argparse.ArgumentParser(prog="python -m benches.python.wings", description=__doc__)
    parser.add_argument("--only", action="append", choices=CASES, help="this one (may be repeated)")
    small = []
    print("| `FERROAPI_PLAIN` | request | with the replacement | without | saved |")
    print("|---|---|---:|---:|---:|")
    for name in parser.parse_args().only or CASES:
        served = [case + ON_SERVER for case in CASES[name]]
        counts, plain = count_together(served), count_together(served, FERROAPI_PLAIN=name)
        saved = {case: 1 - counts[case] / plain[case] for case in served}
        for case in served:
            what = case.removesuffix(ON_SERVER)
            print(f"| `{name}` | {what} | {counts[case]:,} | {plain[case]:,} | {saved[case]:.0%} |", flush=True)
        if min(saved.values()) < LEAST:
            small.append(name)
    if small:
        raise SystemExit(f"these save less than {LEAST:.0%} of each request: {', '.join(small)}")


if __name__ == "__main__":
    main()
