"""Reads which modules of the project a source file imports, for `test_layers`; it judges nothing."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "ferroapi"


def python_modules() -> dict[str, Path]:
    """Every module of the package by its name inside it: `routing`, `openapi.utils`, and `` for the package itself."""
    modules = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return modules


@dataclass
class Imports:
    """What a module imports: `direct` when it is itself imported, `deferred` when one of its functions runs.

    What is `typed` is imported by type checkers only.
    """

    direct: set[str] = field(default_factory=set)
    deferred: set[str] = field(default_factory=set)
    typed: set[str] = field(default_factory=set)


def imports_of(name: str, file: Path, modules: dict[str, Path]) -> Imports:
    """The project's modules that `file` imports."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = Imports()
    for node, kind in _nodes(ast.parse(file.read_text(encoding="utf-8")), "direct"):
        targets: set[str] = set()
        if isinstance(node, ast.Import):
            targets = {_inside(alias.name) for alias in node.names if alias.name.split(".")[0] == "ferroapi"}
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            if base is not None:
                for alias in node.names:
                    submodule = f"{base}.{alias.name}".lstrip(".")
                    targets.add(submodule if submodule in modules or submodule == "_core" else base)
        getattr(found, kind).update(targets - {name})
    return found


def _nodes(tree: ast.AST, kind: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield the nodes below one, and which of the kinds of `Imports` an import there is of."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _nodes(ast.Module(node.body, []), "typed")
            yield from _nodes(ast.Module(node.orelse, []), kind)
        else:
            yield node, kind
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _nodes(node, "deferred" if is_function and kind == "direct" else kind)


def _base(node: ast.ImportFrom, package: str) -> str | None:
    if node.level == 0:
        module = node.module or ""
        return _inside(module) if module.split(".")[0] == "ferroapi" else None
    parts = package.split(".") if package else []
    parts = parts[: len(parts) - (node.level - 1)] if node.level > 1 else parts
    return ".".join([*parts, *([node.module] if node.module else [])])


def _inside(name: str) -> str:
    return name.removeprefix("ferroapi").removeprefix(".")


def rust_modules(crate: Path) -> dict[str, Path]:
    """Every module of a crate: `plan`, `plan/build`, and `lib`."""
    modules = {}
    for file in sorted((crate / "src").rglob("*.rs")):
        parts = file.relative_to(crate / "src").with_suffix("").parts
        modules["/".join(parts[:-1] if parts[-1] == "mod" else parts)] = file
    return modules


def rust_imports_of(name: str, file: Path, modules: dict[str, Path]) -> set[str]:
    """The crate's own modules that a file names through `crate::` or `super::`; tests inside the file are left out."""
    text = re.sub(r"//[^\n]*", "", file.read_text(encoding="utf-8")).partition("#[cfg(test)]")[0]
    parent = name if file.name in {"mod.rs", "lib.rs"} else name.rpartition("/")[0]
    found: set[str] = set()
    for anchor, path in re.findall(r"\b(crate|super)::(\{[^;]*?\}(?=;)|[\w:]+(?:::\{[^;]*?\}(?=;))?)", text):
        prefix = "" if anchor == "crate" else (parent if file.name != "mod.rs" else name.rpartition("/")[0])
        for target in _expand(path):
            parts = [part for part in [*prefix.split("/"), *target] if part]
            module = next(
                ("/".join(parts[:length]) for length in (3, 2, 1) if "/".join(parts[:length]) in modules), None
            )
            if module is not None:
                found.add(module)
    return found - {name}


def _expand(path: str) -> list[list[str]]:
    head, brace, rest = path.partition("{")
    start = [part for part in head.split("::") if part]
    if not brace:
        return [start]
    # Nested braces name items, not modules: the first level is enough.
    flat = re.sub(r"::\{[^{}]*\}", "", rest.removesuffix("}"))
    return [start + item.strip().split("::") for item in flat.split(",") if item.strip()]
