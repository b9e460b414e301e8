"""The list of expected failures: read it, match it against a run's outcomes, and say what changed.
It stands after the run; it starts no process and knows nothing of pytest.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FAILING = frozenset({"failed", "error", "xpassed"})


@dataclass(frozen=True)
class Entry:
    """One or more tests that are known to fail, for one reason; `*` in an identifier stands for any text."""

    tests: tuple[str, ...]
    reason: str

    def matches(self, test: str) -> bool:
        """Whether this entry speaks of `test`."""
        return any(re.fullmatch(_pattern(pattern), test) for pattern in self.tests)


@dataclass(frozen=True)
class Change:
    """How a run differs from the list."""

    unlisted: list[str] = field(default_factory=list)
    listed_passes: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.unlisted or self.listed_passes or self.stale)


def read(path: Path) -> list[Entry]:
    """The entries of an expected-failures file.

    Raises:
        ValueError: an entry has no test or no reason, or a key that is not known.
    """
    entries = []
    for table in tomllib.loads(path.read_text(encoding="utf-8")).get("expected", []):
        tests, reason = table.get("tests"), str(table.get("reason", "")).strip()
        if table.keys() - {"tests", "reason"} or not isinstance(tests, list) or not tests or not reason:
            raise ValueError(f"{path.name}: each [[expected]] needs `tests` (a list) and a `reason`: {table}")
        entries.append(Entry(tuple(tests), reason))
    return entries


def compare(outcomes: Mapping[str, str], entries: list[Entry], *, whole_suite: bool) -> Change:
    """What the run has against the list; entries that match nothing count only when the whole suite was run."""
    change = Change()
    for test, outcome in outcomes.items():
        listed = any(entry.matches(test) for entry in entries)
        if outcome in FAILING and not listed:
            change.unlisted.append(test)
        elif listed and outcome not in FAILING:
            change.listed_passes.append(test)
    if whole_suite:
        patterns = [pattern for entry in entries for pattern in entry.tests]
        change.stale.extend(
            pattern for pattern in patterns if not any(re.fullmatch(_pattern(pattern), test) for test in outcomes)
        )
    return change


def suggest(change: Change, messages: Mapping[str, str]) -> str:
    """The unlisted failures as entries to paste, grouped by message; every reason is still to be written by hand."""
    groups: dict[str, list[str]] = {}
    for test in change.unlisted:
        groups.setdefault(messages.get(test, ""), []).append(test)
    blocks = []
    for message, tests in sorted(groups.items(), key=lambda group: -len(group[1])):
        listed = "".join(f"    {_quoted(test)},\n" for test in sorted(tests))
        blocks.append(f"[[expected]]\nreason = {_quoted('UNEXPLAINED: ' + message)}\ntests = [\n{listed}]\n")
    return "\n".join(blocks)


def _pattern(text: str) -> str:
    return ".*".join(re.escape(part) for part in text.split("*"))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(character if character.isprintable() else " " for character in escaped) + '"'
