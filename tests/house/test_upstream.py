"""The table of who answers for which file of FastAPI names every file of it, and only files of ours that are there."""

import tomllib
from pathlib import Path

import fastapi

ROOT = Path(__file__).resolve().parents[2]
ANSWERS: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("upstream.toml").read_text(encoding="utf-8"))[
    "answers"
]


def test_upstream_table_names_each_file_of_fastapi() -> None:
    package = Path(fastapi.__file__).parent
    files = {path.relative_to(package.parent).as_posix() for path in package.glob("**/*.py")}
    assert files == ANSWERS.keys()


def test_upstream_table_names_files_that_are_there() -> None:
    same = {name: f"python/ferroapi/{name.removeprefix('fastapi/')}" for name in ANSWERS}
    missing = [path for name, paths in ANSWERS.items() for path in [same[name], *paths] if not (ROOT / path).exists()]
    assert not missing
