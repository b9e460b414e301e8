"""Times that pages say in their text are those of `benches/results.json`, from which their tables are made."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = json.loads((ROOT / "benches/results.json").read_text())

Figure = Callable[[], float]


def figures(section: str, case: str) -> dict[str, float]:
    (row,) = (row for row in SECTIONS[section]["rows"] if row["name"] == case)
    found: dict[str, float] = row["figures"]
    return found


def taken(case: str, contender: str = "ferroapi") -> Figure:
    """Return what gives the time of a request in process, in µs."""
    return lambda: figures("in_process", case)[contender]


def added(case: str, times: int = 1) -> Figure:
    """Return what gives the time that each of so many things adds to the case `json`, in µs."""
    return lambda: (taken(case)() - taken("json")()) / times


def ratios(section: str) -> list[float]:
    rows: list[dict[str, Any]] = SECTIONS[section]["rows"]
    return [row["figures"]["ferroapi"] / row["figures"]["fastapi"] for row in rows]


SAID: list[tuple[str, str, tuple[Figure, ...]]] = [
    (
        "../README.md",
        r"about ([\d,]+) small requests a second, where FastAPI answers about ([\d,]+)",
        (
            lambda: figures("server", "json")["ferroapi on the engine's HTTP"],
            lambda: figures("server", "json")["fastapi"],
        ),
    ),
    ("why.md", r"takes about (\d+) µs of processor time inside FastAPI", (taken("items", "fastapi"),)),
    ("why.md", r"and about (\d+) µs inside ferroapi", (taken("items"),)),
    (
        "why.md",
        r"declared in about ([\d.]+) s, not ([\d.]+) s",
        (
            lambda: figures("startup", "declare 1,000 routes")["ferroapi"],
            lambda: figures("startup", "declare 1,000 routes")["fastapi"],
        ),
    ),
    *(
        (page, r"serves ([\d.]+) to ([\d.]+) times as many", (lambda: min(ratios("load")), lambda: max(ratios("load"))))
        for page in ("why.md", "performance.md")
    ),
    ("performance.md", r"a small dict \| (\d+) µs", (taken("json"),)),
    *(
        ("performance.md", rf"{said}[^|]* \| (\d+) µs", (taken(case),))
        for said, case in (("six typed parameters", "items"), ("async dependencies", "deps"), ("bearer token", "auth"))
    ),
    ("performance.md", r"same model returned \| (\d+) µs", (taken("body"),)),
    ("performance.md", r"4 kB of plain dicts \| (\d+) µs; (\d+) µs in", (taken("dict"), taken("dict", "fastapi"))),
    ("performance.md", r"`async` generator dependency \| (\d+) µs", (taken("yield"),)),
    ("performance.md", r"`def` endpoint or dependency \| (\d+) µs", (taken("sync"),)),
    ("performance.md", r"`def` generator dependency \| (\d+) µs", (taken("syield"),)),
    ("performance.md", r'middleware\("http"\)` \| (\d+) µs each', (added("http middleware", 3),)),
    ("performance.md", r"of your own \| (\d+) µs and its own code", (added("touched: asgi"),)),
    ("performance.md", r"its own handler \| (\d+) µs", (taken("touched: route class"),)),
    ("performance.md", r"spans and metrics \| (\d+) µs", (taken("touched: telemetry"),)),
    ("performance.md", r"through a response model \| (\d+) µs", (taken("model"),)),
    (
        "performance.md",
        r"small parts \| ([\d.]+) µs a part, (\d+) µs an event",
        (lambda: taken("stream")() / 100, lambda: taken("events")() / 100),
    ),
    (
        "performance.md",
        r"about (\d+) µs a route",
        (lambda: figures("startup", "first request to the last")["ferroapi"] * 1000,),
    ),
]


@pytest.mark.parametrize(("page", "sentence", "measured"), SAID, ids=[f"{page} {said}" for page, said, _ in SAID])
def test_docs_times_are_those_that_were_measured(page: str, sentence: str, measured: tuple[Figure, ...]) -> None:
    found = re.search(sentence, (ROOT / "docs" / page).read_text().replace("\n", " "))
    assert found is not None, "the page says it in other words: change them here, too"
    said = [float(text.replace(",", "")) for text in found.groups()]
    # A figure in a sentence is a rounded one.
    assert said == [pytest.approx(figure(), rel=0.15, abs=0.5) for figure in measured]


def test_readme_says_what_requests_cost_beside_fastapi() -> None:
    """Streams cost a quarter, WebSocket messages a third, and three of four other cases a tenth or less."""
    share = {case: taken(case)() / taken(case, "fastapi")() for case in ("stream", "events", "websocket")}
    assert share == pytest.approx({"stream": 0.25, "events": 0.25, "websocket": 1 / 3}, abs=0.06)
    rows = SECTIONS["in_process"]["rows"]
    compared = [row["figures"] for row in rows if "fastapi" in row["figures"] and not row["name"].startswith("touched")]
    shares = [row["ferroapi"] / row["fastapi"] for row in compared]
    assert sum(each < 0.115 for each in shares) > 0.75 * len(shares)
