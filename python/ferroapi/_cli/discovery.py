"""Finding the application: from a path, an import string, pyproject.toml or the default files, to `module:name`.
It imports the application's module and looks into it; it serves nothing.
"""

import importlib
import sys
import tomllib
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ferroapi import alias

DEFAULT_PATHS = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")
"""Where an application is looked for when none is named, in this order. Source: fastapi-cli, `discover`."""

DEFAULT_NAMES = ("app", "api")


class DiscoveryError(Exception):
    """No application could be found or imported; the message is shown to the user as it is."""


class BrokenApplicationError(DiscoveryError):
    """The application's own code raised an exception when it was imported, which is the cause of this one."""

    def shown_cause(self) -> str:
        """The traceback of that exception, without the frames before the application's code."""
        cause = self.__cause__ or self
        frames = cause.__traceback__
        # Code of a file runs under this name; a file with a syntax error has no such frame.
        while frames is not None and frames.tb_frame.f_code.co_name != "<module>":
            frames = frames.tb_next
        return "".join(traceback.format_exception(type(cause), cause, frames))


@dataclass(frozen=True)
class ImportPoint:
    """A module to import, the folder it is importable from, and the application's name in it if that is known."""

    module: str
    folder: Path
    name: str | None = None
    origin: str = ""
    """Where the module is named, if not on the command line."""


def locate(path: Path | None, name: str | None) -> ImportPoint:
    """The import point of a file or package folder; without a path, of the first default file that exists.

    Raises:
        DiscoveryError: there is no such path, or none of the defaults.
    Source: fastapi-cli behaviour, `discover.get_import_data`.
    """
    if path is None:
        path = next((found for candidate in DEFAULT_PATHS if (found := Path(candidate)).is_file()), None)
        if path is None:
            raise DiscoveryError(
                f"Found no application in {Path.cwd()}: it has none of {', '.join(DEFAULT_PATHS)}. "
                "Name a file (src/service.py) or a module (package.module:app)"
            )
    if not path.exists():
        raise DiscoveryError(f"Path does not exist {path}")
    if path.is_dir() and not (path / "__init__.py").is_file():
        raise DiscoveryError(f"{path} is a folder without __init__.py: name the file in it that has the application")
    if path.is_file() and path.suffix != ".py":
        raise DiscoveryError(f"{path} is no Python file")
    module = path.resolve()
    if module.stem == "__init__":
        module = module.parent
    folder, names = module.parent, [module.stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return ImportPoint(".".join(names), folder, name)


def parse_import_string(text: str, origin: str = "") -> ImportPoint:
    """The import point of `package.module:name`, importable from the current folder.

    Raises:
        DiscoveryError: it has no module or no name, or a file in the module's place.
    """
    module, _, name = text.partition(":")
    where = f", {origin}," if origin else ""
    if name and (module.startswith(".") or "/" in module or Path(module).is_file()):
        raise DiscoveryError(
            f'"{text}"{where} has a file in the place of a module: '
            f"write {module} --app {name}, or package.module:{name}"
        )
    if not module or not name:
        raise DiscoveryError(f'"{text}"{where} names no application: write package.module:name, for instance main:app')
    return ImportPoint(module, Path.cwd(), name, origin)


def configured_entrypoint(folder: Path) -> str | None:
    """`entrypoint` of `[tool.fastapi]` in the folder's pyproject.toml, which FastAPI's command reads as well.

    Raises:
        DiscoveryError: the file cannot be read, or the entrypoint is not a string.
    """
    file = folder / "pyproject.toml"
    if not file.is_file():
        return None
    try:
        found: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DiscoveryError(f"{file} cannot be read: {error}") from error
    for key in ("tool", "fastapi", "entrypoint"):
        if not isinstance(found, dict):
            raise DiscoveryError(f'{file}: [tool.fastapi] must be a table, such as entrypoint = "main:app"')
        found = found.get(key, {} if key != "entrypoint" else None)
    if found is not None and not isinstance(found, str):
        raise DiscoveryError(f'{file}: entrypoint must be a string, such as "main:app"')
    return found


def find_application(point: ImportPoint) -> str:
    """Import the module and return `module:name` of the application in it.

    Raises:
        DiscoveryError: the module cannot be found, or has no such application.
        BrokenApplicationError: the module raises an exception.
    """
    if str(point.folder) not in sys.path:
        sys.path.insert(0, str(point.folder))
    try:
        module = importlib.import_module(point.module)
    except ModuleNotFoundError as error:
        raise _not_found(point, error) from error
    except Exception as error:
        raise BrokenApplicationError(f"{point.module} could not be imported: see the traceback above") from error
    return f"{point.module}:{_application_name(module, point.name)}"


def _not_found(point: ImportPoint, error: ModuleNotFoundError) -> DiscoveryError:
    missing = str(error.name)
    root = missing.partition(".")[0]
    if root == alias.THEIRS:
        return DiscoveryError(
            f"{point.module} imports {alias.THEIRS}, which is not installed: add --alias, so that it gets "
            f"{alias.OURS} in its place, or rename its imports with `{alias.OURS} migrate`"
        )
    if point.module == missing or point.module.startswith(f"{missing}."):
        where = f" ({point.origin})" if point.origin else ""
        package, _, name = missing.rpartition(".")
        hint = f": write {package}:{name}" if name in vars(sys.modules.get(package, error)) else ""
        return DiscoveryError(f"There is no module {missing}{where} in {point.folder}, and none is installed{hint}")
    here = Path.cwd()
    if here != point.folder and ((here / root).is_dir() or (here / f"{root}.py").is_file()):
        hint = f"it was imported from {point.folder}. For imports that begin at {here}, name it as package.module:name"
    else:
        hint = f"it is not installed for {sys.executable}"
    return BrokenApplicationError(f"{point.module} could not be imported, since {missing} was not found: {hint}")


def _application_name(module: ModuleType, name: str | None) -> str:
    from ferroapi import FastAPI

    if name is None:
        found = next((each for each in (*DEFAULT_NAMES, *dir(module)) if _is_a(FastAPI, module, each)), None)
        if found is None:
            _refuse_real_fastapi(module, [*DEFAULT_NAMES, *dir(module)])
            raise DiscoveryError(f"{module.__name__} has no application: nothing in it is a FastAPI()")
        return found
    if _is_a(FastAPI, module, name):
        return name
    _refuse_real_fastapi(module, [name])
    try:
        other = attribute(module, name)
    except AttributeError:
        applications = [each for each in dir(module) if _is_a(FastAPI, module, each)]
        has = f"; its applications are {', '.join(applications)}" if applications else ", and no application"
        raise DiscoveryError(f"{module.__name__} has no {name}{has}") from None
    raise DiscoveryError(f"{name} in {module.__name__} is no application, but of the type {type(other).__name__}")


def attribute(module: ModuleType, name: str) -> Any:
    """What a name in a module stands for; it may have dots.

    Raises:
        AttributeError: there is no such name.
    """
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _is_a(kind: type, module: ModuleType, name: str) -> bool:
    try:
        return isinstance(attribute(module, name), kind)
    except AttributeError:
        return False


def _refuse_real_fastapi(module: ModuleType, names: list[str]) -> None:
    real = None if alias.is_installed() else sys.modules.get("fastapi")
    if real is not None and any(_is_a(real.FastAPI, module, name) for name in names):
        raise DiscoveryError(
            f"The application in {module.__name__} is FastAPI's: import it from ferroapi, or use --alias"
        )
