"""Which application a command is about: what the user named, found and imported, with or without the alias."""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import typer

from ferroapi import alias
from ferroapi._cli.discovery import (
    BrokenApplicationError,
    DiscoveryError,
    ImportPoint,
    attribute,
    configured_entrypoint,
    find_application,
    locate,
    parse_import_string,
)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Target:
    """How the user named the application, and whether it is written for FastAPI."""

    path: str | None
    """A file, a folder, a module, or `package.module:name`; `None` for what the folder or its pyproject.toml says."""
    app: str | None
    entrypoint: str | None
    use_alias: bool
    is_verbose: bool = False

    def find(self) -> str:
        """`module:name` of the application, imported.

        Raises:
            DiscoveryError: there is none, or the real `fastapi` is there before the alias.
        """
        if self.use_alias:
            _install_alias()
            # Reload and worker processes inherit the environment, not this process' modules.
            os.environ["FERROAPI_ALIAS"] = "1"
        found = find_application(self._point())
        if self.is_verbose:
            module = sys.modules[found.partition(":")[0]]
            typer.echo(f"Importing {found} from {module.__file__}")
        return found

    def load(self) -> Any:
        """The application itself.

        Raises:
            DiscoveryError: as for `find`.
        """
        return load(self.find())

    def _point(self) -> ImportPoint:
        if self.entrypoint is not None:
            if self.path is not None or self.app is not None:
                raise DiscoveryError("Cannot use --entrypoint together with path or --app arguments")
            return parse_import_string(self.entrypoint)
        if self.path is None and self.app is None and (configured := configured_entrypoint(Path.cwd())) is not None:
            return parse_import_string(configured, "the entrypoint of pyproject.toml")
        if "" in (self.path, self.app):
            raise DiscoveryError("The path or the name of the application is empty")
        if self.path is None or Path(self.path).exists():
            return locate(None if self.path is None else Path(self.path), self.app)
        if ":" in self.path:
            if self.app is not None:
                raise DiscoveryError(f"Cannot use --app together with {self.path}, which names the application")
            return parse_import_string(self.path)
        if not self.path.endswith(".py") and all(name.isidentifier() for name in self.path.split(".")):
            return ImportPoint(self.path, Path.cwd(), self.app)
        raise DiscoveryError(f"Path does not exist {self.path}")


def load(import_string: str) -> Any:
    """The object that `module:name` stands for; the name may have dots."""
    module, _, name = import_string.partition(":")
    return attribute(importlib.import_module(module), name)


def or_exit(action: Callable[[], Result], *, to_stderr: bool = False) -> Result:
    """What `action` returns; its discovery error is printed, and ends the process with code 1.

    `run` and `dev` print it to standard output. Source: fastapi-cli behaviour.
    """
    try:
        return action()
    except DiscoveryError as error:
        if isinstance(error, BrokenApplicationError):
            typer.echo(error.shown_cause(), err=to_stderr)
        typer.echo(str(error), err=to_stderr)
        raise typer.Exit(code=1) from None


def _install_alias() -> None:
    try:
        alias.install()
    except alias.RealFastAPIImportedError as error:
        raise DiscoveryError(str(error)) from error
