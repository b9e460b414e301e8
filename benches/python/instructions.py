"""`make bench-gate`: instructions a request, counted by callgrind, compared with the committed `instructions.json`.

Counts hardly move on a noisy machine, unlike times. They are compared where Python, the compilers and the packages are
those that the committed counts were taken with; elsewhere they are printed, and nothing is judged.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benches.python.counted import APART, CASES_COUNTED, FEW, MANY, MARK
from benches.surroundings import ROOT, versions

COMMITTED = ROOT / "benches" / "instructions.json"
GROWTH = 0.03
AGAIN = 2
"""How many times more a case is counted that has grown: what happens once by chance is no growth of a request."""

PROCESSES = 2

# What is on the way of a counted request; neither a server nor a peer is.
_COUNTED_PACKAGES = ("starlette", "pydantic", "pydantic-core", "anyio")


def _totals(folder: Path) -> list[int]:
    """Return what was counted before each mark, in order, over all threads of the process."""
    totals: dict[int, int] = {}
    for dump in folder.glob("counts.*"):
        part = re.search(r"^part: (\d+)", text := dump.read_text(errors="replace"), re.MULTILINE)
        total = re.search(r"^totals: (\d+)", text, re.MULTILINE)
        if part and total:
            totals[int(part[1])] = totals.get(int(part[1]), 0) + int(total[1])
    return [totals[part] for part in sorted(totals)]


def _environment(*, is_alias: bool) -> dict[str, str]:
    """Return what a counted process sees: nothing of the caller's that could change what is counted."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    # A plugin, such as logfire's, wraps every validator.
    kept |= {"FERROAPI_ALIAS": "1"} if is_alias else {}
    return kept | {"PYTHONHASHSEED": "0", "PYDANTIC_DISABLE_PLUGINS": "1", "LC_ALL": "C.UTF-8"}


def count_together(names: list[str], **environment: str) -> dict[str, int]:
    """Return the instructions of one request of each case, counted in one process with these variables.

    Raises:
        SystemExit: the cases did not run under valgrind.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--dump-before={MARK}",
            f"--callgrind-out-file={folder}/counts",
            "--combine-dumps=no",
            sys.executable,
            "-m",
            "benches.python.counted",
            *names,
        ]
        seen = _environment(is_alias=not APART.isdisjoint(names)) | environment
        finished = subprocess.run(command, cwd=ROOT, env=seen, capture_output=True, text=True)
        totals = _totals(Path(folder))
    # Three marks a case: the first ends its start-up, the others its requests. What follows the last is shutdown.
    if finished.returncode or len(totals) < 3 * len(names):
        raise SystemExit(f"the cases did not run under valgrind:\n{finished.stderr[-2000:]}")
    counts = {}
    for index, name in enumerate(names):
        few, many = totals[3 * index + 1 : 3 * index + 3]
        counts[name] = round((many - few) / (MANY - FEW))
    return counts


def count(names: list[str]) -> dict[str, int]:
    """Return the instructions of one request of each case.

    Raises:
        SystemExit: valgrind is missing, or the cases did not run under it.
    """
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed (Debian: apt-get install valgrind), so nothing was counted")
    # The same cases share a process however many are asked for: what ran before moves a count by a little.
    together = [name for name in CASES_COUNTED if name not in APART]
    shares = [[name for name in together[start::PROCESSES] if name in names] for start in range(PROCESSES)]
    shares += [[name] for name in CASES_COUNTED if name in APART and name in names]
    with ThreadPoolExecutor(PROCESSES) as pool:
        parts = list(pool.map(count_together, [share for share in shares if share]))
    counts = {name: instructions for part in parts for name, instructions in part.items()}
    return {name: counts[name] for name in CASES_COUNTED if name in counts}


def made_with() -> dict[str, str]:
    """Return what counts depend on besides the code: versions, compilers and the kind of processor."""
    rust = subprocess.run(["rustc", "--version"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    packages = {name: version for name, version in versions().items() if name in _COUNTED_PACKAGES}
    python = f"{platform.python_version()}, {platform.python_compiler()}"
    return {"machine": platform.machine(), "python": python, "rust": rust, **packages}


def differences(committed: dict[str, str], here: dict[str, str]) -> list[str]:
    """Return what is not as it was when the committed counts were taken, a line each."""
    names = dict.fromkeys([*committed, *here])
    return [
        f"{name}: {committed.get(name, 'none')} there, {here.get(name, 'none')} here"
        for name in names
        if committed.get(name) != here.get(name)
    ]


def count_grown_again(counts: dict[str, int], committed: dict[str, int]) -> dict[str, int]:
    """Return the counts; those that have grown too much are counted `AGAIN` times, and the smallest is taken."""
    for _ in range(AGAIN):
        grown = [name for name in counts if counts[name] > committed.get(name, counts[name]) * (1 + GROWTH)]
        if grown:
            print(f"counted again: {', '.join(f'{name} ({counts[name]:,})' for name in grown)}")
            counts = counts | {name: min(counts[name], again) for name, again in count(grown).items()}
    return counts


def compare(counts: dict[str, int], committed: dict[str, int]) -> list[str]:
    """Print the counts beside the committed ones; return the cases that have grown too much, or are not committed."""
    grown = []
    for name, instructions in counts.items():
        known = committed.get(name)
        if known is None:
            grown.append(name)
            print(f"{name:16} {instructions:>10,}  not committed")
            continue
        growth = instructions / known - 1
        verdict = ""
        if growth > GROWTH:
            grown.append(name)
            verdict = f"  more than {GROWTH:.0%}"
        print(f"{name:16} {instructions:>10,}  {growth:+.2%} of {known:,}{verdict}")
    return grown


def main() -> int:
    """Count, and compare or update; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benches.python.instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="take these counts as the ones to compare with")
    parser.add_argument("--case", action="append", choices=CASES_COUNTED, help="this case (may be repeated)")
    options = parser.parse_args()
    committed: dict[str, Any] = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    here = made_with()
    unlike = differences(committed.get("made_with", {}), here)
    counts = count(options.case or list(CASES_COUNTED))
    known = committed.get("instructions", {})
    if not (unlike or options.update):
        counts = count_grown_again(counts, known)
    grown = compare(counts, known)
    if options.update:
        if unlike and options.case:
            raise SystemExit("other cases were counted with something else; update all of them")
        known = {} if unlike else known
        kept = {name: counts.get(name, known.get(name)) for name in CASES_COUNTED if name in counts or name in known}
        COMMITTED.write_text(json.dumps({"made_with": here, "instructions": kept}, indent=1) + "\n")
        return 0
    if unlike:
        print("NOT COMPARED: the committed counts were taken with something else, so nothing can be said of growth.")
        print("\n".join(f"  {line}" for line in unlike))
        return 0
    if grown:
        print(f"grown: {', '.join(grown)}. If that is meant: make bench-gate ARGS=--update, and say why in the commit.")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
