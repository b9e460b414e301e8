"""`make conformance-openapi`: the OpenAPI documents of every application in FastAPI's suite, under both frameworks.
It runs itself twice, once with the real FastAPI and once with the alias, and compares the texts, key order included.
The real one is the suite's own folder `fastapi`; what its applications import is in the environment of the suite.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import run

SHOWN = 20


def dump(suite: Path, output: Path, *, alias: bool) -> None:
    """Import every application below `suite` and write its document, or what came instead, by its name."""
    sys.path[:0] = [str(suite)]
    os.chdir(suite)
    if alias:
        from ferroapi.alias import install

        install()
    framework = importlib.import_module("fastapi")
    warnings.simplefilter("ignore")
    documents: dict[str, str] = {}
    for name in module_names(suite):
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                module = importlib.import_module(name)
        # Some modules of the suite skip or exit when they are imported.
        except BaseException as error:
            documents[name] = f"import: {type(error).__name__}"
            continue
        for attribute, value in sorted(vars(module).items()):
            if isinstance(value, framework.FastAPI):
                documents[f"{name}.{attribute}"] = document(value)
    output.write_text(json.dumps(documents), encoding="utf-8")


def document(app: object) -> str:
    """The application's OpenAPI document as text, or the error that making it raises."""
    try:
        return json.dumps(app.openapi())  # type: ignore[attr-defined]
    except Exception as error:
        return f"error: {type(error).__name__}: {error}"


def module_names(suite: Path) -> Iterator[str]:
    """The modules that declare applications; the tutorial's tests only import those of `docs_src`."""
    for pattern in ("docs_src/**/*.py", "tests/**/*.py"):
        for path in sorted(suite.glob(pattern)):
            if "test_tutorial" not in path.parts and path.name not in ("__init__.py", "conftest.py"):
                yield ".".join(path.relative_to(suite).with_suffix("").parts)


def kind(text: str) -> str:
    """What an entry of the dump is: a document, an error, or a module that cannot be imported."""
    return "document" if text.startswith("{") else text.partition(":")[0]


def difference(theirs: str, ours: str) -> str:
    """The two texts around the first character that differs."""
    pairs = enumerate(zip(theirs, ours, strict=False))
    at = next((index for index, (one, other) in pairs if one != other), min(len(theirs), len(ours)))
    start = max(0, at - 60)
    return f"    fastapi:  {theirs[start : at + 100]}\n    ferroapi: {ours[start : at + 100]}"


def compare(theirs: dict[str, str], ours: dict[str, str]) -> int:
    """Print the counts and the differences; the number of differences."""
    different = sorted(name for name in theirs | ours if theirs.get(name) != ours.get(name))
    for name in different[:SHOWN]:
        print(f"{name}\n{difference(theirs.get(name, 'absent'), ours.get(name, 'absent'))}")
    counts = Counter(map(kind, theirs.values()))
    print(
        f"{counts['document']} OpenAPI documents, {len(different)} different; {counts['error']} applications raise the "
        f"same error, {counts['import']} modules cannot be imported"
    )
    return len(different)


def main() -> int:
    """Dump twice, compare; 0 when every document is the same text."""
    parser = argparse.ArgumentParser(prog="make conformance-openapi")
    parser.add_argument("--cache", type=Path, default=run.default_cache(), help="folder for the suite")
    parser.add_argument("--dump", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--alias", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cache = run.Cache(options.cache.resolve())
    cache.root.mkdir(parents=True, exist_ok=True)
    run.fetch_suite(cache)
    if options.dump:
        dump(cache.suite, options.dump, alias=options.alias)
        return 0
    run.build_environment(cache)
    dumps = []
    with tempfile.TemporaryDirectory() as folder:
        for name, extra in (("fastapi", []), ("ferroapi", ["--alias"])):
            output = Path(folder) / name
            environment = os.environ | {"PYTHONPATH": str(run.SOURCE), "PYTHONHASHSEED": "0"}
            command = [str(cache.python), __file__, "--cache", str(cache.root), "--dump", str(output), *extra]
            subprocess.run(command, check=True, env=environment)
            dumps.append(json.loads(output.read_text(encoding="utf-8")))
    return 1 if compare(*dumps) else 0


if __name__ == "__main__":
    sys.exit(main())
