"""Call the endpoint, and make of what it returns the `Response` that is sent.

The reference calls all of it. The driver asks for `build_response` where it does not write a response itself, and for
the first two functions where Python makes the call or a response class is given data. Nothing is sent here.
"""

from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ferroapi import _core
from ferroapi._compat import ModelField
from ferroapi._witness import Part
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.dependencies.models import Dependant
from ferroapi.dependencies.utils import SolvedDependency
from ferroapi.encoders import jsonable_encoder
from ferroapi.exceptions import EndpointContext, ResponseValidationError
from ferroapi.telemetry._api import _operation, _run_sync_endpoint
from ferroapi.types import IncEx
from ferroapi.utils import is_body_allowed_for_status_code


async def run_endpoint_function(*, dependant: Dependant, values: dict[str, Any], is_coroutine: bool) -> Any:
    """Call the endpoint with its solved values: awaited when it is a coroutine function, else in a worker thread."""
    assert dependant.call is not None, "dependant.call must be a function"
    if not is_coroutine:
        return await run_in_threadpool(_run_sync_endpoint, function=dependant.call, arguments=values)
    with _operation(name="endpoint", function=dependant.call):
        return await dependant.call(**values)


async def serialize_response(
    *,
    field: ModelField | None = None,
    response_content: Any,
    include: IncEx | None = None,
    exclude: IncEx | None = None,
    by_alias: bool = True,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    is_coroutine: bool = True,
    endpoint_ctx: EndpointContext | None = None,
    dump_json: bool = False,
) -> Any:
    """Validate and filter what an endpoint returned: bytes of JSON with `dump_json`, else JSON-compatible data.

    What a synchronous endpoint returned is validated in a worker thread.

    Raises:
        ResponseValidationError: the content is not what the response model promises.
    """
    if not field:
        plain = None if _core.is_replaced(Part.JSON) else _core.plain_copy(response_content)
        return jsonable_encoder(response_content) if plain is None else plain
    if is_coroutine:
        value, errors = field.validate(response_content, {}, loc=("response",))
    else:
        value, errors = await run_in_threadpool(field.validate, response_content, {}, loc=("response",))
    if errors:
        raise ResponseValidationError(
            errors=errors, body=response_content, endpoint_ctx=endpoint_ctx or EndpointContext()
        )
    serialize = field.serialize_json if dump_json else field.serialize
    return serialize(
        value,
        include=include,
        exclude=exclude,
        by_alias=by_alias,
        exclude_unset=exclude_unset,
        exclude_defaults=exclude_defaults,
        exclude_none=exclude_none,
    )


@dataclass(frozen=True, slots=True)
class ResponseRecipe:
    """What a route says about its response."""

    status_code: int | None
    declared_class: type[Response] | DefaultPlaceholder
    response_class: type[Response]
    """The class that renders the content, as it was told when the route was declared."""
    field: ModelField | None
    stream_item_field: ModelField | None
    serialization: dict[str, Any]
    """The keywords that choose and name the fields of a model."""
    is_event_stream: bool
    """Whether the response is a stream of server-sent events."""
    waits_for_first_item: bool
    """Whether the response of a stream is made when its first item is there."""

    @property
    def dumps_json(self) -> bool:
        """Whether pydantic writes the JSON itself: there is a model and nobody chose a response class."""
        return self.field is not None and isinstance(self.declared_class, DefaultPlaceholder)

    @property
    def to_json_options(self) -> dict[str, Any]:
        """The keywords without those that say nothing."""
        silent = {**dict.fromkeys(self.serialization, False), "include": None, "exclude": None}
        given = {name: value for name, value in self.serialization.items() if value is not silent[name]}
        return {**given, "by_alias": self.serialization["by_alias"]}


def response_arguments(status_code: int | None, solved: SolvedDependency) -> dict[str, Any]:
    """Return background and status for a response class; a status set on the injected response wins."""
    arguments: dict[str, Any] = {"background": solved.background_tasks}
    chosen = solved.response.status_code
    status = chosen or status_code or chosen
    if status is not None:
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
