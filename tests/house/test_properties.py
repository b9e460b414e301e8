"""`make test-deep` runs what hypothesis marks: each property is so marked, and has its examples from the profile."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = [path for path in sorted(TESTS.rglob("*.py")) if "hypothesis" in path.read_text(encoding="utf-8")]


def decorators(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, ast.expr]:
    """The decorators of a function by the name that is called."""
    named = {}
    for each in function.decorator_list:
        called = each.func if isinstance(each, ast.Call) else each
        named[called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")] = each
    return named


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_every_property_is_a_test_that_pytest_collects(path: Path) -> None:
    """One that a test calls, or that has another name, would not be selected by `-m hypothesis`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    properties = [function for function in functions if "given" in decorators(function)]
    assert all(function in tree.body and function.name.startswith("test_") for function in properties)
    assert path.name.startswith("test_") or not properties


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_property_has_a_number_of_examples_of_its_own(path: Path) -> None:
    """A number that does not come from the profile is the same in a deep run; so is a deadline."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name) and call.func.id == "settings":
            for keyword in call.keywords:
                assert keyword.arg != "deadline"
                assert not isinstance(keyword.value, ast.Constant), ast.unparse(call)
