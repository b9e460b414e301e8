"""Where Python calls Rust: a panic becomes an exception there, and the garbage collector is shown what objects hold."""

import re
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "rust/core/src"
FILES = {str(path.relative_to(CORE)): path.read_text() for path in sorted(CORE.rglob("*.rs"))}


def _block(text: str, start: int) -> str:
    """Return a text from `start` to the brace that closes the first one which is open from there."""
    depth = 0
    for place in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start : place + 1]
    raise AssertionError("a brace is not closed")


def _fallible(text: str) -> dict[str, str]:
    """Return the functions of a file that Python calls and that can fail, each with its body.

    Those that cannot only look at a field. What is made by `new` is made at registration, and fails there.
    """
    blocks = [_block(text, found.start()) for found in re.finditer(r"#\[py(?:methods|function)\]", text)]
    return {
        found[1]: _block(block, found.start())
        for block in blocks
        for found in re.finditer(r"\bfn (\w+)[<(][^{]*?-> PyResult<", block)
        if found[1] != "new" and _is_outermost(block, found.start())
    }


def _is_outermost(block: str, place: int) -> bool:
    return block.count("{", 0, place) - block.count("}", 0, place) <= 1


@pytest.mark.parametrize("name", [name for name, text in FILES.items() if _fallible(text)])
def test_border_function_that_python_calls_is_guarded_from_panics(name: str) -> None:
    guarded = re.compile(r"\bguarded\(|\bself\.(?:resume|send)\(")
    assert not [function for function, body in _fallible(FILES[name]).items() if not guarded.search(body)]


@pytest.mark.parametrize("name", [name for name, text in FILES.items() if "#[pyclass" in text])
def test_border_class_that_holds_objects_is_shown_to_the_garbage_collector(name: str) -> None:
    text = "\n".join(FILES[other] for other in FILES if Path(other).parent == Path(name).parent or other == name)
    attributes = r"((?:#\[[^\n]*\]\n)*)"
    for found in re.finditer(rf"#\[pyclass[^\n]*\]\n{attributes}(?:pub(?:\([a-z]+\))? )?struct (\w+)", FILES[name]):
        # What is copied bit by bit holds no objects.
        if "Copy" in found[1]:
            continue
        blocks = [_block(text, impl.start()) for impl in re.finditer(rf"#\[pymethods\]\nimpl {found[2]} ", text)]
        assert any("fn __traverse__" in block for block in blocks), found[2]
