"""`make bench`: measure, print the tables, keep the figures in `results.json`, write the site's tables and chart."""

import argparse
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benches import report
from benches.surroundings import ROOT, surroundings

if TYPE_CHECKING:
    from benches.http.pinned import Effort
    from benches.rounds import Rounds

SECTIONS = ("in_process", "server", "load", "startup")


def _measure_in_process(options: argparse.Namespace) -> dict[str, Any]:
    from benches.python.in_process import Effort, Measured, run

    effort = Effort(rounds=3, samples=3, seconds=0.02) if options.quick else Effort()
    measured = run(options.case, effort, _progress)

    def row(each: Measured) -> dict[str, Any]:
        goal, found = each.case.goal, None
        if goal is not None:
            found = goal.judge(each.medians)
        ratio, met = found or (None, None)
        unit = "x" if goal is None or str(goal).endswith("x") else " of it"
        if ratio is None and "fastapi" in each.medians:
            ratio = each.medians["fastapi"] / each.medians["ferroapi"]
        return {
            "name": each.case.name,
            "what": each.case.what,
            "figures": each.medians,
            "rounds": each.rounds,
            "ratio": "" if ratio is None else f"{ratio:.3g}{unit}",
            "goal": "" if goal is None else str(goal),
            "met": met,
        }

    return {"unit": "µs", "rounds": effort.rounds, "rows": [row(each) for each in measured]}


def _effort(options: argparse.Namespace, rounds: int) -> "Effort":
    from benches.http.pinned import Effort

    return Effort(options.rounds or 1, bursts=2) if options.quick else Effort(options.rounds or rounds)


def _judged(figures: "Rounds", contender: str, reference: str, factor: float) -> dict[str, Any]:
    ratio = figures.ratio(contender, reference)
    return {
        "contender": contender,
        "reference": reference,
        "ratio": f"{ratio:.3g}x",
        "goal": f"{factor:g}x",
        "met": ratio >= factor,
    }


def _measure_server(options: argparse.Namespace) -> dict[str, Any]:
    from benches.http import idle
    from benches.http.pinned import load_command
    from benches.http.run import OURS, run

    effort = _effort(options, 5)
    rows = []
    for served in run(options.case, effort, options.peers, _progress):
        goals = [
            _judged(served, goal.contender, goal.reference, goal.factor)
            for goal in served.row.goals
            if goal.reference in served.rounds
        ]
        rows.append({"name": served.row.name, "figures": served.medians, "rounds": served.rounds, "goals": goals})
    command = " ".join(load_command(0, effort.seconds, "REQUEST.lua", "http://127.0.0.1:PORT/"))
    section = {"unit": "requests/s", "rounds": effort.rounds, "command": command, "rows": rows}
    if not options.case:
        figures = idle.run()
        ours, theirs = figures[OURS], figures["ferroapi"]
        goal = {"ratio": f"{ours:,.0f}", "goal": f"< {theirs:,.0f}", "met": ours < theirs}
        section["idle"] = {
            "connections": idle.CONNECTIONS,
            "figures": figures,
            "goals": [{"contender": OURS, "reference": "ferroapi", **goal}],
        }
    return section


def _measure_load(options: argparse.Namespace) -> dict[str, Any]:
    from benches.http.pinned import load_command
    from benches.load.run import OURS, run

    effort = _effort(options, 3)
    made, loads = run(options.case, effort, options.peers, _progress)
    rows = [
        {
            "name": loaded.name,
            "path": loaded.case.path,
            "figures": loaded.medians,
            "rounds": loaded.rounds,
            "ratio": f"{loaded.ratio('ferroapi', 'fastapi'):.3g}x FastAPI",
            "goals": [_judged(loaded, OURS, name, factor) for name, factor in loaded.goals],
        }
        for loaded in loads
    ]
    return {
        "unit": "requests/s",
        "database": f"{made.kind} {made.version}",
        "rounds": effort.rounds,
        "command": " ".join(load_command(0, effort.seconds, "REQUEST.lua", "http://127.0.0.1:PORT/PATH")),
        "rows": rows,
    }


def _measure_startup(options: argparse.Namespace) -> dict[str, Any]:
    from benches.python.startup import GOALS, run

    rows = []
    for started in run(3, 1) if options.quick else run():
        unit, goal = GOALS[started.name]
        ours, theirs = started.medians["ferroapi"], started.medians["fastapi"]
        rows.append(
            {
                "name": started.name,
                "unit": unit,
                "figures": started.medians,
                "rounds": started.rounds,
                "ratio": f"{theirs / ours:.3g}x",
                "goal": "" if goal is None else f"{goal:g} {unit}",
                "met": None if goal is None else ours <= goal,
            }
        )
    return {"rows": rows}


_MEASURES = {
    "in_process": _measure_in_process,
    "server": _measure_server,
    "load": _measure_load,
    "startup": _measure_startup,
}


def _progress(each: Any) -> None:
    figures = "  ".join(f"{name} {value:,.2f}" for name, value in each.medians.items())
    name = getattr(each, "name", None) or each.case.name
    print(f"{name:16} {figures}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--only", choices=SECTIONS, action="append", help="measure this section (may be repeated)")
    parser.add_argument(
        "--case", action="append", default=[], help="measure this case (may be repeated); nothing is kept"
    )
    parser.add_argument("--peers", action="store_true", help="other frameworks on the server too, those installed")
    parser.add_argument("--quick", action="store_true", help="a few seconds a case, to look; nothing is kept")
    parser.add_argument("--rounds", type=int, help="rounds on the server instead of 5, or 3, or 1 if it is to be quick")
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    options = _options()
    # Of whatever is installed beside: logfire's wraps every validator and imports OpenTelemetry, servers included.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "1"
    results: dict[str, Any] = json.loads(report.RESULTS.read_text()) if report.RESULTS.exists() else {}
    unmeasured = []
    for name in options.only or SECTIONS:
        described = surroundings()
        if options.case and name == "startup":
            continue
        # A process for each section: one pins itself, and imports of one are no figures of another.
        if options.only is None:
            command = [sys.executable, "-m", "benches", "--only", name, *sys.argv[1:]]
            if subprocess.run(command, cwd=ROOT, env=os.environ).returncode:
                unmeasured.append(name)
            continue
        try:
            section = described | _MEASURES[name](options)
        except RuntimeError as error:
            print(f"{name}: {error}", file=sys.stderr)
            unmeasured.append(name)
            continue
        print(report.section_table(name, section), report.goals_of(section), sep="\n\n", flush=True)
        if not (options.quick or options.case):
            results[name] = section
            report.RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
            if not report.write_site(results):
                print(f"{report.PAGE.name} has no {report.START} and {report.END}: left as it is", file=sys.stderr)
    if unmeasured and options.only is None:
        print(f"not measured: {', '.join(unmeasured)}", file=sys.stderr)
    return 1 if unmeasured else 0


if __name__ == "__main__":
    sys.exit(main())
