"""Every public name, signature and default of FastAPI is ours too, and so are the private names that packages import.
What differs on purpose stands in `KNOWN_DIFFERENCES` with its reason; an entry that no longer differs is a failure."""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_type_hints

import fastapi
import pytest
from pydantic import BaseModel

# The command line is not an interface; the WSGI middleware warns on import that Starlette will remove it.
SKIPPED_MODULES = ("fastapi.cli", "fastapi.__main__", "fastapi.middleware.wsgi")

KNOWN_DIFFERENCES: dict[str, str] = {
    "fastapi.__version__": "ferroapi's own; FastAPI's is __fastapi_version__, and __version__ under the alias",
    "fastapi.encoders.encoders_by_class_tuples": "a plain dict: nothing is ever missing from it",
    "fastapi.routing._EffectiveRouteContext": "made by ferroapi only; what packages use of it is its attributes",
}

OWN_OPTIONS = frozenset(
    {
        "cancel_on_disconnect",
        "docs_assets",
        "exception_handlers",
        "lifespan_dependencies",
        "middleware",
        "problem_details",
        "raises",
        "wait_for_first_item",
    }
)
"""Options that FastAPI has not."""

DERIVED = {"fastapi.testclient.TestClient"}
"""Names of other packages that stand for a class of ours, which is derived from theirs."""

NOT_IMPORTABLE: dict[str, str] = {
    **dict.fromkeys(
        (
            "fastapi.openapi.utils._get_api_route_for_openapi",
            "fastapi.routing._build_response_args",
            "fastapi.routing._endpoint_context_cache",
            "fastapi.routing._frontend_scope_specificity",
            "fastapi.routing._populate_api_route_state",
            "fastapi.sse._split_sse_lines",
        ),
        "a private step of work that is cut into other steps here",
    ),
    **dict.fromkeys(
        (
            "fastapi.responses._OrjsonModule",
            "fastapi.responses._UjsonModule",
            "fastapi.routing._RouteWithPath",
        ),
        "a private protocol for type checkers only",
    ),
    "fastapi.openapi.models.email_validator": "the package itself, which need not be installed",
    "fastapi.routing._T": "a type variable",
    "fastapi.utils.fastapi": "the package itself",
}

# Names outside the reference that published packages import, from a scan of 119 code bases.
INTERNAL_NAMES = [
    "_compat.ModelField",
    "_compat.Undefined",
    "_compat.field_annotation_is_scalar",
    "_compat.field_annotation_is_scalar_sequence",
    "_compat.field_annotation_is_sequence",
    "_compat.get_definitions",
    "_compat.get_flat_models_from_fields",
    "_compat.get_model_name_map",
    "_compat.is_bytes_or_nonable_bytes_annotation",
    "_compat.is_bytes_sequence_annotation",
    "_compat.v2.ModelField",
    "_compat.v2.get_flat_models_from_fields",
    "_compat.v2.get_model_name_map",
    "applications.FastAPI",
    "applications.get_swagger_ui_html",
    "datastructures.Default",
    "datastructures.DefaultPlaceholder",
    "datastructures.QueryParams",
    "datastructures.URL",
    "datastructures._Unset",
    "dependencies.models.Dependant",
    "dependencies.utils._get_body_field",
    "dependencies.utils._get_flat_body_params",
    "dependencies.utils._should_embed_body_fields",
    "dependencies.utils.get_dependant",
    "dependencies.utils.get_flat_params",
    "dependencies.utils.get_parameterless_sub_dependant",
    "dependencies.utils.get_typed_return_annotation",
    "dependencies.utils.get_typed_signature",
    "dependencies.utils.get_validation_alias",
    "dependencies.utils.lenient_issubclass",
    "dependencies.utils.request_params_to_args",
    "dependencies.utils.solve_dependencies",
    "logger.logger",
    "middleware.asyncexitstack.AsyncExitStackMiddleware",
    "openapi.constants.REF_PREFIX",
    "openapi.utils._get_openapi_dependency_data",
    "openapi.utils._get_openapi_operation_parameters",
    "openapi.utils.get_fields_from_routes",
    "openapi.utils.validation_error_response_definition",
    "params.Body",
    "params.Depends",
    "params.File",
    "params.Form",
    "params.Header",
    "params.Param",
    "params.Path",
    "params.Query",
    "params.Security",
    "routing.Mount",
    "routing.RouteContext",
    "routing._DefaultLifespan",
    "routing._EffectiveRouteContext",
    "routing._IncludedRouter",
    "routing._iter_routes_with_context",
    "routing._merge_lifespan_context",
    "routing.get_request_handler",
    "routing.iter_route_contexts",
    "routing.request_response",
    "routing.run_endpoint_function",
    "routing.serialize_response",
    "routing.solve_dependencies",
    "security.base.SecurityBase",
    "security.utils.get_authorization_scheme_param",
    "types.DecoratedCallable",
    "types.DependencyCacheKey",
    "types.IncEx",
    "utils.create_model_field",
    "utils.generate_unique_id",
    "utils.is_body_allowed_for_status_code",
]

INTERNAL_ATTRIBUTES = [
    "FastAPI.__call__",
    "FastAPI.__init__",
    "FastAPI.build_middleware_stack",
    "FastAPI.setup",
    "FastAPI.openapi",
    "routing.APIRoute.__init__",
    "routing.APIRoute.get_route_handler",
    "routing.APIRoute.handle",
    "routing.APIRoute.matches",
    "routing.APIRouter._mark_routes_changed",
    "routing.APIRouter.add_api_route",
    "routing.APIRouter.add_api_websocket_route",
    "routing.APIRouter.add_route",
    "routing.APIRouter.add_websocket_route",
    "routing.APIRouter.include_router",
    "routing.APIRouter.mount",
    "routing.Mount.handle",
    "routing._IncludedRouter.effective_route_contexts",
]


def modules() -> Iterator[str]:
    """Yield the name of each public module of FastAPI."""
    yield "fastapi"
    for module in pkgutil.walk_packages(fastapi.__path__, "fastapi."):
        is_private = any(part.startswith("_") for part in module.name.split("."))
        if not is_private and module.name not in SKIPPED_MODULES:
            yield module.name


def declared_names(module: str) -> list[str]:
    """Return the public names that a module defines, or imports in order to export them (`import X as X`)."""
    names: list[str] = []
    source = Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.append(name)
            case ast.ImportFrom(names=imported):
                names += [alias.name for alias in imported if alias.asname == alias.name]
            case ast.Assign(targets=targets):
                names += [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.append(name)
    return [name for name in names if not name.startswith("_") or name == "__version__"]


def public_names() -> Iterator[str]:
    """Yield the dotted name of everything public, methods included."""
    for module in modules():
        for name in declared_names(module):
            yield f"{module}.{name}"
            value = getattr(importlib.import_module(module), name)
            if inspect.isclass(value) and value.__module__ == module:
                for attribute, method in vars(value).items():
                    is_public = not attribute.startswith("_") or attribute in ("__init__", "__call__")
                    if is_public and isinstance(method, FunctionType | classmethod | staticmethod | property):
                        yield f"{module}.{name}.{attribute}"


def is_of_the_language(value: Any) -> bool:
    """Tell whether a value comes from the standard library, or from what stands in for a newer one."""
    root = owner_of(value).partition(".")[0]
    return root in sys.stdlib_module_names or root in ("typing_extensions", "annotated_doc")


def owner_of(value: Any) -> str:
    return str(value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "fastapi"))


def held_names() -> Iterator[str]:
    """Yield the dotted name of everything that a module of FastAPI holds, whether it defines it or imports it."""
    for module in modules():
        for name, value in vars(importlib.import_module(module)).items():
            if not name.startswith("__") and not is_of_the_language(value):
                yield f"{module}.{name}"


def resolve(dotted: str) -> Any:
    """Return what a dotted name stands for, importing as much of it as is a module."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            value = getattr(value, part)
        return value
    raise ModuleNotFoundError(dotted)


def normalized(default: Any) -> str:
    """Return a default in a form that can be compared between the two packages."""
    if type(default).__name__ == "DefaultPlaceholder":
        return f"Default({normalized(default.value)})"
    if inspect.isclass(default) or inspect.isroutine(default):
        return str(default.__qualname__)
    return repr(default).replace("ferroapi", "fastapi")


def shape(value: Any) -> list[tuple[str, str, str]] | str:
    """Return the parameters of a callable: name, kind and default; else what kind of thing it is."""
    if isinstance(value, property):
        return "property"
    try:
        if isinstance(value, type) and issubclass(value, BaseModel):
            # Some of ours are built on first use, and only then know their fields.
            value.model_rebuild()
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "no signature"
    return [
        (parameter.name, parameter.kind.name, normalized(parameter.default))
        for parameter in signature.parameters.values()
    ]


def cases(names: Any) -> list[Any]:
    """Return a test case a name, those with a known difference expected to fail."""

    def case(name: str) -> Any:
        reason = KNOWN_DIFFERENCES.get(name)
        return pytest.param(name, marks=pytest.mark.xfail(reason=reason, strict=True) if reason else ())

    return [case(name) for name in dict.fromkeys(names)]


def without_own(ours: Any, theirs: Any) -> Any:
    """Return our parameters without the options that FastAPI has not: keywords at the end, with a default."""
    if isinstance(ours, str) or isinstance(theirs, str):
        return ours
    own = ours[len(theirs) :]
    assert {(kind, default != repr(inspect.Parameter.empty)) for _, kind, default in own} <= {("KEYWORD_ONLY", True)}
    assert {name for name, _, _ in own} <= OWN_OPTIONS
    return ours[: len(theirs)]


def assert_same(name: str) -> None:
    theirs = resolve(name)
    ours = resolve(name.replace("fastapi", "ferroapi", 1))
    if isinstance(theirs, str | int | tuple | bytes):
        assert ours == theirs
    elif callable(theirs) or isinstance(theirs, property):
        for model in (theirs, ours):
            if isinstance(model, type) and issubclass(model, BaseModel):
                # Some of FastAPI's are built at their first use, and have no signature before.
                model.model_rebuild()
        assert without_own(shape(ours), shape(theirs)) == shape(theirs)
    else:
        assert normalized(type(ours)) == normalized(type(theirs))


@pytest.mark.parametrize("name", cases(public_names()))
def test_public_name_has_the_same_signature(name: str) -> None:
    assert_same(name)


@pytest.mark.parametrize("name", cases(f"fastapi.{name}" for name in INTERNAL_NAMES + INTERNAL_ATTRIBUTES))
def test_internal_name_has_the_same_signature(name: str) -> None:
    assert_same(name)


@pytest.mark.parametrize("name", list(held_names()))
def test_name_that_a_module_merely_holds_can_be_imported(name: str) -> None:
    """Packages import from wherever they once saw a name, such as `fastapi.routing.jsonable_encoder`."""
    try:
        resolve(name.replace("fastapi", "ferroapi", 1))
    except AttributeError:
        assert name in NOT_IMPORTABLE
    else:
        assert name not in NOT_IMPORTABLE, NOT_IMPORTABLE[name]


def test_module_holds_the_same_foreign_objects() -> None:
    """A name that FastAPI imports from another package stands for the same object here."""
    named = (name for name in held_names() if isinstance(resolve(name), type | FunctionType | ModuleType))
    foreign = [name for name in named if name not in NOT_IMPORTABLE and "fastapi" not in owner_of(resolve(name))]
    assert "fastapi.routing.run_in_threadpool" in foreign
    ours = {name: resolve(name.replace("fastapi", "ferroapi", 1)) for name in foreign}
    assert {name for name in foreign if ours[name] is not resolve(name)} == DERIVED
    assert all(issubclass(ours[name], resolve(name)) for name in DERIVED)


MODULES_IN_PARTS = "applications dependencies.utils openapi.utils param_functions params routing"


@pytest.mark.parametrize("module", MODULES_IN_PARTS.split())
def test_module_holds_the_same_names_of_the_language(module: str) -> None:
    """Editors import them from anywhere, and tests patch `fastapi.dependencies.utils.inspect.signature`."""
    ours, theirs = (importlib.import_module(f"{framework}.{module}") for framework in ("ferroapi", "fastapi"))
    held = {name: value for name, value in vars(theirs).items() if not name.startswith("__")}
    # The text of options is not written beside their types here.
    named = {name: value for name, value in held.items() if is_of_the_language(value) and name not in ("Doc", "_T")}
    assert "Annotated" in named or module == "openapi.utils"
    private = {name for name in named if f"fastapi.{module}.{name}" in NOT_IMPORTABLE or name.startswith("_")}
    assert {name for name in named.keys() - private if getattr(ours, name, None) != named[name]} == set()


def test_module_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match=r"module 'ferroapi\.routing' has no attribute 'no_such_name'"):
        resolve("ferroapi.routing.no_such_name")


def test_package_exports_the_same_names_in_the_same_order() -> None:
    ours = importlib.import_module("ferroapi")
    exported = declared_names("fastapi")
    assert [name for name in vars(ours) if name in exported] == exported


def annotated(framework: str) -> Iterator[tuple[str, Any]]:
    """Yield each function, method and class that a module of FastAPI defines, as a framework has it."""
    for name in held_names():
        value = resolve(name.replace("fastapi", framework, 1)) if name not in NOT_IMPORTABLE else None
        if isinstance(value, type | FunctionType) and str(value.__module__).startswith(framework):
            yield name, value
            for attribute, method in vars(value).items() if isinstance(value, type) else ():
                if isinstance(method, FunctionType):
                    yield f"{name}.{attribute}", method


def with_hints(framework: str) -> set[str]:
    """Return the names whose annotations can be evaluated, as containers and documentation tools do."""
    found = set()
    for name, value in annotated(framework):
        with suppress(NameError):
            get_type_hints(value)
            found.add(name)
    return found


def test_annotations_can_be_evaluated_where_those_of_fastapi_can() -> None:
    ours = {name for name, _ in annotated("ferroapi")}
    theirs = with_hints("fastapi") & ours
    assert {"fastapi.openapi.utils.get_openapi", "fastapi.telemetry.TelemetryConfig"} < theirs
    assert theirs - with_hints("ferroapi") == set()
