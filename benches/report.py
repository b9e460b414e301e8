"""The tables of a run, as markdown, from what `results.json` keeps; and their place in the README.

Run as `python -m benches.report`, it writes the README's tables again from the results that are there.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benches.surroundings import ROOT

RESULTS = ROOT / "benches" / "results.json"
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "benchmarks.md"
START, END = "<!-- bench:start -->", "<!-- bench:end -->"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text and whose others are figures."""
    lines = [" | ".join(head), " | ".join(["---"] + ["---:"] * (len(head) - 1)), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _number(value: float | None, digits: int = 3) -> str:
    """Print a figure with so many digits that mean something."""
    if value is None:
        return ""
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _judged(row: dict[str, Any]) -> list[str]:
    met = row.get("met")
    return [row.get("ratio", ""), row.get("goal", "") + ("" if met is None else " ✓" if met else " ✗")]


def _in_process(section: dict[str, Any]) -> str:
    rows = []
    for row in section["rows"]:
        figures = row["figures"]
        floor = figures.get("raw")
        columned = ("ferroapi", "fastapi", "raw")
        others = ", ".join(f"{name} {_number(figure)}" for name, figure in figures.items() if name not in columned)
        columns = [_number(figures["ferroapi"]), _number(figures.get("fastapi")), _number(floor), others]
        rows.append([row["name"], *columns, *_judged(row)])
    head = ("in process, µs a request", "ferroapi", "FastAPI", "raw ASGI", "others", "ratio", "goal")
    return _table(head, rows)


def _goals(head: str, rows: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Return a table of the goals of named rows; nothing if they have none."""
    judged = [
        [name, f"{goal['contender']} / {goal['reference']}", *_judged(goal)]
        for name, row in rows
        for goal in row.get("goals", ())
    ]
    return "\n\n" + _table((head, "contender / reference", "ratio", "goal"), judged) if judged else ""


def _server(section: dict[str, Any]) -> str:
    rows = []
    for row in section["rows"]:
        rates = {name: f"{value:,.0f}" for name, value in row["figures"].items()}
        columns = [rates.pop(name) for name in ("ferroapi", "fastapi", "raw")]
        rows.append([row["name"], *columns, ", ".join(f"{name} {rate}" for name, rate in rates.items())])
    goals = [(row["name"], row) for row in section["rows"]]
    if idle := section.get("idle"):
        goals.append((f"memory of {idle['connections']:,} idle connections, bytes each", idle))
    table = _table(("on a server, requests a second", "ferroapi", "FastAPI", "raw ASGI", "others"), rows)
    return table + _goals("on a server", goals)


def _load(section: dict[str, Any]) -> str:
    names = list(dict.fromkeys(name for row in section["rows"] for name in row["figures"]))
    rows = [[row["name"], *(f"{row['figures'][name]:,.0f}" for name in names), row["ratio"]] for row in section["rows"]]
    shown = ("FastAPI" if name == "fastapi" else name for name in names)
    table = _table((f"TechEmpower's test types on {section['database']}, requests a second", *shown, "ratio"), rows)
    return table + _goals("load set", [(row["name"], row) for row in section["rows"]])


def _startup(section: dict[str, Any]) -> str:
    rows = []
    for row in section["rows"]:
        figures = (f"{_number(row['figures'][name])} {row['unit']}" for name in ("ferroapi", "fastapi"))
        rows.append([row["name"], *figures, *_judged(row)])
    return _table(("start-up and memory", "ferroapi", "FastAPI", "ratio", "goal"), rows)


_SECTIONS = {"in_process": _in_process, "server": _server, "load": _load, "startup": _startup}


def section_table(name: str, section: dict[str, Any]) -> str:
    """Return the table of one section."""
    return _SECTIONS[name](section)


def _made_with(section: dict[str, Any]) -> str:
    machine, versions = section["machine"], section["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "ferroapi")
    return (
        f"Measured {section['date'][:10]} at {section['commit']} on {machine['processor']}, {machine['cores']} cores,"
        f" load {machine['load'][0]:g} when it began. {packages}."
    )


def markdown(results: dict[str, Any]) -> str:
    """Return all tables, each with what it was made with."""
    parts = []
    for name in _SECTIONS:
        if name in results:
            parts += [section_table(name, results[name]), _made_with(results[name])]
    return "\n\n".join(parts)


def write_readme(results: dict[str, Any], readme: Path = README) -> bool:
    """Put the tables between the README's markers; return False if it has none."""
    text = readme.read_text() if readme.exists() else ""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        return False
    readme.write_text(f"{before}{START}\n\n{markdown(results)}\n\n{END}{after}")
    return True


def write_pages(results: dict[str, Any]) -> list[Path]:
    """Put the tables into the README and into the site's page; return those that have no markers."""
    return [page for page in (README, PAGE) if not write_readme(results, page)]


if __name__ == "__main__":
    if unmarked := write_pages(json.loads(RESULTS.read_text())):
        raise SystemExit(f"no {START} and {END} in {', '.join(page.name for page in unmarked)}")
