"""`make bench-gate`: instructions a request, counted by callgrind, compared with the committed `instructions.json`.

Counts hardly move on a noisy machine, unlike times. They hold for the versions and the machine kept beside them.
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
from pathlib import Path
from typing import Any

from benches.python.counted import CASES_COUNTED, FEW, MANY, MARK
from benches.surroundings import ROOT, versions

COMMITTED = ROOT / "benches" / "instructions.json"
GROWTH = 0.03


def _totals(folder: Path) -> list[int]:
    """Return what was counted before each mark, in order, over all threads of the process."""
    totals: dict[int, int] = {}
    for dump in folder.glob("counts.*"):
        part = re.search(r"^part: (\d+)", text := dump.read_text(errors="replace"), re.MULTILINE)
        total = re.search(r"^totals: (\d+)", text, re.MULTILINE)
        if part and total:
            totals[int(part[1])] = totals.get(int(part[1]), 0) + int(total[1])
    return [totals[part] for part in sorted(totals)]


def count(names: list[str]) -> dict[str, int]:
    """Return the instructions of one request of each case.

    Raises:
        SystemExit: valgrind is missing, or the cases did not run under it.
    """
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed (Debian has it in the package valgrind)")
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
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        totals = _totals(Path(folder))
    # Three marks a case: the first ends its start-up, the others its requests. What follows the last is shutdown.
    if finished.returncode or len(totals) < 3 * len(names):
        raise SystemExit(f"the cases did not run under valgrind:\n{finished.stderr[-2000:]}")
    counts = {}
    for index, name in enumerate(names):
        few, many = totals[3 * index + 1 : 3 * index + 3]
        counts[name] = round((many - few) / (MANY - FEW))
    return counts


def _compare(counts: dict[str, int], committed: dict[str, Any]) -> bool:
    """Print the counts beside the committed ones; return whether none has grown too much."""
    is_held = True
    for name, instructions in counts.items():
        known = committed["instructions"].get(name)
        growth = instructions / known - 1 if known else 0.0
        is_held &= growth <= GROWTH
        verdict = "" if growth <= GROWTH else f"  more than {GROWTH:.0%}"
        print(f"{name:8} {instructions:>10,}  {growth:+.2%} of {known or instructions:,}{verdict}")
    return is_held


def main() -> int:
    """Count, and compare or update; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benches.python.instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="take these counts as the ones to compare with")
    parser.add_argument("case", nargs="*", choices=[*CASES_COUNTED, []], help="these cases only")
    options = parser.parse_args()
    counts = count(options.case or list(CASES_COUNTED))
    committed = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {"instructions": {}}
    is_held = _compare(counts, committed)
    made_with = {"machine": platform.machine(), "versions": versions()}
    if options.update:
        kept = {**made_with, "instructions": committed["instructions"] | counts}
        COMMITTED.write_text(json.dumps(kept, indent=1) + "\n")
        return 0
    if not is_held and committed.get("versions") != made_with["versions"]:
        print("the committed counts are of other versions:", committed.get("versions"))
    return 0 if is_held else 1


if __name__ == "__main__":
    sys.exit(main())
