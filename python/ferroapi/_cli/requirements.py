"""Where a code base names the packages that it needs, with one package put in the place of another.

It reads pyproject.toml (PEP 621, dependency groups, Poetry, uv, PDM, Hatch), Pipfile, requirement files and setup.cfg.
Version bounds are not carried over: those of one package mean nothing for the other.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError
from tomlkit.items import AbstractTable, Array

from ferroapi._cli.rewrite import CannotRewriteError, Remark, Renaming, Rewritten

_EXTRAS = {"standard-no-fastapi-cloud-cli": "standard"}
"""Extras of FastAPI that are called otherwise here. Source: FastAPI's package metadata."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]]*\])?(?P<versions>[^;#]*?)(?P<rest>\s*(?:[;#\\].*)?)",
    re.DOTALL,
)
_TABLE_HEADER = re.compile(r"\[\s*([^\[\]]+?)\s*\]")
_KEYED = re.compile(r"tool\.poetry\.(?:group\.[^.]+\.)?(?:dev-)?dependencies|(?:dev-)?packages")
# As pip reads requirement files. Source: pip, `_internal/utils/encoding.py`.
_ENCODINGS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LOCKS = {
    "poetry.lock": "poetry lock",
    "uv.lock": "uv lock",
    "pdm.lock": "pdm lock",
    "Pipfile.lock": "pipenv lock",
    "requirements.lock": "rye lock",
    "requirements-dev.lock": "rye lock",
}


@dataclass(frozen=True)
class _Renamed:
    """A requirement under its new name, and the version bounds that it had."""

    text: str
    bounds: str


def is_declaration(path: Path) -> bool:
    """Whether a file is one of those that `rewrite_declaration` reads."""
    return _reader_of(path) is not None


def lock_command(path: Path) -> str | None:
    """Return what makes a lock file anew, None for a file that no package manager makes from a declaration."""
    return _LOCKS.get(path.name)


def rewrite_declaration(path: Path, source: bytes, names: Renaming) -> Rewritten:
    """Put the new package in the place of the old one in a file that declares requirements.

    Raises:
        CannotRewriteError: the file is no UTF-8, and says no other encoding by a byte order mark, or no TOML.
    """
    reader = _reader_of(path)
    mark, encoding = next((each for each in _ENCODINGS if source.startswith(each[0])), (b"", "utf-8"))
    if reader is None or names.old.encode(encoding) not in source.lower():
        return Rewritten(source)
    try:
        text = source[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count("\n".encode(encoding))
        raise CannotRewriteError(f"it is not {encoding.upper()}: {error}", line) from error
    changed, remarks = reader(text, names)
    return Rewritten(mark + changed.encode(encoding), tuple(remarks))


Reader = Callable[[str, Renaming], tuple[str, list[Remark]]]


def _reader_of(path: Path) -> Reader | None:
    if path.name in ("pyproject.toml", "Pipfile"):
        return _rewrite_toml
    if path.name == "setup.cfg":
        return _rewrite_setup_cfg
    is_named_so = re.match(r"(?:[\w-]+[-_.])?(?:requirements|constraints|reqs)\b", path.name) is not None
    is_in_such_a_folder = path.parent.name in ("requirements", "constraints")
    return _rewrite_lines if path.suffix in (".txt", ".in") and (is_named_so or is_in_such_a_folder) else None


def _is_named(name: str, package: str) -> bool:
    return re.sub(r"[-_.]+", "-", name).lower() == package


def _renamed(requirement: str, names: Renaming) -> _Renamed | None:
    """The requirement with the new package; none if it is of another package."""
    match = _REQUIREMENT.fullmatch(requirement.strip())
    if match is None or not _is_named(match["name"], names.old):
        return None
    return _Renamed(names.new + _renamed_extras(match["extras"]) + match["rest"], match["versions"].strip())


def _renamed_extras(extras: str | None) -> str:
    if extras is None:
        return ""
    renamed = (_EXTRAS.get(extra.strip(), extra.strip()) for extra in extras.strip("[]").split(","))
    return f"[{','.join(renamed)}]"


def _bounds_remark(line: int, names: Renaming, bounds: str) -> Iterator[Remark]:
    if bounds:
        yield Remark(line, f"the bounds {bounds} of {names.old} are gone; give {names.new} its own if you want some")


def _rewrite_lines(text: str, names: Renaming) -> tuple[str, list[Remark]]:
    """One requirement a line, as pip reads them."""
    lines = text.splitlines(keepends=True)
    remarks: list[Remark] = []
    for index, line in enumerate(lines):
        content = line.strip()
        if not _NAME.match(content):
            continue
        renamed = _renamed(content, names)
        if renamed is None:
            continue
        if "--hash" in text:
            remarks.append(
                Remark(index + 1, f"{content}: the file has hashes; make it anew from what it was compiled of")
            )
            continue
        if content.endswith("\\"):
            remarks.append(Remark(index + 1, f"{content}: it goes on in the next line; put {names.new} there by hand"))
            continue
        indent, end = line[: len(line) - len(line.lstrip())], line[len(line.rstrip()) :]
        lines[index] = indent + renamed.text + end
        remarks += _bounds_remark(index + 1, names, renamed.bounds)
    return "".join(lines), remarks


def _rewrite_setup_cfg(text: str, names: Renaming) -> tuple[str, list[Remark]]:
    """The lists of requirements in `[options]` and `[options.extras_require]`."""
    lines, section, key = text.splitlines(keepends=True), "", ""
    remarks: list[Remark] = []
    for index, line in enumerate(lines):
        if header := re.match(r"\[([^\]]+)\]", line):
            section, key = header[1].strip(), ""
            continue
        if assigned := re.match(r"([\w.-]+)\s*[=:]\s*", line):
            key = assigned[1]
        is_list = section == "options.extras_require" or (section == "options" and key.endswith("_requires"))
        start = assigned.end() if assigned else len(line) - len(line.lstrip())
        if not is_list or (renamed := _renamed(line[start:], names)) is None:
            continue
        lines[index] = line[:start] + renamed.text + line[len(line.rstrip()) :]
        remarks += _bounds_remark(index + 1, names, renamed.bounds)
    return "".join(lines), remarks


def _rewrite_toml(text: str, names: Renaming) -> tuple[str, list[Remark]]:
    # Names of keys are changed in the text: tomlkit has no way to give a key another name in its place.
    text, renamed = _rename_keys(text, names)
    try:
        document = tomlkit.parse(text)
    except ParseError as error:
        raise CannotRewriteError(f"it is no TOML: {error}", error.line) from error
    remarks: list[Remark] = []
    found_bounds = (each for table in _tables(document) for each in _without_bounds(table, names.new))
    for bounds in dict.fromkeys(found_bounds) if renamed else ():
        for line in _lines_below(text, bounds, renamed):
            remarks += _bounds_remark(line, names, bounds)
    for requirements in _arrays(document):
        for index, requirement in enumerate(requirements):
            found = _renamed(requirement, names) if isinstance(requirement, str) else None
            if found is not None:
                requirements[index] = found.text
                remarks += _bounds_remark(_line_of(text, re.escape(str(requirement))), names, found.bounds)
    remarks = sorted(dict.fromkeys(remarks), key=lambda remark: remark.line)
    sources = _below(document, "tool", "uv", "sources")
    if isinstance(sources, AbstractTable) and names.old in sources:
        line = _line_of(text, r"^\[tool\.uv\.sources")
        remarks.append(Remark(line, f"tool.uv.sources says where {names.old} comes from"))
    return tomlkit.dumps(document), remarks


def _rename_keys(text: str, names: Renaming) -> tuple[str, list[int]]:
    """Rename the key of the package in the tables that have one for each; return the lines that changed, too."""
    lines, renamed, is_inside = text.splitlines(keepends=True), [], False
    key = re.compile(rf"""(\s*)(["']?){re.escape(names.old)}\2(?=\s*[=.])""")
    for index, line in enumerate(lines):
        if header := _TABLE_HEADER.match(line):
            is_inside = _KEYED.fullmatch(header[1]) is not None
            parent, _, last = header[1].rpartition(".")
            if last == names.old and _KEYED.fullmatch(parent):
                lines[index] = line.replace(header[1], f"{parent}.{names.new}", 1)
                renamed.append(index + 1)
        elif is_inside and (match := key.match(line)):
            lines[index] = f"{match[1]}{match[2]}{names.new}{match[2]}{line[match.end() :]}"
            renamed.append(index + 1)
    return "".join(lines), renamed


def _line_of(text: str, pattern: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _lines_below(text: str, part: str, starts: list[int]) -> list[int]:
    """The lines of the keys, among those at `starts`, whose value has `part`; that of a table stands below its name."""
    lines = text.splitlines()
    found = []
    for start, following in zip(starts, [*starts[1:], len(lines) + 1], strict=True):
        value = lines[start - 1 : min(start + 3, following - 1)]
        if any(f'"{part}"' in line or f"'{part}'" in line for line in value):
            found.append(start)
    return found or starts[:1]


def _below(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, AbstractTable | tomlkit.TOMLDocument) else None
    return value


def _arrays(document: tomlkit.TOMLDocument) -> Iterator[Array]:
    """The arrays of requirements. Source: PEP 621, PEP 735, the documentation of uv, PDM and Hatch."""
    uv = ("dev-dependencies", "constraint-dependencies", "override-dependencies")
    values = [_below(document, "project", "dependencies"), *(_below(document, "tool", "uv", key) for key in uv)]
    groups = [
        _below(document, "project", "optional-dependencies"),
        _below(document, "dependency-groups"),
        _below(document, "tool", "pdm", "dev-dependencies"),
    ]
    environments = _below(document, "tool", "hatch", "envs")
    groups += environments.values() if isinstance(environments, AbstractTable) else []
    values += [value for group in groups if isinstance(group, AbstractTable) for value in group.values()]
    yield from (value for value in values if isinstance(value, Array))


def _tables(document: tomlkit.TOMLDocument) -> Iterator[AbstractTable]:
    """The tables that have a package in each key. Source: the documentation of Poetry and Pipenv."""
    values = [_below(document, "tool", "poetry", key) for key in ("dependencies", "dev-dependencies")]
    groups = _below(document, "tool", "poetry", "group")
    if isinstance(groups, AbstractTable):
        values += [_below(group, "dependencies") for group in groups.values()]
    values += [document.get(key) for key in ("packages", "dev-packages")]
    yield from (value for value in values if isinstance(value, AbstractTable))


def _without_bounds(table: AbstractTable, package: str) -> Iterator[str]:
    """Let any version of a package do; give the bounds that it had, and the extras their names here."""
    value = table.get(package)
    if isinstance(value, str):
        yield str(value) if value != "*" else ""
        table[package] = "*"
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            continue
        yield str(each.get("version", ""))
        if "version" in each:
            each["version"] = "*"
        if "extras" in each:
            each["extras"] = [_EXTRAS.get(extra, extra) for extra in each["extras"]]
