"""pytest plugin of the migrated run: nothing named `fastapi` can be imported, so what was not migrated fails.
It stands in front of every other finder; the suite's environment may hold the real FastAPI or not.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class NoFastAPI:
    """Refuses `fastapi` and its submodules."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find nothing, and for `fastapi` let nobody else look.

        Raises:
            ModuleNotFoundError: the module is FastAPI's.
        """
        if fullname.partition(".")[0] == "fastapi":
            raise ModuleNotFoundError(f"No module named {fullname!r}: the migrated run has no alias", name=fullname)
        return None


sys.meta_path.insert(0, NoFastAPI)
