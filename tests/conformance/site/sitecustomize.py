"""Python imports this at start-up because the harness puts this folder on PYTHONPATH.
It installs the alias when `fastapi` is first imported, so that subprocesses of the suite run on ferroapi as well.
It imports nothing of ferroapi before that.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class AliasOnDemand:
    """Installs the alias at the first `import fastapi`, then steps out of the way."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Hand `fastapi` over to the alias' own finder."""
        if fullname != "fastapi":
            return None
        sys.meta_path.remove(cls)
        from ferroapi import alias

        alias.install()
        return next(
            (spec for finder in sys.meta_path if (spec := finder.find_spec(fullname, path, target)) is not None), None
        )


sys.meta_path.insert(0, AliasOnDemand)
