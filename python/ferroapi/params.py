"""What a parameter declares: where its value comes from and how it is validated; how it is read: `dependencies`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from pydantic.fields import FieldInfo
from typing_extensions import Unpack

from ferroapi._compat import Undefined
from ferroapi._imported import imported_names
from ferroapi._option_defaults import BODY_DEFAULTS, FILE_DEFAULTS, FORM_DEFAULTS, HEADER_DEFAULTS, PARAM_DEFAULTS
from ferroapi._options import BodyOptions, FormOptions, HeaderOptions, ParamOptions
from ferroapi._signature import expands, warn_deprecated
from ferroapi.concurrency import _DependencyConcurrency
from ferroapi.datastructures import _Unset

# pydantic declares FieldInfo final for its own users; FastAPI's parameters are subclasses of it all the same,
# hence the "ignore" on each class below.

# What goes on to pydantic, in the order in which it adds constraints to the schema.
_PYDANTIC_OPTIONS = (
    "default_factory", "alias", "title", "description", "examples",
    "gt", "ge", "lt", "le", "min_length", "max_length",
    "discriminator", "validate_default", "union_mode", "fail_fast",
    "multiple_of", "allow_inf_nan", "max_digits", "decimal_places", "deprecated",
    "annotation", "alias_priority", "validation_alias", "serialization_alias", "strict", "json_schema_extra", "pattern",
)  # fmt: skip


def _for_class(defaults: Any) -> dict[str, Any]:
    """Return the defaults of a class, which takes `annotation` besides what its function takes."""
    return {"default_factory": _Unset, "annotation": None, **defaults}


def _initialize(info: Any, default: Any, annotation: Any, options: dict[str, Any]) -> None:
    """Set what this package adds to a `FieldInfo`, resolve old names and aliases, and initialize the rest."""
    if options["example"] is not _Unset:
        warn_deprecated("`example` has been deprecated, please use `examples` instead")
    if options["regex"] is not None:
        warn_deprecated("`regex` has been deprecated, please use `pattern` instead")
    info.example = options["example"]
    info.include_in_schema = options["include_in_schema"]
    info.openapi_examples = options["openapi_examples"]

    alias = options["alias"]
    settled = options | {"annotation": annotation, "pattern": options["pattern"] or options["regex"]}
    if isinstance(alias, str) and _is_absent(options["serialization_alias"]):
        settled["serialization_alias"] = alias
    if _is_absent(options["validation_alias"]):
        settled["validation_alias"] = alias
    given = {name: settled[name] for name in _PYDANTIC_OPTIONS if settled[name] is not _Unset}
    FieldInfo.__init__(info, default=default, **given)


def _is_absent(option: Any) -> bool:
    return option is None or option is _Unset


class ParamTypes(Enum):
    """The places of a request, other than its body, that a parameter comes from."""

    query = "query"
    header = "header"
    path = "path"
    cookie = "cookie"


class Param(FieldInfo):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    """A parameter that does not come from the body.

    Source: FastAPI behaviour, `params.Param`.
    """

    in_: ParamTypes
    include_in_schema: bool
    example: Any
    openapi_examples: Any

    @expands(ParamOptions, _for_class(PARAM_DEFAULTS))
    def __init__(
        self, default: Any = Undefined, *, annotation: Any | None = None, **options: Unpack[ParamOptions]
    ) -> None:
        _initialize(self, default, annotation, {**PARAM_DEFAULTS, **ParamOptions(**options)})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.default})"


class Path(Param):  # type: ignore[misc]
    """A part of the path; always required."""

    in_ = ParamTypes.path

    @expands(ParamOptions, _for_class(PARAM_DEFAULTS))
    def __init__(self, default: Any = ..., *, annotation: Any | None = None, **options: Unpack[ParamOptions]) -> None:
        assert default is ..., "Path parameters cannot have a default value"
        super().__init__(default=default, annotation=annotation, **(PARAM_DEFAULTS | ParamOptions(**options)))


class Query(Param):  # type: ignore[misc]
    """A value of the query string."""

    in_ = ParamTypes.query

    @expands(ParamOptions, _for_class(PARAM_DEFAULTS))
    def __init__(
        self, default: Any = Undefined, *, annotation: Any | None = None, **options: Unpack[ParamOptions]
    ) -> None:
        super().__init__(default=default, annotation=annotation, **(PARAM_DEFAULTS | ParamOptions(**options)))


class Header(Param):  # type: ignore[misc]
    """A header; underscores in the name stand for hyphens unless `convert_underscores` is false."""

    in_ = ParamTypes.header

    @expands(HeaderOptions, _for_class(HEADER_DEFAULTS))
    def __init__(
        self, default: Any = Undefined, *, annotation: Any | None = None, **options: Unpack[HeaderOptions]
    ) -> None:
        merged: dict[str, Any] = {**HEADER_DEFAULTS, **HeaderOptions(**options)}
        self.convert_underscores = merged.pop("convert_underscores")
        super().__init__(default=default, annotation=annotation, **merged)


class Cookie(Param):  # type: ignore[misc]
    """A cookie."""

    in_ = ParamTypes.cookie

    @expands(ParamOptions, _for_class(PARAM_DEFAULTS))
    def __init__(
        self, default: Any = Undefined, *, annotation: Any | None = None, **options: Unpack[ParamOptions]
    ) -> None:
        super().__init__(default=default, annotation=annotation, **(PARAM_DEFAULTS | ParamOptions(**options)))


class Body(FieldInfo):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    """The body, or a key of it.

    Source: FastAPI behaviour, `params.Body`.
    """

    include_in_schema: bool
    example: Any
    openapi_examples: Any

    @expands(BodyOptions, _for_class(BODY_DEFAULTS))
    def __init__(
        self, default: Any = Undefined, *, annotation: Any | None = None, **options: Unpack[BodyOptions]
    ) -> None:
        merged: dict[str, Any] = {**BODY_DEFAULTS, **BodyOptions(**options)}
        self.embed = merged["embed"]
        self.media_type = merged["media_type"]
        _initialize(self, default, annotation, merged)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.default})"


class Form(Body):  # type: ignore[misc]
    """A field of a form."""

    @expands(FormOptions, _for_class(FORM_DEFAULTS))
    def __init__(
        self, default: Any = Undefined, *, annotation: Any | None = None, **options: Unpack[FormOptions]
    ) -> None:
        super().__init__(default=default, annotation=annotation, **(FORM_DEFAULTS | FormOptions(**options)))


class File(Form):  # type: ignore[misc]
    """A file of a multipart form."""

    @expands(FormOptions, _for_class(FILE_DEFAULTS))
    def __init__(
        self, default: Any = Undefined, *, annotation: Any | None = None, **options: Unpack[FormOptions]
    ) -> None:
        super().__init__(default=default, annotation=annotation, **(FILE_DEFAULTS | FormOptions(**options)))


@dataclass(frozen=True)
class Depends:
    """A callable whose result a parameter receives; its own parameters are solved the same way."""

    dependency: Callable[..., Any] | None = None
    use_cache: bool = True
    scope: Literal["function", "request", "lifespan"] | None = None
    max_concurrency: int | None = field(default=None, kw_only=True)
    _concurrency: _DependencyConcurrency | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        limit = self.max_concurrency
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError("max_concurrency must be a positive integer or None")
        # `dataclasses.replace` passes the old limiter on: keep it only where it still fits.
        held = self._concurrency
        if limit is None:
            held = None
        elif held is None or held.max_concurrency != limit:
            held = _DependencyConcurrency(limit)
        object.__setattr__(self, "_concurrency", held)


@dataclass(frozen=True)
class Security(Depends):
    """A dependency that needs OAuth scopes."""

    scopes: Sequence[str] | None = None


def _declare_errors(depends: Depends, errors: Any) -> Depends:
    """Return a dependency that declares errors, which are checked where it is read.

    They are no field of the class, so that nothing of them is seen at a dependency that has none.
    """
    if errors:
        object.__setattr__(depends, "_raises", tuple(errors) if isinstance(errors, Sequence) else errors)
    return depends


def _declared_errors(depends: Depends) -> Any:
    """Return the errors that a dependency declares."""
    return getattr(depends, "_raises", ())


if not TYPE_CHECKING:
    __getattr__ = imported_names(__name__)
