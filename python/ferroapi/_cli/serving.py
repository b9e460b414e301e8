"""`ferroapi run` and `ferroapi dev`: an application given to uvicorn. Requests never pass through here."""

import importlib
import os
import sys
import time
from importlib.util import find_spec
from typing import Any

import typer

from ferroapi import alias
from ferroapi._cli.discovery import DiscoveryError
from ferroapi._cli.report import count_of, rows_of
from ferroapi._cli.target import Target, load, or_exit

OWN_PROTOCOL = "ferroapi.server:HTTPProtocol"

# The import string for worker and reload processes, which start without the alias: see `load_served`.
_SERVED = "FERROAPI_SERVED"


def serve(target: Target, **options: Any) -> None:
    """Find the application, say how it is served, and serve it with uvicorn's `options`; errors end the process."""
    if options["reload"] and (options.get("workers") or 1) > 1:
        raise typer.BadParameter("a reloading server has one process", param_hint="'--workers' with '--reload'")
    started = time.perf_counter()
    uvicorn = or_exit(_uvicorn)
    found = or_exit(target.find)
    # From here on the folder of the application is looked in, too, in which a protocol may be.
    _check_protocol(uvicorn, options["http"])
    typer.echo(_greeting(found, started, options))
    if alias.is_installed():
        os.environ[_SERVED] = found
        uvicorn.run(f"{__name__}:{load_served.__name__}", factory=True, **options)
    else:
        uvicorn.run(found, **options)


def load_served() -> Any:
    """The application named by the parent process, imported after the alias: uvicorn's factory with `--alias`.

    Raises:
        RealFastAPIImportedError: something in this process has imported the real `fastapi` before.
    """
    alias.install()
    return load(os.environ[_SERVED])


def event_loop() -> str:
    """The event loop that uvicorn chooses here. Source: uvicorn behaviour, `--loop auto`."""
    is_served_by_uvloop = sys.implementation.name == "cpython" and sys.platform not in ("win32", "cygwin")
    return "uvloop" if is_served_by_uvloop and find_spec("uvloop") is not None else "asyncio"


def _greeting(found: str, started: float, options: dict[str, Any]) -> str:
    app = load(found)
    host = f"[{options['host']}]" if ":" in options["host"] else options["host"]
    address = f"http://{host}:{options['port']}"
    pages = f" (documentation at {address}{app.docs_url})" if app.openapi_url and app.docs_url else ""
    rows = rows_of(app)
    took = (time.perf_counter() - started) * 1000
    name, where = (typer.style(text, bold=True) for text in (found, address))
    details = f"{event_loop()}, {options['http']}; {count_of(rows)}; imported in {took:.0f} ms"
    return f"Serving {name} at {where}{pages}\n{typer.style(details, dim=True)}"


def _uvicorn() -> Any:
    try:
        return importlib.import_module("uvicorn")
    except ImportError:
        raise DiscoveryError("Could not import Uvicorn, try running 'pip install uvicorn'") from None


def _check_protocol(uvicorn: Any, name: str) -> None:
    """Refuse a protocol that cannot be imported: uvicorn would start worker processes for it without end."""
    known: dict[str, str] = uvicorn.config.HTTP_PROTOCOLS
    try:
        uvicorn.importer.import_from_string(known.get(name, name))
    except (ImportError, uvicorn.importer.ImportFromStringError) as error:
        message = f"{name} cannot be imported ({error}); give {', '.join(known)}, or a module:class"
        raise typer.BadParameter(message, param_hint="'--http'") from error
