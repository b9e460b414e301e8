"""Private names of other packages are used in the wings only; each use elsewhere is named here, with its reason.

A new one is a line here, so that somebody decides it: the package may drop it, or change what it means.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "python" / "ferroapi"
WINGS = ("_middleware/", "_models/", "_threads/", "server.py", "_beyond/testing/")

MODULES = {
    ("_compat/v2.py", "pydantic._internal"): "evaluates annotations as FastAPI does, under either of its names",
    ("_compat/v2.py", "pydantic._internal._typing_extra"): "the same",
    ("telemetry/_observation.py", "opentelemetry._logs"): "where OpenTelemetry publishes its logs",
    ("telemetry/_api.py", "opentelemetry._logs"): "where OpenTelemetry publishes its logs",
    ("telemetry/_runtime.py", "opentelemetry._logs"): "the same",
    ("telemetry/_runtime.py", "opentelemetry.sdk._logs"): "the same",
    ("telemetry/_runtime.py", "opentelemetry.sdk._logs.export"): "the same",
    ("telemetry/_runtime.py", "opentelemetry.exporter.otlp.proto.http._log_exporter"): "the same",
}
ATTRIBUTES = {
    ("applications.py", "_exception_handlers"): "the layer itself says which handlers it has been given",
    ("applications.py", "_status_handlers"): "the same",
    ("_engine/entrance.py", "_exception_handlers"): "a subclass of that layer",
    ("_engine/entrance.py", "_status_handlers"): "the same",
    ("_engine/whole_form.py", "_get_form"): "whether a request reads its form as Starlette's class does",
    ("_beyond/upload_stream.py", "_current_part"): "a subclass of Starlette's parser",
    ("_compat/shared.py", "_GenericAlias"): "FastAPI asks for it",
    ("_compat/v2.py", "_attributes_set"): "FastAPI sets it",
    ("_compat/v2.py", "_config"): "a subclass of pydantic's generator",
    ("dependencies/_analyze.py", "_attributes_set"): "FastAPI sets it",
}
OF_NAMED_TUPLES = {"_replace", "_asdict"}

TREES = {str(file.relative_to(PACKAGE)): ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _imported(tree: ast.AST) -> set[str]:
    """Return the modules of other packages that a module imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names if _is_private(each.name))}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return {each for each in found if each.partition(".")[0] not in ("ferroapi", "_ferroapi_alias")}


def _defined(tree: ast.AST) -> set[str]:
    """Return the names that a module defines, and that its methods set in `self`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
            case ast.Attribute(ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
                found.add(node.attr)
    return found


OWN = set[str]().union(*map(_defined, TREES.values()))


def _uses() -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    modules, attributes = set(), set()
    for name, tree in TREES.items():
        if name.startswith(WINGS):
            continue
        modules |= {(name, each) for each in _imported(tree) if any(map(_is_private, each.split(".")))}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in OWN | OF_NAMED_TUPLES:
                attributes.add((name, node.attr))
    return modules, attributes


@pytest.mark.parametrize(
    ("used", "listed"), list(zip(_uses(), (MODULES, ATTRIBUTES), strict=True)), ids=["modules", "attributes"]
)
def test_private_names_of_other_packages_are_those_that_are_listed(
    used: set[tuple[str, str]], listed: dict[tuple[str, str], str]
) -> None:
    assert used == listed.keys()
