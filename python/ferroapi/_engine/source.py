"""What a plan is compiled from, as a snapshot: user code may edit a dependency graph, and the next request sees it.

It lists what FastAPI reads for each request, and nothing that FastAPI reads at declaration only.
"""

from dataclasses import fields
from typing import Any

from pydantic import AliasChoices

from ferroapi import _core
from ferroapi._compat import ModelField
from ferroapi._witness import Part
from ferroapi.dependencies.models import Dependant, _request_params
from ferroapi.security.api_key import APIKeyBase

_DEPENDANT = tuple(field.name for field in fields(Dependant))
_FIELD_INFO = (
    "alias",
    "annotation",
    "default",
    "default_factory",
    "metadata",
    "validate_default",
    "validation_alias",
    # In no slot, and read of body fields only.
    "embed",
)


COMPILED = Part.FIELD | Part.BODY | Part.FORM
"""What is asked while the plan of a graph is made, besides the part that runs it."""


class _Names:
    """The names that are asked while a plan is made."""

    @property
    def are_replaced(self) -> bool:
        """Whether one of them is replaced now."""
        return _core.is_replaced(Part.OPERATION | Part.SOCKET | COMPILED)


_NAMES = _Names()


class _Watched:
    """The attributes and the lists of which a snapshot is taken, each object once."""

    def __init__(self) -> None:
        self.attributes: list[tuple[Any, tuple[str, ...]]] = []
        self.lists: list[list[Any]] = []
        self.seen: set[int] = set()

    def is_new(self, watched: Any) -> bool:
        """Tell whether an object was not met before."""
        is_new = id(watched) not in self.seen
        self.seen.add(id(watched))
        return is_new

    def add_dependant(self, dependant: Dependant) -> None:
        """Add a node with its fields, and all that it depends on."""
        if not self.is_new(dependant):
            return
        self.attributes.append((dependant, _DEPENDANT))
        parameters = (
            dependant.path_params,
            dependant.query_params,
            dependant.header_params,
            dependant.cookie_params,
        )
        scopes = (dependant.own_oauth_scopes, dependant.parent_oauth_scopes)
        self.add_lists(*parameters, dependant.body_params, dependant.dependencies, *scopes)
        for each in _request_params(dependant):
            self.add_field(each)
        for each in dependant.body_params:
            self.add_field(each, is_body=True)
        self.add_scheme(dependant.call)
        for below in dependant.dependencies:
            self.add_dependant(below)

    def add_field(self, field: ModelField, *, is_body: bool = False) -> None:
        """Add a field with what it says of its parameter."""
        if not self.is_new(field):
            return
        info = field.field_info
        self.attributes.append((field, ("_version",)))
        self.attributes.append((info, _FIELD_INFO if is_body else _FIELD_INFO[:-1]))
        alias = info.validation_alias
        self.add_lists(info.metadata, alias.choices if isinstance(alias, AliasChoices) else None)

    def add_scheme(self, call: Any) -> None:
        """Add the name of an API key, if a scheme is called."""
        if isinstance(call, APIKeyBase):
            self.attributes += ((call, ("model",)), (call.model, ("name",)))

    def add_lists(self, *lists: Any) -> None:
        """Add those that are lists."""
        self.lists += (each for each in lists if isinstance(each, list) and self.is_new(each))


def source_of(dependant: Dependant, response_field: ModelField | None) -> _core.Snapshot:
    """Return a snapshot of a graph, and of the field that a response is made with."""
    watched = _Watched()
    watched.add_dependant(dependant)
    if _NAMES.are_replaced:
        # What is read by other names does not hold once they are put back.
        watched.attributes.append((_NAMES, ("are_replaced",)))
    if response_field is not None:
        watched.attributes.append((response_field, ("_version",)))
    return _core.Snapshot(watched.attributes, watched.lists)
