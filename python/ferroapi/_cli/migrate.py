"""`ferroapi migrate`: the files of a code base through the codemod, a diff of each, and what is left for a person.
It finds, compares and writes files; how a file is rewritten is `rewrite`, which needs LibCST.
"""

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ferroapi._cli.rewrite import CannotRewriteError, Remark, rewrite
from ferroapi._cli.third_party import Finding, Installed, imported_modules, needing_alias

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True)
class ChangedFile:
    """A file that the codemod changes, with its bytes before and after."""

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

    read: int = 0
    changed: list[ChangedFile] = field(default_factory=list)
    remarks: list[tuple[Path, Remark]] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)
    third_party: list[Finding] = field(default_factory=list)


def plan(root: Path) -> Migration:
    """Read a file, or every Python file below a folder, and say what would change.

    Raises:
        FileNotFoundError: there is no such path.
    """
    if not root.exists():
        raise FileNotFoundError(f"Path does not exist {root}")
    migration = Migration()
    modules: set[str] = set()
    for path in [root] if root.is_file() else python_files(root):
        before = path.read_bytes()
        migration.read += 1
        modules |= imported_modules(before)
        try:
            rewritten = rewrite(before)
        except CannotRewriteError as error:
            migration.refused.append((path, str(error)))
            continue
        migration.remarks.extend((path, remark) for remark in rewritten.remarks)
        if rewritten.source != before:
            migration.changed.append(ChangedFile(path, before, rewritten.source))
    migration.third_party = needing_alias(modules, Installed())
    return migration


def python_files(root: Path) -> Iterator[Path]:
    """The `.py` and `.pyi` files below a folder, in order, without hidden folders and virtual environments."""
    for folder, names, files in os.walk(root):
        inside = Path(folder)
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".") and name not in _SKIPPED_FOLDERS and not (inside / name / "pyvenv.cfg").exists()
        )
        yield from (inside / name for name in sorted(files) if name.endswith((".py", ".pyi")))


def summary(migration: Migration, *, written: bool) -> str:
    """The report that follows the diff: counts, files that were refused, strings to look at, packages."""
    count = len(migration.changed)
    verb = "changed" if written else "would change"
    lines = [f"{migration.read} files read, {count} {verb}" + ("" if written or not count else " (--write to do it)")]
    if migration.refused:
        lines += ["", "Left as they are:"]
        lines += [f"  {path}: {reason}" for path, reason in migration.refused]
    if migration.remarks:
        lines += ["", "Not changed, look at them (strings and names may mean something else):"]
        lines += [f"  {path}:{remark.line}: {remark.text}" for path, remark in migration.remarks]
    for certain, title in (
        (True, "Imports that need the alias (ferroapi.alias.install(), or ferroapi run --alias):"),
        (False, "Imports that need the alias only if their FastAPI integration is used:"),
    ):
        found = [finding for finding in migration.third_party if finding.certain is certain]
        if found:
            lines += ["", title]
            lines += [f"  {finding.module} ({finding.package}): {finding.reason}" for finding in found]
    return "\n".join(lines)
