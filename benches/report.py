"""The tables of a run, as markdown, from what `results.json` keeps; and their place in the site's page.

Run as `python -m benches.report`, it writes the tables and the chart again from the results that are there.
"""

import inspect
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benches.surroundings import ROOT

RESULTS = ROOT / "benches" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
CODE_PAGE = ROOT / "docs" / "benchmark-code.md"
START, END = "<!-- bench:start -->", "<!-- bench:end -->"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text and whose others, but that of the other contenders, are figures."""
    places = ["---" if name in (head[0], "others") else "---:" for name in head]
    lines = [" | ".join(each) for each in (head, places, *rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _number(value: float | None, digits: int = 3) -> str:
    """Print a figure with so many digits that mean something."""
    if value is None:
        return ""
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _ratio(row: dict[str, Any]) -> str:
    """Return the ratio of a row; "of it" is of what its goal names after the bound, as in "1.3 · (pydantic + json)"."""
    _, _, reference = row.get("goal", "").partition(" · ")
    text: str = row.get("ratio", "")
    if not reference:
        return text
    return f"{text.removesuffix(' of it')} × {reference.replace('saved in json', 'what json saves')}"


def _in_process(section: dict[str, Any]) -> str:
    rows = []
    for row in section["rows"]:
        figures = row["figures"]
        floor = figures.get("raw")
        columned = ("ferroapi", "fastapi", "raw")
        others = ", ".join(f"{name} {_number(figure)}" for name, figure in figures.items() if name not in columned)
        columns = [_number(figures["ferroapi"]), _number(figures.get("fastapi")), _number(floor), others]
        rows.append([row["name"], *columns, _ratio(row)])
    head = ("in process, µs a request", "ferroapi", "FastAPI", "raw ASGI", "others", "ratio")
    return _table(head, rows)


def _server(section: dict[str, Any]) -> str:
    rows = []
    for row in section["rows"]:
        rates = {name: f"{value:,.0f}" for name, value in row["figures"].items()}
        columns = [rates.pop(name) for name in ("ferroapi", "fastapi", "raw")]
        rows.append([row["name"], *columns, ", ".join(f"{name} {rate}" for name, rate in rates.items())])
    return _table(("on a server, requests a second", "ferroapi", "FastAPI", "raw ASGI", "others"), rows)


def _load(section: dict[str, Any]) -> str:
    names = list(dict.fromkeys(name for row in section["rows"] for name in row["figures"]))
    rows = [[row["name"], *(f"{row['figures'][name]:,.0f}" for name in names), row["ratio"]] for row in section["rows"]]
    shown = ("FastAPI" if name == "fastapi" else name for name in names)
    return _table((f"TechEmpower's test types on {section['database']}, requests a second", *shown, "ratio"), rows)


def _startup(section: dict[str, Any]) -> str:
    rows = []
    for row in section["rows"]:
        figures = (f"{_number(row['figures'][name])} {row['unit']}" for name in ("ferroapi", "fastapi"))
        rows.append([row["name"], *figures, row.get("ratio", "")])
    return _table(("start-up and memory", "ferroapi", "FastAPI", "ratio"), rows)


_SECTIONS = {"in_process": _in_process, "server": _server, "load": _load, "startup": _startup}


_FRAMEWORKS = ("fastapi", "starlette", "litestar", "blacksheep", "falcon")
_TITLES = {"in_process": "In process", "server": "On a server", "load": "With a database", "startup": "Start-up"}


_UNITS = {"in_process": "µs", "server": "requests a second", "load": "requests a second"}


def section_table(name: str, section: dict[str, Any]) -> str:
    """Return the table of one section."""
    return _SECTIONS[name](section)


def goals_of(section: dict[str, Any]) -> str:
    """Return a line for each goal of a section, for those who measure: what was wanted, what came out."""
    rows = [(row["name"], row) for row in section["rows"]]
    if idle := section.get("idle"):
        rows.append((f"memory of {idle['connections']:,} idle connections", idle))
    judged = [
        (name, goal) for name, row in rows for goal in (row, *row.get("goals", ())) if goal.get("met") is not None
    ]
    return "\n".join(
        f"{name}: {goal['ratio']}, the goal is {goal['goal']}: {'reached' if goal['met'] else 'missed'}"
        for name, goal in judged
    )


def _not_won(results: dict[str, Any]) -> str:
    """Say each row in which another framework was faster or smaller."""
    lines = []
    for name in ("in_process", "server", "load", "startup"):
        more_is_better = name in ("server", "load")
        for row in results.get(name, {}).get("rows", ()):
            figures, start = row["figures"], f"- {_TITLES[name]}, {row['name']}"
            # A contender may be named with its server: "ferroapi on granian".
            frameworks = {contender: contender.partition(" on ")[0] for contender in figures}
            ours = [value for contender, value in figures.items() if frameworks[contender] == "ferroapi"]
            others = {each: value for each, value in figures.items() if frameworks[each] in _FRAMEWORKS}
            best = max(ours) if more_is_better else min(ours)
            ahead = [each for each, value in others.items() if (value > best if more_is_better else value < best)]
            if ahead:
                text = ", ".join(f"{each} {_number(figures[each])}" for each in ahead)
                lines.append(f"{start}: ferroapi {_number(best)}, {text} {_UNITS.get(name) or row['unit']}.")
    return "\n".join(lines)


def _made_with(section: dict[str, Any]) -> str:
    machine, versions = section["machine"], section["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "ferroapi")
    return (
        f"Measured {section['date'][:10]} at {section['commit']} on {machine['processor']}, {machine['cores']} cores,"
        f" load {machine['load'][0]:g} when it began. {packages}."
    )


def markdown(results: dict[str, Any]) -> str:
    """Return all tables, each with what it was made with, and the rows that are not won."""
    parts = []
    for name in _SECTIONS:
        if name in results:
            parts += [f"### {_TITLES[name]}", section_table(name, results[name]), _made_with(results[name])]
    if not_won := _not_won(results):
        parts += ["### Where another is faster", not_won]
    return "\n\n".join(parts)


def write_tables(results: dict[str, Any], page: Path = PAGE) -> bool:
    """Put the tables between the page's markers; return False if it has none."""
    text = page.read_text() if page.exists() else ""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        return False
    page.write_text(f"{before}{START}\n\n{markdown(results)}\n\n{END}{after}")
    return True


def code_page() -> str:
    """Return the page with what each case asks and the code of its application."""
    from benches.cases.table import CASES

    lines = [
        "# Code of the benchmarks",
        "",
        "Written by `make bench` from `benches/cases`. `framework` is the imported package, `ferroapi` or `fastapi`;",
        "nothing else differs. Where cases share an application, the code is shown once.",
        "",
    ]
    shown: dict[str, str] = {}
    for case in CASES:
        # A function that makes the builder, such as `routes(10)`, has its code in its own name.
        name = case.build.__qualname__.partition(".")[0]
        lines += [f"## {case.name}", "", f"`{case.request.method} {case.request.path}`: {case.what}.", ""]
        if name in shown:
            lines += [f"The application is that of [{shown[name]}](#{_anchor(shown[name])}).", ""]
            continue
        shown[name] = case.name
        lines += ["```py", inspect.getsource(case.build.__globals__[name]).rstrip(), "```", ""]
    return "\n".join(lines)


def _anchor(heading: str) -> str:
    """Return what the site's headings are linked by: words, with hyphens between them."""
    return "-".join(re.findall(r"\w+", heading.lower()))


def write_site(results: dict[str, Any]) -> bool:
    """Write the tables of the site's page and the chart; return False if the page has no markers."""
    if "in_process" in results:
        # matplotlib takes a second to import, and what only measures has no use for it.
        from benches.chart import write_charts

        write_charts(results)
    CODE_PAGE.write_text(code_page())
    return write_tables(results)


if __name__ == "__main__":
    if not write_site(json.loads(RESULTS.read_text())):
        raise SystemExit(f"no {START} and {END} in {PAGE.name}")
