"""What the commands print of an application: a table, a count, or JSON."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

MIDDLEWARE = "middleware"
ROUTE = "route"


class Row(NamedTuple):
    """How one middleware or one route is run: `kind` is one of the two words above, the rest as `explain()` says it."""

    kind: str
    path: str
    methods: tuple[str, ...]
    mode: str
    reason: str

    @property
    def is_native(self) -> bool:
        """Whether nothing stands in the way of the engine."""
        return self.mode == "native"


def rows_of(app: Any) -> list[Row]:
    """A row for each middleware of an application, then for each of its routes."""
    middleware = len(app.user_middleware)
    return [Row(MIDDLEWARE if index < middleware else ROUTE, *row) for index, row in enumerate(app.explain())]


def count_of(rows: Iterable[Row]) -> str:
    """How many of the routes among the rows are native, in words."""
    routes = [row for row in rows if row.kind == ROUTE]
    return f"{sum(row.is_native for row in routes)} of {len(routes)} routes native"


def explanation(rows: Sequence[Row]) -> str:
    """The rows as a table, with the count below it."""
    lines = ((row.path, ",".join(row.methods) or "-", row.mode, row.reason) for row in rows)
    return f"{table(('path', 'methods', 'mode', 'reason'), lines)}\n\n{count_of(rows)}"


def as_json(value: Any) -> str:
    """A value for another program to read."""
    return json.dumps(value, indent=2)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text under a header, in columns as wide as their widest cell."""
    lines = [header, *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
