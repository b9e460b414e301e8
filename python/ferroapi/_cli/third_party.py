"""Which imports of a code base come from packages that were written for FastAPI, and so need the alias.
It reads import statements and the metadata of installed packages; it imports none of them.
"""

import ast
import re
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

FASTAPI = "fastapi"
_OWN = frozenset({FASTAPI, "ferroapi"})
_REQUIREMENT = re.compile(r"\s*([\w.-]+)[^;]*(?:;(.*))?")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True)
class Finding:
    """An imported module, the package it comes from, and why it needs the alias; `certain` when it always does."""

    module: str
    package: str
    reason: str
    certain: bool


def imported_modules(source: bytes) -> set[str]:
    """The dotted names of the modules that a file imports absolutely.

    Raises:
        SyntaxError: the running Python cannot parse it.
    """
    with warnings.catch_warnings():
        # What Python has to say of a string in that file is not what was asked.
        warnings.simplefilter("ignore")
        return set(_imports(ast.parse(source)))


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement, at any depth. An import is one, so the expressions, most of a tree, are not visited."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            # `from package import fastapi` may import the submodule that is made for it.
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name == FASTAPI)


class Installed:
    """The packages of this interpreter's environment, as their metadata describes them."""

    def __init__(self) -> None:
        self._packages = metadata.packages_distributions()

    def owners(self, module: str) -> list[str]:
        """The packages that install the module; several share the top of a namespace package."""
        packages = sorted(set(self._packages.get(module.partition(".")[0], ())))
        if len(packages) < 2:
            return packages
        path = module.replace(".", "/")
        return [name for name in packages if self._has(name, path)] or packages

    def missing(self, modules: Iterable[str], own: Collection[str]) -> list[str]:
        """The packages among `modules` that are not there, by name; `own` are names of the code base itself."""
        roots = {module.partition(".")[0] for module in modules} - _OWN - sys.stdlib_module_names
        return sorted(root for root in roots if root not in own and root not in self._packages)

    def requirements(self, package: str) -> list[str]:
        """What the package requires, extras included; nothing if it is not installed."""
        try:
            return metadata.requires(package) or []
        except metadata.PackageNotFoundError:
            return []

    def _has(self, package: str, path: str) -> bool:
        return any(file.as_posix() in (f"{path}.py", f"{path}/__init__.py") for file in metadata.files(package) or ())


def needing_alias(modules: Iterable[str], installed: Installed) -> list[Finding]:
    """One finding for each package among `modules` that needs the alias, then for each that may need it, by name."""
    findings: dict[str, Finding] = {}
    for module in sorted(modules):
        if module.partition(".")[0] in _OWN:
            continue
        for package in installed.owners(module) or [module.partition(".")[0]]:
            finding = _judge(module, package, installed.requirements(package))
            known = findings.get(package)
            if finding is not None and (known is None or finding.certain > known.certain):
                findings[package] = finding
    return sorted(findings.values(), key=lambda finding: (not finding.certain, finding.module))


def _judge(module: str, package: str, requirements: Sequence[str]) -> Finding | None:
    parts = module.split(".")
    if FASTAPI in parts[1:]:
        return Finding(module, package, f"the module is named after {FASTAPI}", certain=True)
    extras: set[str] = set()
    for text in requirements:
        match = _REQUIREMENT.match(text)
        if match is None or match[1].lower().replace("_", "-") != FASTAPI:
            continue
        extra = _EXTRA.search(match[2] or "")
        if extra is None:
            return Finding(module, package, f"the package requires {FASTAPI}", certain=True)
        extras.add(extra[1])
    if FASTAPI in re.split(r"[_-]", parts[0]):
        return Finding(module, package, f"the package is named after {FASTAPI}", certain=True)
    if extras:
        return Finding(module, package, f"its extra {', '.join(sorted(extras))} requires {FASTAPI}", certain=False)
    return None
