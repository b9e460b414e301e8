"""From what an endpoint returned to the `Response` that is sent.

Called after the endpoint. It sends nothing, and leaves streams to `stream`.
"""

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from ferroapi._compat import ModelField
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.dependencies.utils import SolvedDependency
from ferroapi.types import IncEx
from ferroapi.utils import is_body_allowed_for_status_code


@dataclass(frozen=True, slots=True)
class ResponseRecipe:
    """What a route says about its response."""

    status_code: int | None
    declared_class: type[Response] | DefaultPlaceholder
    field: ModelField | None
    stream_item_field: ModelField | None
    include: IncEx | None
    exclude: IncEx | None
    by_alias: bool
    exclude_unset: bool
    exclude_defaults: bool
    exclude_none: bool

    @property
    def response_class(self) -> type[Response]:
        """The class that renders the content."""
        declared = self.declared_class
        return declared.value if isinstance(declared, DefaultPlaceholder) else declared

    @property
    def dumps_json(self) -> bool:
        """Whether pydantic writes the JSON itself: there is a model and nobody chose a response class."""
        return self.field is not None and isinstance(self.declared_class, DefaultPlaceholder)

    @property
    def serialization(self) -> dict[str, Any]:
        """The keywords that choose and name the fields of a model."""
        return {
            "include": self.include,
            "exclude": self.exclude,
            "by_alias": self.by_alias,
            "exclude_unset": self.exclude_unset,
            "exclude_defaults": self.exclude_defaults,
            "exclude_none": self.exclude_none,
        }


def response_arguments(status_code: int | None, solved: SolvedDependency) -> dict[str, Any]:
    """Return background and status for a response class; a status set on the injected response wins."""
    arguments: dict[str, Any] = {"background": solved.background_tasks}
    status = solved.response.status_code or status_code
    if status:
        arguments["status_code"] = status
    return arguments


def add_solved_headers(response: Response, solved: SolvedDependency) -> Response:
    """Append the headers that dependencies and the endpoint set on the injected response."""
    response.headers.raw.extend(solved.response.headers.raw)
    return response


def adopt_response(response: Response, solved: SolvedDependency) -> Response:
    """Return a response that the endpoint made itself, with the background tasks if it has none of its own."""
    if response.background is None:
        response.background = solved.background_tasks
    return response


def build_response(content: Any, recipe: ResponseRecipe, solved: SolvedDependency) -> Response:
    """Put serialized content into the response class, with status, background and headers.

    `content` is bytes of JSON when `recipe.dumps_json`, else what the response class renders.
    """
    arguments = response_arguments(recipe.status_code, solved)
    if recipe.dumps_json:
        response = Response(content=content, media_type="application/json", **arguments)
    else:
        response = recipe.response_class(content, **arguments)
    if not is_body_allowed_for_status_code(response.status_code):
        response.body = b""
    return add_solved_headers(response, solved)
