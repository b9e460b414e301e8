"""Applications whose every callable records where it runs, as data, and the record that they write."""

import asyncio
import dataclasses
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="nothing")


@dataclasses.dataclass(frozen=True)
class Value:
    """A parameter: how it is validated, from where it comes, and what the request has for it."""

    how: str
    source: str
    sent: str | None


@dataclasses.dataclass(frozen=True)
class Need:
    """A dependency, by its index."""

    index: int
    use_cache: bool


@dataclasses.dataclass(frozen=True)
class Node:
    """A dependency or the endpoint."""

    kind: str
    values: tuple[Value, ...] = ()
    needs: tuple[Need, ...] = ()
    body: str = ""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the endpoint declares and returns."""

    declared: str = "nothing"
    returned: str = "dict"
    options: tuple[tuple[str, Any], ...] = ()
    rendered: bool = False


@dataclasses.dataclass(frozen=True)
class Drawn:
    """An application."""

    endpoint: Node
    dependencies: tuple[Node, ...] = ()
    answer: Answer = Answer()
    scope: str | None = None
    surroundings: str = "native"
    form: bool = False
    tasks: bool = False
    number_of_requests: int = 1


class Recorder:
    """What has run, in order: a label, the place, and what the context had; each leaves its label in the context."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str, str]] = []
        self.tasks: list[Any] = []

    def note(self, label: str) -> None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            place = "worker"
        else:
            if task not in self.tasks:
                self.tasks.append(task)
            place = f"task {self.tasks.index(task)}"
        self.log.append((label, place, VARIABLE.get()))
        VARIABLE.set(label)

    def passing(self, label: str) -> Callable[[Any], Any]:
        """A validator that lets everything pass but `bad`."""

        def validate(value: Any) -> Any:
            self.note(label)
            if value == "bad":
                raise ValueError("it is bad")
            return value

        return validate
