"""Which fields the routes of a document hold, and where the JSON schema of each is found.

`utils.get_openapi` collects all fields here, has pydantic make their schemas in one pass, and wraps them as `Schemas`
for `_parameters` and `_operation`. Nothing here knows what an operation looks like.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from starlette.routing import BaseRoute

from ferroapi import routing
from ferroapi._compat import ModelField, get_schema_from_model_field
from ferroapi._routing.include import RouteContext
from ferroapi._routing.state import RouteState
from ferroapi.dependencies.utils import get_flat_params
from ferroapi.types import ModelNameMap

FieldMapping = dict[tuple[ModelField, Literal["validation", "serialization"]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Schemas:
    """The JSON schemas of one document, as `_compat.get_definitions` made them."""

    model_name_map: ModelNameMap
    field_mapping: FieldMapping
    separate_input_output_schemas: bool = True

    def of(self, field: ModelField, *, alias: str | None = None) -> dict[str, Any]:
        """The schema of one field, titled after `alias` (the field's own if not given); a copy, one level deep."""
        return get_schema_from_model_field(
            field=field,
            model_name_map=self.model_name_map,
            field_mapping=self.field_mapping,
            separate_input_output_schemas=self.separate_input_output_schemas,
            # As by FastAPI: what is put in the place of this function may not know it.
            **({} if alias is None else {"field_alias": alias}),
        )


def api_route_contexts(routes: Sequence[BaseRoute | RouteContext]) -> list[RouteContext]:
    """The path operations among `routes`, those of included routers too; plain routes and mounts are left out."""
    contexts = routing.iter_route_contexts(routes)
    return [context for context in contexts if isinstance(context.original_route, routing.APIRoute)]


def get_fields_from_routes(routes: Sequence[BaseRoute | RouteContext]) -> list[ModelField]:
    """Every field whose schema the document of `routes` may need: callbacks', then bodies, responses, parameters.

    The order decides which of two models of the same name gets the short one.

    Raises:
        AssertionError: a body field that is no `ModelField`.

    Source: FastAPI behaviour, `openapi.utils.get_fields_from_routes`.
    """
    callbacks: list[ModelField] = []
    bodies: list[ModelField] = []
    responses: list[ModelField] = []
    parameters: list[ModelField] = []
    for context in api_route_contexts(routes):
        route = cast("RouteState", context)
        if not route.include_in_schema:
            continue
        if route.callbacks:
            callbacks += get_fields_from_routes(route.callbacks)
        if route.body_field:
            assert isinstance(route.body_field, ModelField), "A request body must be a Pydantic Field"
            bodies.append(route.body_field)
        responses += _response_fields(route)
        parameters += get_flat_params(route.dependant)
    return callbacks + bodies + responses + parameters


def _response_fields(route: RouteState) -> Iterator[ModelField]:
    if route.response_field:
        yield route.response_field
    yield from route.response_fields.values()
    if route.stream_item_field:
        yield route.stream_item_field
