"""Write `_options.pyi`: `_options.py` with the text of each option in its annotation as well, for editors.

pyright shows the docstring under an option. jedi shows annotations only, as they stand in the source, so that there the
text has to be a part of the annotation, as it is in FastAPI. `make options-stub` runs this, and a test compares.
"""

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import ferroapi

SOURCE = Path(ferroapi.__file__).parent / "_options.py"
STUB = SOURCE.with_suffix(".pyi")
HEAD = """\
# Written by `make options-stub`: `_options.py` as editors and type checkers read it.

import sys
from typing import Annotated, TypeVar
"""
# jedi knows no `Unpack`. It follows `SomeOptions(**options)` in a function's body, and lists the fields of a dataclass.
# Only it takes the first branch, because it never decides what `sys.platform` is.
LISTED = """\
_Options = TypeVar("_Options")

if sys.platform == "jedi":
    from dataclasses import dataclass as listed
else:
    def listed(options: type[_Options]) -> type[_Options]: ...

"""


def stub() -> str:
    """Return the stub of `_options.py` as it stands."""
    text = SOURCE.read_text()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    edits: list[tuple[int, int, str]] = []
    module = ast.parse(text).body
    edits.append((0, starts[module[0].end_lineno or 0], HEAD))
    for node in module:
        if not isinstance(node, ast.ClassDef):
            continue
        edits.append((starts[node.lineno - 1], 0, "@listed\n"))
        for option, said in pairwise(node.body):
            if isinstance(option, ast.AnnAssign) and isinstance(said, ast.Expr):
                kind = ast.get_source_segment(text, option.annotation) or ""
                words = " ".join(ast.literal_eval(said.value).split())
                start = starts[option.annotation.lineno - 1] + option.annotation.col_offset
                edits.append((start, len(kind), f"Annotated[{kind}, {words!r}]"))
    for start, length, new in reversed(edits):
        text = text[:start] + new + text[start + length :]
    text = text.replace("@listed\n", f"{LISTED}@listed\n", 1)
    for command in (["check", "--select", "I", "--fix-only", "--quiet"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(STUB), "-"]
        text = subprocess.run(
            ruff, input=text, stdout=subprocess.PIPE, text=True, check=True, cwd=SOURCE.parents[2]
        ).stdout
    return text


if __name__ == "__main__":
    STUB.write_text(stub())
