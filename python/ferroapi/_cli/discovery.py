"""Finding the application: from a path, an import string, pyproject.toml or the default files, to `module:name`.
It imports the application's module and looks into it; it serves nothing.
"""

import importlib
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ferroapi import alias

DEFAULT_PATHS = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")
"""Where an application is looked for when none is named, in this order. Source: fastapi-cli, `discover`."""

DEFAULT_NAMES = ("app", "api")


class DiscoveryError(Exception):
    """No application could be found or imported; the message is shown to the user as it is."""


@dataclass(frozen=True)
class ImportPoint:
    """A module to import, the folder it is importable from, and the application's name in it if that is known."""

    module: str
    folder: Path
    name: str | None = None


def locate(path: Path | None, name: str | None) -> ImportPoint:
    """The import point of a file or package folder; without a path, of the first default file that exists.

    Raises:
        DiscoveryError: there is no such path, or none of the defaults.
    Source: fastapi-cli behaviour, `discover.get_import_data`.
    """
    if path is None:
        path = next((found for candidate in DEFAULT_PATHS if (found := Path(candidate)).is_file()), None)
        if path is None:
            raise DiscoveryError("Could not find a default file to run, please provide an explicit path")
    if not path.exists():
        raise DiscoveryError(f"Path does not exist {path}")
    module = path.resolve()
    if module.stem == "__init__":
        module = module.parent
    folder, names = module.parent, [module.stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return ImportPoint(".".join(names), folder, name)


def parse_import_string(text: str) -> ImportPoint:
    """The import point of `package.module:name`, importable from the current folder.

    Raises:
        DiscoveryError: it has no module or no name.
    """
    module, _, name = text.partition(":")
    if not module or not name:
        raise DiscoveryError("Import string must be in the format module.submodule:app_name")
    return ImportPoint(module, Path.cwd(), name)


def configured_entrypoint(folder: Path) -> str | None:
    """`entrypoint` of `[tool.fastapi]` in the folder's pyproject.toml, which FastAPI's command reads as well.

    Raises:
        DiscoveryError: it is not a string.
    """
    file = folder / "pyproject.toml"
    if not file.is_file():
        return None
    entrypoint = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("fastapi", {}).get("entrypoint")
    if entrypoint is not None and not isinstance(entrypoint, str):
        raise DiscoveryError("Invalid configuration in pyproject.toml: entrypoint must be a string")
    return entrypoint


def find_application(point: ImportPoint) -> str:
    """Import the module and return `module:name` of the application in it.

    Raises:
        DiscoveryError: the module cannot be found, or has no such application.
    """
    if str(point.folder) not in sys.path:
        sys.path.insert(0, str(point.folder))
    try:
        module = importlib.import_module(point.module)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == alias.THEIRS:
            raise DiscoveryError(
                f"{point.module} imports {alias.THEIRS}, which is not installed: add --alias, so that it gets "
                f"{alias.OURS} in its place, or rename its imports with `{alias.OURS} migrate`"
            ) from error
        # An import that fails inside the application is the application's, and keeps its traceback.
        if not point.module.startswith(str(error.name)):
            raise
        raise DiscoveryError(
            f"Could not import {point.module}: {error}. Package folders need an __init__.py file"
        ) from error
    return f"{point.module}:{_application_name(module, point.name)}"


def _application_name(module: ModuleType, name: str | None) -> str:
    from ferroapi import FastAPI

    if name is not None and not hasattr(module, name.partition(".")[0]):
        raise DiscoveryError(f"Could not find app name {name} in {module.__name__}")
    candidates = [name] if name is not None else [*DEFAULT_NAMES, *dir(module)]
    for candidate in candidates:
        if isinstance(getattr(module, candidate, None), FastAPI):
            return candidate
    if _uses_real_fastapi(module, candidates):
        raise DiscoveryError(
            f"The application in {module.__name__} is FastAPI's: import it from ferroapi, or use --alias"
        )
    if name is not None:
        raise DiscoveryError(f"The app name {name} in {module.__name__} doesn't seem to be a FastAPI app")
    raise DiscoveryError("Could not find FastAPI app in module, try using --app")


def _uses_real_fastapi(module: ModuleType, names: Iterable[str]) -> bool:
    real = None if alias.is_installed() else sys.modules.get("fastapi")
    return real is not None and any(isinstance(getattr(module, name, None), real.FastAPI) for name in names)
