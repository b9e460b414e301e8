"""`ferroapi migrate`: a code base through the codemod, a diff of each file, and what is left for a person.

It finds, compares and writes files. How Python is rewritten is `rewrite`, how requirements are, `requirements`.
"""

import difflib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ferroapi._cli.record import NAME, Record
from ferroapi._cli.requirements import is_declaration, lock_command, rewrite_declaration
from ferroapi._cli.rewrite import FORWARD, CannotRewriteError, Remark, Renaming, Rewritten, parse, rewrite
from ferroapi._cli.surroundings import HIDDEN_FOLDERS, is_surrounding, remarks_on
from ferroapi._cli.third_party import Finding, Installed, imported_modules, needing_alias

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True)
class ChangedFile:
    """A file that is changed, with its bytes before and after."""

    path: Path
    before: bytes
    after: bytes

    def diff(self) -> str:
        """The change in unified format; the text is shown as UTF-8, whatever the file's encoding."""
        before, after = (
            text.decode("utf-8", "replace").splitlines(keepends=True) for text in (self.before, self.after)
        )
        name = self.path.as_posix()
        shown = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in shown)

    def write(self) -> None:
        """Replace the file's content; its mode and links stay."""
        self.path.write_bytes(self.after)


@dataclass
class Migration:
    """What there is to do in a code base; nothing is written before `ChangedFile.write`."""

    names: Renaming
    record: Record
    read: int = 0
    changed: list[ChangedFile] = field(default_factory=list)
    remarks: list[tuple[Path, Remark]] = field(default_factory=list)
    """Strings and names in Python that may mean the package or something else."""
    requirements: list[tuple[Path, Remark]] = field(default_factory=list)
    """What changed with a requirement, and what has to be locked again."""
    surroundings: list[tuple[Path, Remark]] = field(default_factory=list)
    """Commands and settings."""
    refused: list[tuple[Path, Remark]] = field(default_factory=list)
    """Files that cannot be read or rewritten, where, and why."""
    third_party: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Imported packages that are not installed here, so that nobody knows whether they need the alias."""

    def write(self) -> None:
        """Write all changed files, and the record of what requirements were.

        Raises:
            OSError: a file cannot be written; those before it are, and so is the record of them.
        """
        try:
            for each in self.changed:
                each.write()
                if not is_declaration(each.path):
                    continue
                if self.names is FORWARD:
                    self.record.add(each.path, each.before, each.after)
                elif self.record.before(each.path, each.before) is not None:
                    self.record.forget(each.path)
        finally:
            self.record.write()

    def as_json(self) -> dict[str, Any]:
        """The same for another program to read."""

        def shown(remarks: Iterable[tuple[Path, Remark]]) -> list[dict[str, Any]]:
            return [{"path": path.as_posix(), "line": remark.line, "text": remark.text} for path, remark in remarks]

        return {
            "read": self.read,
            "changed": [each.path.as_posix() for each in self.changed],
            "refused": shown(self.refused),
            "remarks": shown(self.remarks),
            "requirements": shown(self.requirements),
            "surroundings": shown(self.surroundings),
            "needs_alias": [asdict(each) for each in self.third_party],
            "not_installed": self.unknown,
        }


class NotPythonError(Exception):
    """The one file that was named is none that can be migrated."""


def plan(root: Path, names: Renaming = FORWARD, progress: Callable[[list[Path]], Iterable[Path]] = iter) -> Migration:
    """Read a file, or every file below a folder that may name the package, and say what would change.

    `progress` is given the paths and gives them back one by one, as they are read.

    Raises:
        FileNotFoundError: there is no such path.
        NotPythonError: it is a file of another kind.
        BrokenRecordError: the record of an earlier run cannot be read.
    """
    if not root.exists():
        raise FileNotFoundError(f"Path does not exist {root}")
    if root.is_file() and not (_is_python(root) or is_declaration(root) or is_surrounding(root)):
        raise NotPythonError(f"{root} is no Python file, and none that names requirements or commands")
    migration = Migration(names, Record(root))
    modules: set[str] = set()
    own: set[str] = set()
    for path in progress([root] if root.is_file() else list(files_of(root))):
        migration.read += 1
        try:
            before = path.read_bytes()
            if _is_python(path):
                own |= {path.stem, *path.parts}
                modules |= _imports(before)
            _read(path, before, migration)
        except CannotRewriteError as error:
            migration.refused.append((path, Remark(error.line, str(error))))
        except OSError as error:
            migration.refused.append((path, Remark(1, f"it cannot be read: {error.strerror}")))
    if names is FORWARD:
        installed = Installed()
        migration.third_party = needing_alias(modules, installed)
        migration.unknown = installed.missing(modules, own)
    return migration


def _imports(source: bytes) -> set[str]:
    """The modules that a file imports; none if only a newer Python than the running one can parse it.

    Raises:
        CannotRewriteError: no Python can.
    """
    try:
        return imported_modules(source)
    except (SyntaxError, ValueError):
        # The latter before Python 3.11.4, of null bytes.
        parse(source)
    except (RecursionError, MemoryError) as error:
        raise CannotRewriteError("it is nested too deeply to be parsed") from error
    return set()


def _read(path: Path, before: bytes, migration: Migration) -> None:
    names = migration.names
    if (command := lock_command(path)) is not None:
        if f'"{names.old}"'.encode() in before:
            migration.requirements.append((path, Remark(1, f"make it anew: {command}")))
        return
    if is_surrounding(path):
        migration.surroundings += [(path, remark) for remark in remarks_on(path, before, names)]
    is_python = _is_python(path)
    rewritten = rewrite(before, names) if is_python else _redeclared(path, before, migration)
    (migration.remarks if is_python else migration.requirements).extend((path, each) for each in rewritten.remarks)
    if rewritten.source != before:
        migration.changed.append(ChangedFile(path, before, rewritten.source))


def _redeclared(path: Path, before: bytes, migration: Migration) -> Rewritten:
    names, record = migration.names, migration.record
    if names is FORWARD or not record.knows(path):
        return rewrite_declaration(path, before, names)
    kept = record.before(path, before)
    if kept is not None:
        return Rewritten(kept)
    rewritten = rewrite_declaration(path, before, names)
    changed = Remark(1, f"it was changed since the migration; {record.path} has it as it was before, with its bounds")
    return Rewritten(rewritten.source, (changed, *rewritten.remarks))


def _is_python(path: Path) -> bool:
    return path.suffix in (".py", ".pyi")


def files_of(root: Path) -> Iterator[Path]:
    """The files below a folder that may name a package, in order; no virtual environments, few hidden folders."""
    for folder, names, files in os.walk(root):
        inside = Path(folder)
        names[:] = sorted(
            name
            for name in names
            if (not name.startswith(".") or name in HIDDEN_FOLDERS)
            and name not in _SKIPPED_FOLDERS
            and not (inside / name / "pyvenv.cfg").exists()
        )
        for path in (inside / name for name in sorted(files)):
            if _is_python(path) or is_declaration(path) or is_surrounding(path) or lock_command(path):
                yield path


def summary(migration: Migration, *, written: bool) -> str:
    """The report that follows the diff: counts, files that were refused, lines to look at, packages."""
    count = len(migration.changed)
    verb = "changed" if written else "would change"
    files = "file" if migration.read == 1 else "files"
    lines = [f"{migration.read} {files} read, {count} {verb}" + ("" if written or not count else " (--write to do it)")]
    for title, remarks in (
        ("Errors, for which these files are left as they are:", migration.refused),
        ("Not changed, look at them (strings and names may mean something else):", migration.remarks),
        ("Requirements:", migration.requirements),
        ("Commands and settings, to be changed by hand:", migration.surroundings),
    ):
        if remarks:
            lines += ["", title]
            lines += [f"  {path}:{remark.line}: {remark.text}" for path, remark in remarks]
    for certain, title in (
        (True, "Imports that need the alias (ferroapi.alias.install(), or ferroapi run --alias):"),
        (False, "Imports that need the alias only if their FastAPI integration is used:"),
    ):
        found = [finding for finding in migration.third_party if finding.certain is certain]
        if found:
            lines += ["", title]
            lines += [f"  {finding.module} ({finding.package}): {finding.reason}" for finding in found]
    if migration.unknown:
        count, packages = len(migration.unknown), ", ".join(migration.unknown)
        were = (
            "imported package is not installed here and was"
            if count == 1
            else "imported packages are not installed here and were"
        )
        lines += ["", f"{count} {were} not checked: {packages}"]
    if written and migration.names is FORWARD and any(is_declaration(each.path) for each in migration.changed):
        lines += ["", f"{NAME} keeps the requirements as they were, for --reverse; delete it if you do not go back."]
    return "\n".join(lines)
