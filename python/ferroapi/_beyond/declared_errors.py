"""Errors that are declared: what `raises=` and return annotations say of an operation's answers, for its document.

A declared error is a class; an instance of it may be raised, and returned where the annotation names it.
"""

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from http import HTTPStatus
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError, create_model
from starlette.exceptions import HTTPException as StarletteHTTPException
from typing_inspection import typing_objects

from ferroapi.dependencies.models import Dependant, nodes_of
from ferroapi.exceptions import FastAPIError, HTTPException
from ferroapi.utils import is_body_allowed_for_status_code

ErrorClass = type[StarletteHTTPException]
Responses = Mapping[int | str, dict[str, Any]]

_WITH_PHRASE = frozenset(HTTPStatus)

MEDIA_TYPE_KEY = "x-ferroapi-media-type"
"""Says in an additional response which media type its model has, where that is not the operation's own."""


class DeclaredHTTPException(HTTPException):
    """The base of errors that say at the class what they answer: `status_code`, `detail`, `headers` and `model`."""

    status_code: int
    detail: Any = None
    headers: Mapping[str, str] | None = None
    model: type[BaseModel] | None = None
    """The type of `detail`, which is a text without it."""

    def __init__(self, detail: Any = None, headers: Mapping[str, str] | None = None) -> None:
        cls: Any = type(self)
        check_errors([cls])
        if detail is None:
            detail = _default_detail(cls) if cls.detail is None and cls.model is not None else cls.detail
        if isinstance(detail, BaseModel):
            detail = detail.model_dump(mode="json")
        super().__init__(cls.status_code, detail, cls.headers if headers is None else headers)


def _default_detail(error: Any) -> BaseModel:
    """Return the detail of an error that was raised without one, where a model says what the detail is.

    Raises:
        TypeError: the model has fields without a default, so the answer would not be the documented one.
    """
    try:
        return error.model()  # type: ignore[no-any-return]
    except ValidationError as invalid:
        missing = ", ".join(f"`{'.'.join(map(str, each['loc']))}`" for each in invalid.errors())
        raise TypeError(
            f"{error.__name__}() needs a detail: its model {error.model.__name__} has no default for {missing}"
        ) from None


def check_errors(errors: Any) -> tuple[ErrorClass, ...]:
    """Return errors that are declared, checked.

    Raises:
        FastAPIError: it is no sequence; or one is no class of exceptions with a `status_code`, or what it says cannot
            be answered.
    """
    if isinstance(errors, type) or not isinstance(errors, Iterable):
        raise FastAPIError(f"`raises` is a list of classes, not {errors!r}")
    checked = tuple(errors)
    for error in checked:
        status = getattr(error, "status_code", None)
        if not _is_error(error) or not isinstance(status, int) or isinstance(status, bool):
            raise FastAPIError(
                f"{error!r} cannot be declared in `raises`: a subclass of HTTPException with a class attribute "
                "`status_code` can"
            )
        if not 100 <= status <= 999:
            raise FastAPIError(
                f"{error!r} has the status {status}, which cannot be answered: a status has three digits"
            )
        if getattr(error, "detail", None) is None and status not in _WITH_PHRASE:
            raise FastAPIError(f"{error!r} needs a `detail`: the status {status} has no phrase that could be answered")
        headers = getattr(error, "headers", None)
        is_text = isinstance(headers, Mapping) and all(
            isinstance(each, str) for pair in headers.items() for each in pair
        )
        if headers is not None and not is_text:
            raise FastAPIError(f"the `headers` of {error!r} must be a mapping of texts to texts, not {headers!r}")
    return checked


def returned_errors(annotation: Any) -> tuple[ErrorClass, ...]:
    """Return the errors that a return annotation names, as a class or in a union.

    Raises:
        FastAPIError: one of them cannot be declared.
    """
    return check_errors([member for member in _members(annotation) if _is_error(member)])


def without_errors(annotation: Any) -> Any:
    """Return a return annotation without the errors in it, None if nothing is left."""
    members = _members(annotation)
    others = [member for member in members if not _is_error(member)]
    if len(others) == len(members):
        return annotation
    if all(other is type(None) for other in others):
        return None
    annotated: Any = Annotated
    remaining: Any = Union[tuple(others)]  # noqa: UP007 - of members that are known at run time only
    metadata = getattr(_value(annotation), "__metadata__", ())
    return annotated[(remaining, *metadata)] if metadata else remaining


def check_items(item_type: Any) -> None:
    """Refuse errors in the type of a stream's items.

    Raises:
        FastAPIError: there is one: an item is sent after the status, which an error would have to change.
    """
    for member in _members(item_type):
        if _is_error(member):
            raise FastAPIError(
                f"{member!r} cannot be an item of a stream: raise it, name it in `raises`, and leave it out of the "
                "return annotation. With `wait_for_first_item=True`, its status is answered before the first item"
            )


def _members(annotation: Any) -> Sequence[Any]:
    annotation = _value(annotation)
    if get_origin(annotation) is Annotated:
        annotation = _value(get_args(annotation)[0])
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if is_union else (annotation,)


def _value(annotation: Any) -> Any:
    """Return what the name of a type alias stands for."""
    return annotation.__value__ if typing_objects.is_typealiastype(annotation) else annotation


def _is_error(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, StarletteHTTPException)


@dataclass(slots=True)
class RaisingDependant(Dependant):
    """One callable of a graph that declares errors: a dependency those that it raises, an endpoint what it returns."""

    raises: Any = field(default=(), repr=False, compare=False)
    returned: tuple[ErrorClass, ...] = field(default=(), repr=False, compare=False)


def declaring(dependant: Dependant, *, raises: Any = (), returned: tuple[ErrorClass, ...] = ()) -> Dependant:
    """Return a node of a graph with the errors of its callable: the node itself if there are none."""
    if not raises and not returned:
        return dependant
    known = {each.name: getattr(dependant, each.name) for each in fields(Dependant)}
    return RaisingDependant(**known, raises=raises, returned=returned)


def errors_of(dependant: Dependant) -> list[ErrorClass]:
    """Return the errors that the dependencies of a graph declare.

    Raises:
        FastAPIError: one of them cannot be declared.
    """
    return [error for node in nodes_of(dependant) for error in check_errors(getattr(node, "raises", ()))]


def with_errors(responses: Responses, errors: Iterable[ErrorClass]) -> Responses:
    """Return additional responses with those of declared errors; what is written out by hand goes before."""
    by_status: dict[int | str, list[ErrorClass]] = {}
    for error in dict.fromkeys(errors):
        by_status.setdefault(_status(error), []).append(error)
    if not by_status:
        return responses
    declared = {status: _response(status, classes) for status, classes in by_status.items()}
    merged = {status: {**declared.get(status, {}), **response} for status, response in responses.items()}
    for status, response in responses.items():
        if "model" in response:
            merged[status].pop(MEDIA_TYPE_KEY, None)
    return {**declared, **merged}


def _response(status: Any, errors: Sequence[ErrorClass]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": " / ".join(dict.fromkeys(map(_description, errors)))}
    headers = {name: value for error in errors for name, value in (getattr(error, "headers", None) or {}).items()}
    if headers:
        response["headers"] = {
            name: {"schema": {"type": "string"}, "example": value} for name, value in headers.items()
        }
    if is_body_allowed_for_status_code(status):
        response["model"] = Union[tuple(map(_body, errors))]  # noqa: UP007
        response[MEDIA_TYPE_KEY] = "application/json"
        examples = {error.__name__: {"value": {"detail": _detail(error)}} for error in errors if not _model(error)}
        response["content"] = {"application/json": {"examples": examples} if examples else {}}
    return response


def _status(error: Any) -> int:
    return int(error.status_code)


def _model(error: ErrorClass) -> type[BaseModel] | None:
    model: type[BaseModel] | None = getattr(error, "model", None)
    return model


def _detail(error: ErrorClass) -> Any:
    # Starlette answers with the phrase of the status if there is no detail.
    detail = getattr(error, "detail", None)
    return HTTPStatus(_status(error)).phrase if detail is None else detail


def _description(error: ErrorClass) -> str:
    document = vars(error).get("__doc__")
    return document.strip().partition("\n")[0] if document else str(_detail(error))


_bodies: dict[ErrorClass, type[BaseModel]] = {}


def _body(error: ErrorClass) -> type[BaseModel]:
    """Return the model of what the default handler answers, the same one for each operation."""
    if error not in _bodies:
        detail: Any = _model(error) or (str if isinstance(_detail(error), str) else Any)
        # Schemas of one name are told apart by their modules.
        _bodies[error] = create_model(f"{error.__name__}Body", __module__=error.__module__, detail=(detail, ...))
    return _bodies[error]


def error_of_body(schema: str, status: str, description: str) -> ErrorClass | None:
    """Return the error whose body has a schema of this name, of a response with that status and description.

    It is None where the schema is that of another model. Errors of one name may be those of several applications.
    """
    # Where two have a name, pydantic puts their modules before it, and where they have one module, numbers behind it.
    names = {schema, re.sub(r"__\d+$", "", schema)}
    found = [
        error
        for error, body in _bodies.items()
        if str(_status(error)) == status
        and not names.isdisjoint((body.__name__, f"{body.__module__}.{body.__qualname__}".replace(".", "__")))
    ]
    described = [error for error in found if _description(error) in description]
    return next(iter([*described, *found]), None)


def undeclared_errors(app: Any, answers: Iterable[tuple[str, str, int]]) -> list[str]:
    """Return what tests have seen and the document does not say: one line for each `(method, path, status)`.

    `path` is the template of the route, as in the document; statuses below 400 are not looked at.
    """
    paths = app.openapi().get("paths", {})
    lines: list[str] = []
    for method, path, status in dict.fromkeys(answers):
        operation = paths.get(path, {}).get(method.lower())
        if status < 400 or operation is None:
            continue
        if not {str(status), f"{status // 100}XX", "default"} & operation["responses"].keys():
            lines.append(f"{method.upper()} {path} answered {status}, which is not declared")
    return lines


class ErrorRecorder:
    """ASGI middleware that notes the statuses a test suite is answered with, for `undeclared_errors`."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.answers: list[tuple[str, str, int]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a connection on."""

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message["status"])
            await send(message)

        await self.app(scope, receive, noted if scope["type"] == "http" else send)

    def _note(self, scope: Any, status: int) -> None:
        context = scope.get("fastapi", {}).get("effective_route_context")
        path = getattr(context or scope.get("route"), "path_format", None)
        # A mounted application has a document of its own.
        if path is not None and scope.get("app") is self.app:
            self.answers.append((scope["method"], path, status))

    def undeclared(self) -> list[str]:
        """Return a line for each status that was answered and is not declared."""
        return undeclared_errors(self.app, self.answers)
