"""The database of the load set: PostgreSQL in a temporary folder, or SQLite where none is installed.

The folder, the server and its data are gone at the end. The address is a socket in that folder; no port is opened.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import randint
from typing import Any

from benches.load.store import WORLDS, Fortune

# Source: the table `fortune` of TechEmpower's framework benchmarks. One row is a script, one is not ASCII.
FORTUNES: tuple[Fortune, ...] = (
    (1, "fortune: No such file or directory"),
    (2, "A computer scientist is someone who fixes things that aren't broken."),
    (3, "After enough decimal places, nobody gives a damn."),
    (4, "A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1"),
    (5, "A computer program does what you tell it to do, not what you want it to do."),
    (6, "Emacs is a nice operating system, but I prefer UNIX. — Tom Christaensen"),
    (7, "Any program that runs right is obsolete."),
    (8, "A list is only as strong as its weakest link. — Donald Knuth"),
    (9, "Feature: A bug with seniority."),
    (10, "Computers make very fast, very accurate mistakes."),
    (11, '<script>alert("This should not be displayed in a browser alert box.");</script>'),
    (12, "フレームワークのベンチマーク"),
)
_TABLES = (
    "CREATE TABLE world (id integer PRIMARY KEY, randomnumber integer NOT NULL)",
    "CREATE TABLE fortune (id integer PRIMARY KEY, message text NOT NULL)",
)
# Nothing here outlives the run, so no disk needs to be waited for. The extension counts statements for the checks.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "160",
    "shared_preload_libraries": "pg_stat_statements",
}
_WAIT = 30  # seconds


class NoDatabase(RuntimeError):
    """The database does not start; the text is what it says."""


@dataclass(frozen=True)
class Database:
    """A database with the tables of the load set.

    `worlds` reads the numbers of all rows by their keys. `statements` counts, since the server started, the statements
    on table `world` that read and the rows that others wrote; it is None for SQLite, which keeps no count.
    """

    kind: str
    version: str
    url: str
    worlds: Callable[[], dict[int, int]]
    statements: Callable[[], tuple[int, int]] | None = None


def _rows() -> list[tuple[int, int]]:
    return [(key, randint(1, WORLDS)) for key in range(1, WORLDS + 1)]


def postgresql_programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`, of the newest version; None where there is none."""
    folders = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    # Debian keeps them outside PATH, a folder for each version.
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@contextmanager
def sqlite_database(folder: Path) -> Iterator[Database]:
    """Make the tables in a file."""
    path = folder / "load.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in _TABLES:
            connection.execute(statement)
        connection.executemany("INSERT INTO world VALUES (?, ?)", _rows())
        connection.executemany("INSERT INTO fortune VALUES (?, ?)", FORTUNES)
        connection.commit()

    def worlds() -> dict[int, int]:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return dict(connection.execute("SELECT id, randomnumber FROM world"))

    yield Database("SQLite", sqlite3.sqlite_version, f"sqlite:{path}", worlds)


def _user() -> dict[str, Any]:
    # PostgreSQL refuses to run as root.
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


async def _fetch(url: str, statement: str) -> list[Any]:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        rows: list[Any] = await connection.fetch(statement)
    finally:
        await connection.close()
    return rows


async def _fill(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.execute(";".join((*_TABLES, "CREATE EXTENSION pg_stat_statements")))
        await connection.copy_records_to_table("world", records=_rows())
        await connection.copy_records_to_table("fortune", records=FORTUNES)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def _await_server(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    import asyncpg

    until = time.monotonic() + _WAIT
    while True:
        try:
            asyncio.run(_fill(url))
            return
        except (OSError, asyncpg.CannotConnectNowError):
            if server.poll() is not None or time.monotonic() > until:
                raise NoDatabase(f"postgres did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.1)


@contextmanager
def postgresql_database(programs: Path, folder: Path, core: int) -> Iterator[Database]:
    """Start a server of its own on this core, with its data and its socket in the folder.

    Raises:
        NoDatabase: `initdb` or the server fails.
    """
    user, data, log = _user(), folder / "data", folder / "log"
    if user:
        shutil.chown(folder, user["user"], user["group"])
    initialize = [programs / "initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    finished = subprocess.run(initialize, cwd=folder, capture_output=True, text=True, **user)
    if finished.returncode:
        raise NoDatabase(f"initdb: {finished.stderr[-2000:]}")
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    command = ["taskset", "-c", str(core), programs / "postgres", "-D", data, "-k", folder, *settings]
    url = f"postgresql://bench@/postgres?host={folder}"
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, **user)
    try:
        _await_server(server, url, log)
        ((version,),) = asyncio.run(_fetch(url, "SHOW server_version"))

        def worlds() -> dict[int, int]:
            return dict(asyncio.run(_fetch(url, "SELECT id, randomnumber FROM world")))

        def statements() -> tuple[int, int]:
            rows = asyncio.run(_fetch(url, "SELECT query, calls, rows FROM pg_stat_statements"))
            on_world = [(query.split()[0], calls, number) for query, calls, number in rows if " world " in query]
            reads = sum(calls for verb, calls, _ in on_world if verb == "SELECT")
            return reads, sum(number for verb, _, number in on_world if verb == "UPDATE")

        yield Database("PostgreSQL", version, url, worlds, statements)
    finally:
        server.send_signal(2)  # a fast shutdown: sessions end, nothing is waited for
        server.wait(_WAIT)


@contextmanager
def database(core: int) -> Iterator[Database]:
    """Make the tables in PostgreSQL where it is installed, else in SQLite."""
    programs = postgresql_programs()
    with tempfile.TemporaryDirectory(prefix="load") as name:
        folder = Path(name)
        with sqlite_database(folder) if programs is None else postgresql_database(programs, folder, core) as made:
            yield made
