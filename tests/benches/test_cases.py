"""What is measured is right: each case answers the same from ferroapi, from FastAPI and from the floor by hand."""

import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

import ferroapi
from ferroapi import _wings

fastapi = pytest.importorskip("fastapi")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benches.cases.exchange import ask  # noqa: E402
from benches.cases.floor import floor  # noqa: E402
from benches.cases.table import CASES, Case  # noqa: E402
from benches.http.run import ROWS  # noqa: E402
from benches.python import counted, profiled  # noqa: E402
from benches.python.counted import APART, CASES_COUNTED, SERVED  # noqa: E402
from benches.python.in_process import contenders  # noqa: E402
from benches.python.wings import CASES as OF_WINGS  # noqa: E402

from benches import report  # noqa: E402

NAMES = {case.name for case in CASES}
# Ten thousand routes take seconds to declare, and are the application of ten routes but for their number.
QUICK = [case for case in CASES if case.fastapi and not case.apart]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name.replace(" ", "-"))
def test_case_answers_the_same_from_both_frameworks_and_by_hand(case: Case) -> None:
    expected = asyncio.run(ask(case.build(fastapi), case.request))
    assert expected.status == case.status
    ours = case.build(ferroapi)
    for _ in range(2):  # the first request compiles the route
        assert asyncio.run(ask(ours, case.request)) == expected
    assert asyncio.run(ask(floor(case.request, expected), case.request)) == expected


@pytest.mark.parametrize("case", [case for case in CASES if case.alone], ids=lambda case: case.name)
def test_pydantic_alone_makes_the_body_of_the_case(case: Case) -> None:
    assert case.alone is not None
    assert case.alone() == asyncio.run(ask(case.build(fastapi), case.request)).body


def test_cases_that_are_served_or_counted_exist() -> None:
    assert len(NAMES) == len(CASES)
    assert {row.case for row in ROWS} <= NAMES
    assert set(CASES_COUNTED) <= NAMES | SERVED.keys() and set(SERVED.values()) <= NAMES


def test_each_wing_of_a_request_is_counted_with_cases_that_exist() -> None:
    assert [*OF_WINGS, "server"] == [*_wings.NAMES]
    assert {case for cases in OF_WINGS.values() for case in cases} <= NAMES


def test_a_profiled_build_learns_from_each_case_that_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"python -m {profiled.__name__}\n" in (ROOT / "Makefile").read_text()
    for owner, name in ((counted, "FEW"), (counted, "MANY"), (profiled, "IN_PROCESS"), (profiled, "SERVED")):
        monkeypatch.setattr(owner, name, 1)
    begun = []
    for name in ("count", "count_served"):
        run = getattr(counted, name)
        monkeypatch.setattr(counted, name, lambda case, run=run: begun.append(case.name) or run(case))
    profiled.main()
    assert begun == [SERVED.get(name, name) for name in CASES_COUNTED if name not in APART]


def test_what_a_case_is_compared_with_takes_turns_with_it() -> None:
    assert {case.goal.beside for case in CASES if case.goal is not None} - {None} <= NAMES
    for case in CASES:
        if case.goal is not None and case.goal.beside is not None and case.fastapi:
            with ExitStack() as processes:
                samples = asyncio.run(contenders(case, processes))
            assert case.goal.beside in samples
            assert case.goal.judge(dict.fromkeys(samples, 1.0))[1]


@pytest.mark.parametrize("case", [case for case in CASES if case.apart], ids=lambda case: case.name.replace(" ", "-"))
def test_case_in_a_process_of_its_own_is_answered_and_timed(case: Case) -> None:
    # That the answers are FastAPI's is seen before there is anything to time.
    with ExitStack() as processes:
        samples = asyncio.run(contenders(case, processes))
        assert {"ferroapi", "fastapi", "raw"} <= samples.keys()
        assert all(asyncio.run(cast(Any, sample(2))) > 0 for sample in samples.values())


def _results(**figures: float) -> dict[str, Any]:
    row = {"name": "json", "figures": figures, "ratio": "20x", "goal": "18x", "met": True}
    section = {
        "date": "2030-01-01T00:00:00+00:00",
        "commit": "abc1234",
        "machine": {"processor": "a processor", "cores": 2, "load": [0.1, 0.1, 0.1]},
        "versions": {"python": "3.11.7"},
        "rows": [row],
    }
    return {"in_process": section}


def test_tables_take_the_place_between_the_markers_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{report.START}\nold figures\n{report.END}\nafter\n")
    assert report.write_tables(_results(ferroapi=5.0, fastapi=100.0, raw=2.0), page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old figures" not in text
    assert "| json | 5 | 100 | 2 |  | 20x |" in text
    assert "another is faster" not in text


def test_tables_say_where_another_framework_is_faster() -> None:
    text = report.markdown(_results(ferroapi=5.0, fastapi=100.0, starlette=4.0, raw=2.0))
    assert "- In process, json: ferroapi 5, starlette 4 µs." in text


def test_goals_are_said_to_those_who_measure_and_not_on_the_site() -> None:
    results = _results(ferroapi=5.0, fastapi=100.0, raw=2.0)
    results["in_process"]["rows"].append(
        results["in_process"]["rows"][0]
        | {"name": "model", "ratio": "2 of it", "goal": "≤ 1.3 · (a + b)", "met": False}
    )
    said = report.goals_of(results["in_process"])
    assert said.splitlines() == [
        "json: 20x, the goal is 18x: reached",
        "model: 2 of it, the goal is ≤ 1.3 · (a + b): missed",
    ]
    text = report.markdown(results)
    assert "goal" not in text and "18x" not in text
    assert "| model | 5 | 100 | 2 |  | 2 × (a + b) |" in text


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("text\n")
    assert not report.write_tables({}, page)
    assert page.read_text() == "text\n"


def test_the_charts_of_the_site_are_of_the_results_that_are_kept(tmp_path: Path) -> None:
    from benches.chart import FOLDER, write_charts

    written = write_charts(json.loads(report.RESULTS.read_text()), tmp_path)
    assert [path.read_bytes() for path in written] == [(FOLDER / path.name).read_bytes() for path in written]


def test_the_page_of_code_is_of_the_cases_that_are_there() -> None:
    assert report.CODE_PAGE.read_text() == report.code_page()


def test_the_page_of_the_site_has_the_results_that_are_kept() -> None:
    assert report.markdown(json.loads(report.RESULTS.read_text())) in report.PAGE.read_text()
