"""`make conformance`: FastAPI's own test suite, run on ferroapi under the alias, against the list of expected failures.
It prepares a cache outside the repository (suite and environment), runs pytest there, and compares.
It does not build ferroapi: the extension in `python/ferroapi` must be there for the interpreter that runs this file.
"""

import argparse
import collections
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
from dataclasses import dataclass, replace
from pathlib import Path

import ledger

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "python"
REQUIREMENTS = HERE / "requirements.txt"

SUITE = "fastapi-0.165.0"
SUITE_SHA256 = "dd94d4128319c1e1d50535ab023ab698f850a4d2822f0e181747b46f4ff3c0ab"
WORST_SHOWN = 60
TEST_SECONDS = 90
"""The suite's own limit is 20 seconds, which tests that start processes pass on a busy machine."""


@dataclass(frozen=True)
class Cache:
    """The folder outside the repository that holds the suite, its environment and the results."""

    root: Path
    versions: Path | None = None
    """A requirements file of versions that are put over the pinned ones."""

    @property
    def suite(self) -> Path:
        return self.root / SUITE

    @property
    def migrated(self) -> Path:
        return self.root / f"{SUITE}-migrated"

    @property
    def environment(self) -> Path:
        texts = [path.read_bytes() for path in self.requirements]
        digest = hashlib.sha256(b"".join(texts)).hexdigest()[:12]
        # The cache tag does not say whether Python is free-threaded.
        threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
        return self.root / f"venv-{sys.implementation.cache_tag}{threads}-{digest}"

    @property
    def requirements(self) -> list[Path]:
        """What is installed, each over the one before."""
        return [REQUIREMENTS] if self.versions is None else [REQUIREMENTS, self.versions]

    @property
    def python(self) -> Path:
        return self.environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def results(self) -> Path:
        return self.root / "results"


@dataclass(frozen=True)
class Mode:
    """How the suite meets ferroapi: where it lies, pytest's plugins, folders to import from, what may fail."""

    folder: Path
    plugins: tuple[str, ...]
    imports: tuple[Path, ...]
    expected: tuple[Path, ...]
    tests: str
    most_workers: int

    def entries(self) -> list[ledger.Entry]:
        """What may fail, of all its lists."""
        return [entry for path in self.expected for entry in ledger.read(path)]


def aliased(cache: Cache) -> Mode:
    """The suite as it is, all of it, under the alias."""
    imports = (HERE / "site", SOURCE, HERE)
    plugins = ("ferroapi.pytest_plugin", "outcomes")
    return Mode(cache.suite, plugins, imports, (HERE / "expected_failures.toml",), "tests", most_workers=99)


def over_socket(cache: Cache) -> Mode:
    """The suite under the alias, its client asking a server on the engine's HTTP protocol."""
    mode = aliased(cache)
    return replace(
        mode, plugins=(*mode.plugins, "over_socket"), expected=(*mode.expected, HERE / "expected_failures_socket.toml")
    )


def with_starlettes_client(cache: Cache) -> Mode:
    """The suite under the alias with Starlette's client in place of ours: what is measured beside it."""
    mode = aliased(cache)
    return replace(mode, plugins=(*mode.plugins, "starlettes_client"))


def migrated(cache: Cache) -> Mode:
    """The tutorial's tests and applications after `ferroapi migrate`, where nothing can import `fastapi`."""
    shutil.rmtree(cache.migrated, ignore_errors=True)
    shutil.copytree(
        cache.suite, cache.migrated, ignore=lambda folder, _: ["fastapi"] if Path(folder) == cache.suite else []
    )
    command = [sys.executable, "-m", "ferroapi", "migrate", str(cache.migrated), "--write"]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    # Without the strings to look at: the suite has many that name telemetry.
    counts, _, rest = done.stderr.partition("\n")
    print(counts + "".join(rest.partition("\nImports ")[1:]))
    # In one process: files of the tutorial make and remove the same folder.
    plugins = ("without_fastapi", "outcomes")
    expected = HERE / "expected_failures_migrated.toml"
    return Mode(cache.migrated, plugins, (SOURCE, HERE), (expected,), "tests/test_tutorial", most_workers=0)


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/ferroapi/conformance`, by default below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ferroapi" / "conformance"


def fetch_suite(cache: Cache, suite: str = SUITE, sha256: str = SUITE_SHA256) -> Path:
    """Download and unpack a source distribution, FastAPI's by default, once; return its folder.

    Raises:
        SystemExit: what was downloaded is not the file whose checksum is pinned.
    """
    folder, archive = cache.root / suite, cache.root / f"{suite}.tar.gz"
    if folder.is_dir():
        return folder
    if not archive.is_file():
        name, _, version = suite.rpartition("-")
        options = ["--quiet", "--no-deps", "--no-binary", name, "--dest", str(cache.root)]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, f"{name}=={version}"], check=True)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{archive} has sha256 {found}, expected {sha256}")
    unpacked = cache.root / f"{suite}.{os.getpid()}"
    with tarfile.open(archive) as opened:
        opened.extractall(unpacked, filter="data")
    (unpacked / suite).rename(folder)
    unpacked.rmdir()
    return folder


def build_environment(cache: Cache) -> None:
    """Create the suite's virtual environment with its pinned packages, once for each requirements file."""
    complete = cache.environment / "complete"
    if complete.is_file():
        return
    venv.create(cache.environment, with_pip=True, clear=True)
    # Without dependencies: a package that asks for the real FastAPI must not bring it in.
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]
    for path in cache.requirements:
        subprocess.run([cache.python, "-m", "pip", "install", *options, str(path)], check=True)
    complete.touch()


def run_suite(cache: Cache, mode: Mode, python: Path, selection: list[str], workers: int) -> dict[str, dict[str, str]]:
    """Run pytest in the mode's folder and return the outcomes and error messages by test."""
    cache.results.mkdir(parents=True, exist_ok=True)
    outcomes = cache.results / f"outcomes-{os.getpid()}.json"
    plugins = [*mode.plugins, "no:sugar", "no:cacheprovider", "no:codspeed"]
    command = [str(python), "-m", "pytest", *(word for plugin in plugins for word in ("-p", plugin))]
    command += [f"--timeout={TEST_SECONDS}", "-q", "--tb=short", "--continue-on-collection-errors", "--no-header"]
    if cache.versions is not None:
        # Old versions use what Python and pytest have deprecated since.
        command += ["-W", "ignore::DeprecationWarning"]
    workers = min(workers, mode.most_workers)
    # One worker a file: some files of the suite share files on disk.
    command += ["-n", str(workers), *(["--dist=loadfile"] if workers else [])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, mode.imports)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CONFORMANCE_OUTCOMES": str(outcomes),
    }
    environment.pop("FERROAPI_ALIAS", None)
    log = cache.results / "latest.log"
    with log.open("w", encoding="utf-8") as output:
        command += selection or [mode.tests]
        finished = subprocess.run(command, cwd=mode.folder, env=environment, stdout=output, stderr=output, check=False)
    print(f"pytest's output: {log}")
    if finished.returncode not in (0, 1) or not outcomes.is_file():
        print("".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-40:]))
        raise SystemExit(f"pytest ended with code {finished.returncode}: the run says nothing")
    document: dict[str, dict[str, str]] = json.loads(outcomes.read_text())
    outcomes.unlink()
    return document


def report(
    document: dict[str, dict[str, str]], change: ledger.Change, expected: tuple[Path, ...], seconds: float
) -> None:
    """Print the counts and what changed against the list."""
    count = collections.Counter(document["outcomes"].values())
    for title, tests in (
        ("failed, and not listed", change.unlisted),
        ("listed as failing, but passed", change.listed_passes),
        ("listed, but no such test", change.stale),
    ):
        if tests:
            print(f"\n{len(tests)} {title}:")
            for test in sorted(tests)[:WORST_SHOWN]:
                message = document["messages"].get(test, "")
                print(f"  {test}" + (f"\n      {message[:160]}" if message else ""))
            if len(tests) > WORST_SHOWN:
                print(f"  ... and {len(tests) - WORST_SHOWN} more, in the result file")
    print(
        f"\npassed {count['passed']}, failed {count['failed'] + count['xpassed']}, errors {count['error']}, "
        f"skipped {count['skipped']}, expected failures of the suite itself {count['xfailed']} in {seconds:.0f} s"
    )
    listed = sum(count[outcome] for outcome in ledger.FAILING) - len(change.unlisted)
    print(
        f"against {' and '.join(path.name for path in expected)}: {listed} failed as listed, "
        f"+{len(change.unlisted)} unlisted failures, "
        f"-{len(change.listed_passes)} listed passes, {len(change.stale)} stale entries"
    )


def main() -> int:
    """Prepare, run, compare; 0 when the run is exactly what the list says."""
    # No positional argument, so that what is left for pytest keeps its order.
    parser = argparse.ArgumentParser(
        prog="make conformance", usage="%(prog)s ARGS='[options] [pytest arguments, default: the whole suite]'"
    )
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder for suite, environment and results")
    parser.add_argument("--versions", type=Path, help="requirements to put over the pinned ones, without dependencies")
    parser.add_argument("--python", type=Path, help="an interpreter that already has the suite's packages")
    parser.add_argument(
        "--migrated", action="store_true", help="the tutorial after `ferroapi migrate`, without the alias"
    )
    parser.add_argument("--socket", action="store_true", help="ask a server on the engine's HTTP protocol")
    parser.add_argument("--starlettes-client", action="store_true", help="with Starlette's TestClient, to time it")
    parser.add_argument("--result", type=Path, help="also write the outcomes to this JSON file")
    parser.add_argument("--suggest", type=Path, help="write the unlisted failures to this file, as entries to explain")
    parser.add_argument(
        "--workers", type=int, default=2, help="pytest-xdist workers (default 2; 0 runs in one process)"
    )
    options, selection = parser.parse_known_args()

    cache = Cache(options.cache.resolve(), options.versions)
    cache.root.mkdir(parents=True, exist_ok=True)
    fetch_suite(cache)
    if options.python is None:
        build_environment(cache)
    start = time.monotonic()
    modes = {migrated: options.migrated, over_socket: options.socket, with_starlettes_client: options.starlettes_client}
    mode = next((make for make, is_wanted in modes.items() if is_wanted), aliased)(cache)
    # Not resolved: the link in a virtual environment is what makes it one.
    python = options.python.absolute() if options.python else cache.python
    document = run_suite(cache, mode, python, selection, options.workers)
    change = ledger.compare(document["outcomes"], mode.entries(), whole_suite=not selection)

    text = json.dumps({"suite": SUITE, "python": sys.version.split()[0], "selection": selection, **document}, indent=1)
    for path in (cache.results / "latest.json", options.result):
        if path is not None:
            path.write_text(text, encoding="utf-8")
    if options.suggest:
        options.suggest.write_text(ledger.suggest(change, document["messages"]), encoding="utf-8")
    report(document, change, mode.expected, time.monotonic() - start)
    return 1 if change else 0


if __name__ == "__main__":
    sys.exit(main())
