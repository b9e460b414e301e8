"""The requirements of a code base as they were before `ferroapi migrate --write`, kept in a file for `--reverse`.

Version bounds of one package mean nothing for the other, so they are removed; only this file knows what they were.
"""

import hashlib
import json
from pathlib import Path

NAME = ".ferroapi-migrate.json"


class BrokenRecordError(Exception):
    """The file is there and cannot be read; the message is shown to the user as it is."""


class Record:
    """What was written into which file, and what stood there before; paths are relative to the record's folder."""

    def __init__(self, root: Path) -> None:
        """Read the record beside a file, or in a folder.

        Raises:
            BrokenRecordError: it is no record.
        """
        self.path = (root if root.is_dir() else root.parent) / NAME
        self._files: dict[str, dict[str, str]] = {}
        if not self.path.is_file():
            return
        try:
            for name, each in json.loads(self.path.read_text(encoding="utf-8")).items():
                self._files[name] = {key: str(each[key]) for key in ("before", "sha256_after")}
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise BrokenRecordError(f"{self.path} is no record of an earlier run: delete it ({error!r})") from error

    def add(self, path: Path, before: bytes, after: bytes) -> None:
        """Keep what a file was before something else was written into it."""
        # Bytes that are no UTF-8 are kept as lone surrogates, which JSON escapes.
        text = before.decode("utf-8", "surrogateescape")
        self._files[self._key(path)] = {"before": text, "sha256_after": hashlib.sha256(after).hexdigest()}

    def knows(self, path: Path) -> bool:
        """Whether a file is in the record."""
        return self._key(path) in self._files

    def before(self, path: Path, now: bytes) -> bytes | None:
        """What a file was; none if it is not in the record, or was changed since."""
        kept = self._files.get(self._key(path))
        if kept is None or kept["sha256_after"] != hashlib.sha256(now).hexdigest():
            return None
        return kept["before"].encode("utf-8", "surrogateescape")

    def forget(self, path: Path) -> None:
        """Remove a file from the record."""
        self._files.pop(self._key(path), None)

    def write(self) -> None:
        """Write the record; remove it if nothing is in it."""
        if self._files:
            self.path.write_text(json.dumps(self._files, indent=1) + "\n", encoding="utf-8")
        else:
            self.path.unlink(missing_ok=True)

    def _key(self, path: Path) -> str:
        return path.resolve().relative_to(self.path.parent.resolve()).as_posix()
