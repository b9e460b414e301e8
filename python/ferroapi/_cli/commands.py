"""The commands `run`, `dev`, `explain` and `migrate`, on typer and uvicorn.
They stand between the shell and uvicorn; requests never pass through here.
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ferroapi import alias
from ferroapi._cli.discovery import (
    DEFAULT_PATHS,
    DiscoveryError,
    ImportPoint,
    configured_entrypoint,
    find_application,
    locate,
    parse_import_string,
)

Result = TypeVar("Result")

# The import string for worker and reload processes, which start without the alias: see `load_served`.
_SERVED = "FERROAPI_SERVED"

_OWN_PROTOCOL = "ferroapi.server:HTTPProtocol"

commands = typer.Typer(
    help="Run applications on ferroapi.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PathArgument = Annotated[
    Path | None, typer.Argument(help=f"File or package with the application; default: {', '.join(DEFAULT_PATHS)}.")
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", envvar="PORT")]
Reload = Annotated[bool, typer.Option(help="Restart when files change; for development.")]
ReloadDir = Annotated[list[Path] | None, typer.Option(help="Folder to watch, instead of the current one.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes; not together with --reload.")]
RootPath = Annotated[str, typer.Option(help="Path prefix that a proxy in front strips.")]
App = Annotated[str | None, typer.Option(help="Name of the application in its module; default: app, api, or any.")]
Entrypoint = Annotated[str | None, typer.Option("--entrypoint", "-e", help="The application as package.module:name.")]
ProxyHeaders = Annotated[bool, typer.Option(help="Trust X-Forwarded-* of the allowed addresses.")]
AllowedProxies = Annotated[str | None, typer.Option(help="Addresses whose forwarded headers are trusted, or '*'.")]
Http = Annotated[
    str, typer.Option(help="HTTP protocol: the engine's own, uvicorn's auto, httptools or h11, or a module:class.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print what was imported, and from where.")]
UseAlias = Annotated[bool, typer.Option("--alias", help="Let `import fastapi` in the application mean ferroapi.")]


@dataclass(frozen=True)
class _Target:
    """How the user named the application, and whether it is written for FastAPI."""

    path: Path | None
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

    def _point(self) -> ImportPoint:
        if self.entrypoint is not None:
            if self.path is not None or self.app is not None:
                raise DiscoveryError("Cannot use --entrypoint together with path or --app arguments")
            return parse_import_string(self.entrypoint)
        if self.path is None and self.app is None and (configured := configured_entrypoint(Path.cwd())) is not None:
            return parse_import_string(configured)
        return locate(self.path, self.app)


def _install_alias() -> None:
    try:
        alias.install()
    except alias.RealFastAPIImportedError as error:
        raise DiscoveryError(str(error)) from error


def _show_version(wanted: bool) -> None:
    if wanted:
        from ferroapi import __version__

        typer.echo(f"ferroapi {__version__} (FastAPI {alias.FASTAPI_VERSION})")
        raise typer.Exit


@commands.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Run applications on ferroapi."""


@commands.command()
def run(
    path: PathArgument = None,
    *,
    host: Host = "0.0.0.0",
    port: Port = 8000,
    reload: Reload = False,
    reload_dir: ReloadDir = None,
    workers: Workers = None,
    root_path: RootPath = "",
    app: App = None,
    entrypoint: Entrypoint = None,
    proxy_headers: ProxyHeaders = True,
    forwarded_allow_ips: AllowedProxies = None,
    http: Http = _OWN_PROTOCOL,
    verbose: Verbose = False,
    use_alias: UseAlias = False,
) -> None:
    """Serve an application in production mode, on all addresses."""
    _serve(
        _Target(path, app, entrypoint, use_alias, verbose),
        host=host,
        port=port,
        reload=reload,
        reload_dirs=_folders(reload_dir),
        workers=workers,
        root_path=root_path,
        proxy_headers=proxy_headers,
        forwarded_allow_ips=forwarded_allow_ips,
        http=http,
    )


@commands.command()
def dev(
    path: PathArgument = None,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    reload: Reload = True,
    reload_dir: ReloadDir = None,
    root_path: RootPath = "",
    app: App = None,
    entrypoint: Entrypoint = None,
    proxy_headers: ProxyHeaders = True,
    forwarded_allow_ips: AllowedProxies = None,
    http: Http = _OWN_PROTOCOL,
    verbose: Verbose = False,
    use_alias: UseAlias = False,
) -> None:
    """Serve an application in development mode: on localhost, restarting when files change."""
    os.environ.setdefault("FASTAPI_ENV", "development")
    _serve(
        _Target(path, app, entrypoint, use_alias, verbose),
        host=host,
        port=port,
        reload=reload,
        reload_dirs=_folders(reload_dir),
        root_path=root_path,
        proxy_headers=proxy_headers,
        forwarded_allow_ips=forwarded_allow_ips,
        http=http,
    )


@commands.command()
def explain(
    application: Annotated[str, typer.Argument(help="The application as package.module:name.")],
    *,
    use_alias: UseAlias = False,
) -> None:
    """Print how each route is run, natively or as a handler, and why."""
    found = _or_exit(_Target(None, None, application, use_alias).find)
    app = _load(found)
    rows = ((row.path, ",".join(sorted(row.methods or ())) or "-", row.mode, row.reason or "") for row in app.explain())
    typer.echo(table(("path", "methods", "mode", "reason"), rows))


@commands.command()
def migrate(
    path: Annotated[Path, typer.Argument(help="File or folder whose Python files are to be rewritten.")],
    *,
    write: Annotated[bool, typer.Option("--write", help="Change the files; without it, only show the diff.")] = False,
) -> None:
    """Rename fastapi to ferroapi in imports and what they bind, show the diff, and list what needs the alias."""
    try:
        # LibCST is an extra of this command alone.
        from ferroapi._cli import migrate as migration
    except ImportError as error:
        if not str(error.name).startswith("libcst"):
            raise
        typer.echo('`ferroapi migrate` needs LibCST: pip install "ferroapi[migrate]"', err=True)
        raise typer.Exit(code=1) from None
    try:
        planned = migration.plan(path)
    except FileNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(code=1) from None
    for changed in planned.changed:
        typer.echo(changed.diff(), nl=False)
        if write:
            changed.write()
    # The diff alone goes to standard output, so that it can be piped into a tool.
    typer.echo(migration.summary(planned, written=write), err=True)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text under a header, in columns as wide as their widest cell."""
    lines = [header, *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def load_served() -> Any:
    """The application named by the parent process, imported after the alias: uvicorn's factory with `--alias`.

    Raises:
        RealFastAPIImportedError: something in this process has imported the real `fastapi` before.
    """
    alias.install()
    return _load(os.environ[_SERVED])


def _load(import_string: str) -> Any:
    module, _, name = import_string.partition(":")
    return getattr(importlib.import_module(module), name)


def _serve(target: _Target, **options: Any) -> None:
    found = _or_exit(target.find)
    uvicorn = _or_exit(_uvicorn)
    address = f"http://{options['host']}:{options['port']}"
    typer.echo(f"Serving {found} at {address} (documentation at {address}/docs)")
    if alias.is_installed():
        os.environ[_SERVED] = found
        uvicorn.run(f"{__name__}:{load_served.__name__}", factory=True, **options)
    else:
        uvicorn.run(found, **options)


def _uvicorn() -> Any:
    try:
        return importlib.import_module("uvicorn")
    except ImportError:
        raise DiscoveryError("Could not import Uvicorn, try running 'pip install uvicorn'") from None


def _folders(paths: list[Path] | None) -> list[str] | None:
    return [str(path.resolve()) for path in paths] if paths else None


def _or_exit(action: Callable[[], Result]) -> Result:
    """What `action` returns; its discovery error is printed, and ends the process with code 1."""
    try:
        return action()
    except DiscoveryError as error:
        typer.echo(str(error))
        raise typer.Exit(code=1) from None
