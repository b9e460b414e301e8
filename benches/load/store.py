"""The database of the load set as an application uses it: rows of the world, fortunes and updates.

PostgreSQL through asyncpg, with a pool and prepared statements; SQLite through aiosqlite where that is not installed.
The tuned store is asyncpg as the field's tuned entries have it, the same for every framework.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import randint, sample
from typing import Any, Protocol

WORLDS = 10_000
POOL = 16

World = dict[str, int]
Fortune = tuple[int, str]


class Session(Protocol):
    """One connection, for as long as a request needs it."""

    async def world(self, key: int) -> World:
        """Read one row with one statement."""

    async def worlds(self, keys: list[int]) -> list[World]:
        """Read rows with a statement for each."""

    async def fortunes(self) -> list[Fortune]:
        """Read the whole table of fortunes."""

    async def write(self, worlds: list[World]) -> None:
        """Store the numbers of these rows."""


class Store(Protocol):
    """A database that is there while it is opened."""

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Connect, and disconnect at the end."""

    def session(self) -> AbstractAsyncContextManager[Session]:
        """Lend a connection."""


class _PostgreSQLSession:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def world(self, key: int) -> World:
        # asyncpg prepares a text once for each connection, and finds it again by the text.
        number = await self._connection.fetchval("SELECT randomnumber FROM world WHERE id = $1", key)
        return {"id": key, "randomNumber": number}

    async def worlds(self, keys: list[int]) -> list[World]:
        return [await self.world(key) for key in keys]

    async def fortunes(self) -> list[Fortune]:
        return [tuple(row) for row in await self._connection.fetch("SELECT id, message FROM fortune")]

    async def write(self, worlds: list[World]) -> None:
        await self._connection.executemany(
            "UPDATE world SET randomnumber = $2 WHERE id = $1",
            [(world["id"], world["randomNumber"]) for world in worlds],
        )


class _TunedSession(_PostgreSQLSession):
    async def worlds(self, keys: list[int]) -> list[World]:
        # A statement for each key, sent together; the answers come in their order.
        rows = await self._connection.fetchmany(
            "SELECT id, randomnumber FROM world WHERE id = $1", [(key,) for key in keys]
        )
        return [{"id": key, "randomNumber": number} for key, number in rows]


class PostgreSQL:
    """A pool of connections to the database of this address; a tuned one does not reset what it lends."""

    def __init__(self, url: str, is_tuned: bool) -> None:
        self._url = url
        self._session = _TunedSession if is_tuned else _PostgreSQLSession
        self._is_tuned = is_tuned
        self._pool: Any = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Connect the pool."""
        import asyncpg

        class Unreset(asyncpg.Connection):
            def get_reset_query(self) -> str:
                return ""

        options = {"connection_class": Unreset} if self._is_tuned else {}
        async with asyncpg.create_pool(self._url, min_size=POOL, max_size=POOL, **options) as self._pool:
            yield

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend a connection of the pool."""
        async with self._pool.acquire() as connection:
            yield self._session(connection)


class _SQLiteSession:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def world(self, key: int) -> World:
        async with self._connection.execute("SELECT randomnumber FROM world WHERE id = ?", (key,)) as cursor:
            (number,) = await cursor.fetchone()
        return {"id": key, "randomNumber": number}

    async def worlds(self, keys: list[int]) -> list[World]:
        return [await self.world(key) for key in keys]

    async def fortunes(self) -> list[Fortune]:
        rows = await self._connection.execute_fetchall("SELECT id, message FROM fortune")
        return [tuple(row) for row in rows]

    async def write(self, worlds: list[World]) -> None:
        await self._connection.executemany(
            "UPDATE world SET randomnumber = :randomNumber WHERE id = :id",
            worlds,
        )
        await self._connection.commit()


class SQLite:
    """One connection, with its own thread, to a database in a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: Any = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the file."""
        import aiosqlite

        async with aiosqlite.connect(self._path) as self._connection:
            yield

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend the connection, which runs one statement after the other."""
        yield _SQLiteSession(self._connection)


def store_at(url: str, is_tuned: bool = False) -> Store:
    """Return the store for a `postgresql://` or `sqlite:` address; SQLite has nothing to tune."""
    scheme, _, path = url.partition(":")
    return SQLite(path) if scheme == "sqlite" else PostgreSQL(url, is_tuned)


def clamped(queries: str) -> int:
    """Return the number of queries that is meant: a whole number from 1 to 500, and 1 for anything else."""
    try:
        return min(max(int(queries), 1), 500)
    except ValueError:
        return 1


async def one_world(store: Store) -> World:
    """Read a row at random."""
    async with store.session() as session:
        return await session.world(randint(1, WORLDS))


async def many_worlds(store: Store, number: int) -> list[World]:
    """Read so many rows at random, a statement for each."""
    async with store.session() as session:
        return await session.worlds(sample(range(1, WORLDS + 1), number))


async def updated_worlds(store: Store, number: int) -> list[World]:
    """Read so many rows at random, give each another number at random, and store them."""
    async with store.session() as session:
        # In the order of their keys: two requests that update the same rows then wait, and do not deadlock.
        worlds = await session.worlds(sorted(sample(range(1, WORLDS + 1), number)))
        for world in worlds:
            world["randomNumber"] = randint(1, WORLDS)
        await session.write(worlds)
    return worlds


class Cache:
    """Rows of the world in memory, each looked up by itself. They are read when the application starts."""

    def __init__(self) -> None:
        self._worlds: dict[int, World] = {}

    @asynccontextmanager
    async def kept(self, store: Store) -> AsyncIterator[None]:
        """Open the store and read every row, for as long as an application runs."""
        async with store.opened():
            async with store.session() as session:
                self._worlds = {world["id"]: world for world in await session.worlds([*range(1, WORLDS + 1)])}
            yield

    def many(self, number: int) -> list[World]:
        """Look so many rows up at random."""
        return [self._worlds[key] for key in sample(range(1, WORLDS + 1), number)]
