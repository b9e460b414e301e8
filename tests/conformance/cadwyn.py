"""`make conformance-cadwyn`: cadwyn's own tests under the alias, against the list of expected failures.

Apache Airflow's API server is built on cadwyn, which uses more of FastAPI's inner names than any other package.
"""

import argparse
import sys
import sysconfig
import time
from pathlib import Path

import ledger
import run

SUITE = "cadwyn-9.0.0"
SUITE_SHA256 = "284d93307fe78771bfaeb533018e36e73d0798aa23f201a2520109d505d140e8"
OPTIONS = ["-o", "addopts=", "-p", "no:codspeed"]
"""Not the suite's own: they measure coverage."""


def _find_without_variables(cache: run.Cache) -> None:
    """Let every process of the environment find ferroapi and the alias: one test starts one without PYTHONPATH."""
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(cache.environment)}))
    (packages / "ferroapi_sources.pth").write_text(f"{run.HERE / 'site'}\n{run.SOURCE}\n", encoding="utf-8")


def main() -> int:
    """Prepare, run, compare; 0 when the run is exactly what the list says."""
    parser = argparse.ArgumentParser(prog="make conformance-cadwyn", usage="%(prog)s ARGS='[pytest arguments]'")
    parser.add_argument("--cache", type=Path, default=run.default_cache(), help="folder for suite and results")
    parser.add_argument("--workers", type=int, default=2, help="pytest-xdist workers (default 2)")
    options, selection = parser.parse_known_args()
    cache = run.Cache(options.cache.resolve(), run.HERE / "requirements_cadwyn.txt")
    cache.root.mkdir(parents=True, exist_ok=True)
    folder = run.fetch_suite(cache, SUITE, SUITE_SHA256)
    run.build_environment(cache)
    _find_without_variables(cache)
    expected = run.HERE / "expected_failures_cadwyn.toml"
    imports = (run.HERE / "site", run.SOURCE, run.HERE, folder)
    mode = run.Mode(folder, ("ferroapi.pytest_plugin", "outcomes"), imports, (expected,), "tests", most_workers=99)
    start = time.monotonic()
    document = run.run_suite(cache, mode, cache.python, [*OPTIONS, *(selection or ["tests"])], options.workers)
    change = ledger.compare(document["outcomes"], ledger.read(expected), whole_suite=not selection)
    run.report(document, change, (expected,), time.monotonic() - start)
    return 1 if change else 0


if __name__ == "__main__":
    sys.exit(main())
