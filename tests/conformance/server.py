"""`make conformance-server`: uvicorn's own tests of a protocol, on the engine's, against the list of expected failures.

It runs in the interpreter that it is started with, which needs what `make conformance-server` installs.
"""

import argparse
import sys
import time
from pathlib import Path

import ledger
import run

SUITE = "uvicorn-0.54.0"
SUITE_SHA256 = "a2e33cbfaa0306f8e6b0c13e0cb89d7d7a2da3e62b90c66e18c33d9807b28620"
TESTS = [
    *(f"tests/protocols/test_{name}.py" for name in ("http", "websocket")),
    *(f"tests/test_{name}.py" for name in ("lifespan", "server", "ssl", "default_headers")),
    "tests/middleware",
]
ONLY_OURS = "not h11 and not zttp"
"""The suite's tests run once for each protocol; the engine's stands in the place of httptools'."""


def main() -> int:
    """Prepare, run, compare; 0 when the run is exactly what the list says."""
    parser = argparse.ArgumentParser(prog="make conformance-server", usage="%(prog)s ARGS='[pytest arguments]'")
    parser.add_argument("--cache", type=Path, default=run.default_cache(), help="folder for suite and results")
    options, selection = parser.parse_known_args()
    cache = run.Cache(options.cache.resolve())
    cache.root.mkdir(parents=True, exist_ok=True)
    folder = run.fetch_suite(cache, SUITE, SUITE_SHA256)
    expected = run.HERE / "expected_failures_server.toml"
    plugins = ("engine_protocol", "outcomes")
    mode = run.Mode(folder, plugins, (run.SOURCE, run.HERE), (expected,), "tests", most_workers=0)
    start = time.monotonic()
    document = run.run_suite(cache, mode, Path(sys.executable), selection or ["-k", ONLY_OURS, *TESTS], workers=0)
    change = ledger.compare(document["outcomes"], ledger.read(expected), whole_suite=not selection)
    run.report(document, change, (expected,), time.monotonic() - start)
    return 1 if change else 0


if __name__ == "__main__":
    sys.exit(main())
