"""`make upstream`: what another FastAPI release would change for us, as a report in Markdown.

It compares names, signatures and files of two releases by reading them, names our files that answer for those that
changed, and runs the other release's own test suite on ferroapi. It changes nothing.
"""

import argparse
import ast
import collections
import difflib
import hashlib
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import griffe
import ledger
from run import SUITE, Cache, Mode, aliased, build_environment, default_cache, fetch_suite, run_suite

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = ROOT / "tests/house/upstream.toml"
IMPLEMENTED = SUITE.removeprefix("fastapi-")


class Release(NamedTuple):
    """A release of FastAPI, unpacked."""

    version: str
    folder: Path

    def files(self) -> dict[str, str]:
        """The texts of its Python files, by path from the folder."""
        paths = sorted(self.folder.glob("fastapi/**/*.py"))
        return {path.relative_to(self.folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}

    def tests(self) -> set[str]:
        """Its test functions, as `file::name`."""
        found = set()
        for path in self.folder.glob("tests/**/test_*.py"):
            names = (
                node.name
                for node in ast.walk(ast.parse(path.read_bytes()))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            )
            found |= {
                f"{path.relative_to(self.folder).as_posix()}::{name}" for name in names if name.startswith("test")
            }
        return found

    def requirements(self) -> set[str]:
        """What it requires: Python, other packages, and those of its extras."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {})
        optional = (f"[{name}] {each}" for name, group in extras.items() for each in group)
        return {f"python{project['requires-python']}", *project["dependencies"], *optional}


def fetch(cache: Cache, version: str | None) -> Release:
    """Download a release's source distribution, the newest on the index by default; its checksum is not pinned."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = "fastapi" if version is None else f"fastapi=={version}"
        options = ["--quiet", "--no-deps", "--no-binary", "fastapi", "--dest", folder]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], check=True)
        (archive,) = Path(folder).glob("fastapi-*.tar.gz")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        suite = archive.name.removesuffix(".tar.gz")
        archive.replace(cache.root / archive.name)
    return Release(suite.removeprefix("fastapi-"), fetch_suite(cache, suite, digest))


def changed_names(before: Release, after: Release) -> Iterator[str]:
    """The public names and parameters that came, and what griffe says would break who uses the old ones."""
    old, new = (griffe.load("fastapi", search_paths=[each.folder]) for each in (before, after))
    names, later = ({each.path: each for each in _public(package)} for package in (old, new))
    for path, member in later.items():
        if path not in names:
            yield f"new: `{path}`"
        elif member.is_function and names[path].is_function:
            known = {parameter.name for parameter in names[path].parameters}
            added = [parameter.name for parameter in member.parameters if parameter.name not in known]
            yield from (f"new parameter of `{path}`: `{name}`" for name in added)
    for breakage in griffe.find_breaking_changes(old, new):
        yield breakage.explain(style=griffe.ExplanationStyle.MARKDOWN).strip().lstrip("- ")


def _public(package: griffe.Object) -> Iterator[griffe.Object]:
    for member in package.members.values():
        if isinstance(member, griffe.Object) and (member.name == "__init__" or not member.name.startswith("_")):
            yield member
            yield from _public(member)


def changed_files(before: Release, after: Release) -> Iterator[str]:
    """A row for each file that changed: by how many lines, and which of our files answer for it."""
    answers = tomllib.loads(ANSWERS.read_text(encoding="utf-8"))["answers"]
    old, new = before.files(), after.files()
    yield "| file | lines | answered for by |\n|---|---:|---|"
    for name in sorted(old.keys() | new.keys()):
        texts = [each.get(name, "").splitlines() for each in (old, new)]
        if texts[0] == texts[1]:
            continue
        lines = list(difflib.unified_diff(*texts, n=0, lineterm=""))[2:]
        counts = "/".join(str(sum(line.startswith(sign) for line in lines)) for sign in "+-")
        same = f"python/ferroapi/{name.removeprefix('fastapi/')}"
        ours = ", ".join(f"`{file}`" for file in [same, *answers[name]]) if name in answers else "nothing yet"
        yield f"| `{name}` | +{counts.replace('/', ' -')} | {ours} |"


def failing_tests(cache: Cache, release: Release, selection: list[str], workers: int) -> tuple[str, list[str]]:
    """Run the release's suite on ferroapi; return the counts, and the tests that fail without being expected to."""
    started = time.monotonic()
    build_environment(cache)
    mode: Mode = replace(aliased(cache), folder=release.folder)
    document = run_suite(cache, mode, cache.python, selection, workers)
    outcomes = document["outcomes"]
    change = ledger.compare(outcomes, mode.entries(), whole_suite=False)
    found = collections.Counter(outcomes.values())
    failed = sum(found[outcome] for outcome in ledger.FAILING)
    counts = (
        f"{found['passed']} passed, {failed} failed ({failed - len(change.unlisted)} of them expected), "
        f"{found['skipped']} skipped, in {time.monotonic() - started:.0f} s"
    )
    return counts, [f"{test}: {document['messages'].get(test, '')[:160]}" for test in sorted(change.unlisted)]


def section(title: str, lines: list[str], nothing: str) -> str:
    """A part of the report."""
    is_table = bool(lines) and lines[0].startswith("|")
    body = "\n".join(lines if is_table else (f"- {line}" for line in lines)) if lines else nothing
    return f"## {title}\n\n{body}\n"


def main() -> int:
    """Write the report; 1 if a test of the release fails that is not expected to."""
    parser = argparse.ArgumentParser(
        prog="make upstream", usage="%(prog)s VERSION=... SINCE=... ARGS='pytest arguments'"
    )
    parser.add_argument("--version", help="the release to look at (default: the newest on the index)")
    parser.add_argument(
        "--since", default=IMPLEMENTED, help="the release to compare it with (default: the implemented one)"
    )
    parser.add_argument("--output", type=Path, help="where to write the report, beside standard output")
    parser.add_argument("--workers", type=int, default=2, help="pytest-xdist workers (default 2)")
    options, selection = parser.parse_known_args()

    cache = Cache(default_cache())
    cache.root.mkdir(parents=True, exist_ok=True)
    after, before = fetch(cache, options.version or None), fetch(cache, options.since)
    counts, failing = failing_tests(cache, after, selection, options.workers)
    required = [(before.requirements(), "no longer"), (after.requirements(), "now")]
    differing = required[0][0] ^ required[1][0]
    text = "\n".join(
        [
            f"# FastAPI {after.version}, seen from {before.version}\n",
            f"ferroapi implements {IMPLEMENTED}. The suite of {after.version} on it: {counts}.\n",
            section("Names and signatures", list(changed_names(before, after)), "Nothing that is public changed."),
            section("Files", list(changed_files(before, after)), "None changed."),
            section(
                "Requirements",
                sorted(f"{word}: `{each}`" for found, word in required for each in found & differing),
                "The same.",
            ),
            section("New tests", sorted(f"`{test}`" for test in after.tests() - before.tests()), "None."),
            section("Tests that fail here", [f"`{test}`" for test in failing], "None."),
        ]
    )
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
