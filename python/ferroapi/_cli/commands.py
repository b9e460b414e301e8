"""The commands `run`, `dev`, `explain`, `doctor` and `migrate`, on typer: what each takes, and what it prints."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ferroapi import alias
from ferroapi._cli import report, serving
from ferroapi._cli.discovery import DEFAULT_PATHS, BrokenApplicationError, DiscoveryError
from ferroapi._cli.record import BrokenRecordError
from ferroapi._cli.target import Target, or_exit

commands = typer.Typer(
    help="Run applications on ferroapi.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PathArgument = Annotated[
    str | None,
    typer.Argument(
        help="File, package or module with the application, or package.module:name; "
        f"default: {', '.join(DEFAULT_PATHS)}."
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", envvar="PORT", min=0, max=65535)]
Reload = Annotated[bool, typer.Option(help="Restart when files change; for development.")]
ReloadDir = Annotated[
    list[Path] | None,
    typer.Option(help="Folder to watch, instead of the current one.", exists=True, file_okay=False),
]
Workers = Annotated[int | None, typer.Option(help="Worker processes; not together with --reload.", min=1)]
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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for another program to read.")]


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
    http: Http = serving.OWN_PROTOCOL,
    verbose: Verbose = False,
    use_alias: UseAlias = False,
) -> None:
    """Serve an application in production mode, on all addresses."""
    serving.serve(
        Target(path, app, entrypoint, use_alias, verbose),
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
    http: Http = serving.OWN_PROTOCOL,
    verbose: Verbose = False,
    use_alias: UseAlias = False,
) -> None:
    """Serve an application in development mode: on localhost, restarting when files change."""
    os.environ.setdefault("FASTAPI_ENV", "development")
    serving.serve(
        Target(path, app, entrypoint, use_alias, verbose),
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
    path: PathArgument = None,
    *,
    app: App = None,
    entrypoint: Entrypoint = None,
    use_alias: UseAlias = False,
    as_json: AsJson = False,
) -> None:
    """Print how each route is run, natively or as a handler, and why."""
    rows = report.rows_of(or_exit(Target(path, app, entrypoint, use_alias).load, to_stderr=True))
    typer.echo(report.as_json([row._asdict() for row in rows]) if as_json else report.explanation(rows))


@commands.command()
def doctor(
    path: PathArgument = None,
    *,
    app: App = None,
    entrypoint: Entrypoint = None,
    use_alias: UseAlias = False,
    as_json: AsJson = False,
) -> None:
    """Examine an application and its environment: versions, alias, agents, server, routes, settings.

    It ends with code 1 if something is a problem. What surrounds an application is examined even if that is broken.
    """
    with _needing("doctor", "packaging", "standard", "packaging"):
        from ferroapi._cli import doctor as doctors

    already_imported = frozenset(sys.modules)
    try:
        loaded = Target(path, app, entrypoint, use_alias).load()
    except BrokenApplicationError as error:
        typer.echo(error.shown_cause(), err=True)
        findings = doctors.examine_without(error, already_imported)
    except DiscoveryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(code=1) from None
    else:
        findings = doctors.examine(loaded, already_imported)
    if as_json:
        typer.echo(report.as_json([finding._asdict() for finding in findings]))
    else:
        typer.echo(report.table(("topic", "", "finding"), findings))
    if any(finding.level == doctors.PROBLEM for finding in findings):
        raise typer.Exit(code=1)


@commands.command()
def migrate(
    path: Annotated[str, typer.Argument(help="Folder or file to be read: Python, requirements, commands.")],
    *,
    write: Annotated[bool, typer.Option("--write", help="Change the files; without it, only show the diff.")] = False,
    check: Annotated[bool, typer.Option("--check", help="End with code 1 if something would change.")] = False,
    reverse: Annotated[bool, typer.Option("--reverse", help="From ferroapi back to fastapi.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rename fastapi to ferroapi in imports, what they bind, and requirements; list what a person has to look at.

    It ends with code 2 if a file cannot be read, parsed or written: the file is named with its line, and left as it is.
    """
    with _needing("migrate", "LibCST and tomlkit", "migrate", "libcst", "tomlkit", code=2):
        from ferroapi._cli import migrate as migration
        from ferroapi._cli.rewrite import FORWARD, REVERSE
    if write and check:
        raise typer.BadParameter("one of them writes and the other only looks", param_hint="'--write' with '--check'")
    if not path:
        # To `Path` it would be the current folder.
        raise typer.BadParameter("it is empty", param_hint="'path'")
    try:
        planned = migration.plan(Path(path), REVERSE if reverse else FORWARD, _with_progress)
    except (FileNotFoundError, migration.NotPythonError, BrokenRecordError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(code=2) from None
    if as_json:
        typer.echo(report.as_json(planned.as_json()))
    else:
        for changed in planned.changed:
            typer.echo(changed.diff(), nl=False)
    if write:
        try:
            planned.write()
        except OSError as error:
            typer.echo(f"{error.filename} cannot be written: {error.strerror}", err=True)
            raise typer.Exit(code=2) from None
    # The diff or the JSON alone goes to standard output, so that it can be piped into a tool.
    typer.echo(migration.summary(planned, written=write), err=True)
    if planned.refused:
        raise typer.Exit(code=2)
    if check and planned.changed:
        raise typer.Exit(code=1)


@contextmanager
def _needing(command: str, packages: str, extra: str, *modules: str, code: int = 1) -> Iterator[None]:
    """Say which extra brings what a command imports, if it is missing, and end with `code`."""
    try:
        yield
    except ImportError as error:
        if str(error.name).partition(".")[0] not in modules:
            raise
        typer.echo(f'`ferroapi {command}` needs {packages}: pip install "ferroapi[{extra}]"', err=True)
        raise typer.Exit(code=code) from None


def _with_progress(paths: list[Path]) -> Iterator[Path]:
    """The paths, with a bar on standard error while they are read, if that is a terminal."""
    if not sys.stderr.isatty():
        yield from paths
        return
    with typer.progressbar(paths, label="Reading", file=sys.stderr) as counted:
        yield from counted


def _folders(paths: list[Path] | None) -> list[str] | None:
    return [str(path.resolve()) for path in paths] if paths else None
