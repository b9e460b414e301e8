"""Each name that the engine stands for is asked as by FastAPI while it is replaced, and no longer when it is put back.

The cases are the table of `ferroapi._witness` itself: a row that is added there is tested here.
"""

import asyncio
import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferroapi import _core
from ferroapi._witness import Part, replaced_names, rows_as_found, watched_names

from .core.replaced import (
    REQUESTS,
    Moment,
    Notes,
    Way,
    layered,
    observed,
    overridden,
    owner_of,
    replaced,
    serve,
    served,
    service,
)

NOT_IN_THE_OLDEST = {("starlette.requests", "aclosing")}
"""Names that came with a later version than the oldest one that `pyproject.toml` allows."""


def is_there(owner: str, name: str) -> bool:
    """Tell whether there is such a name to replace."""
    return (owner, name) not in NOT_IN_THE_OLDEST or hasattr(owner_of("fastapi", owner), name)


NAMES = sorted(
    {(owner.replace("ferroapi", "fastapi", 1), name) for owner, name, _ in watched_names() if is_there(owner, name)}
)

EVERY_PART = 0xFFFF_FFFF

NOT_DECLARABLE = {
    *(("fastapi.dependencies.utils", name) for name in ("BaseModel", "Response", "SecurityScopes")),
    ("fastapi.params", "Body"),
}
"""Classes by which parameters are recognised: FastAPI refuses to declare the service while they are replaced."""

STARLETTES = ("starlette.middleware", "starlette.applications:", "starlette.routing:Router")

CASES = [
    (*each, moment)
    for each in NAMES
    for moment in ("before", "after")
    if moment == "after" or each not in NOT_DECLARABLE
]


NOT_COUNTED = {
    # A value that is text, a number or a dict is none of a dataclass.
    ("fastapi.encoders", "dataclasses"),
    # How far a stream of events has come when its client leaves.
    ("fastapi.routing", "anyio"),
    # The annotation of a body is looked at once more.
    ("fastapi._compat.shared", "get_origin"),
    # The media type of a form is looked at once more, and so is the form.
    ("starlette.requests:HTTPConnection", "headers"),
    *(("starlette.datastructures:Headers", name) for name in ("__init__", "__getitem__", "get")),
    ("starlette.datastructures:ImmutableMultiDict", "multi_items"),
}
"""Names that are asked, but not as often."""


DECIDED = {("fastapi.dependencies.utils", "ImmutableMultiDict"): {"/bytes"}}
"""Requests that are answered otherwise on purpose: FastAPI asks a file for its length, which is a 500."""


def differing(expected: dict[str, Any], found: dict[str, Any], *, is_counted: bool = True) -> set[str]:
    """Return the requests that are answered otherwise, or ask otherwise for what is replaced."""
    compared = list if is_counted else bool
    return {
        label
        for label, (calls, *answer) in expected.items()
        if [compared(calls), *answer] != [compared(found[label][0]), *found[label][1:]]
    }


@pytest.mark.parametrize(("owner", "name", "moment"), CASES)
def test_replaced_name_is_asked_as_by_fastapi(owner: str, name: str, moment: Moment) -> None:
    """The same answers and the same calls for each request: before the first one, after it, and put back."""
    theirs, ours = (observed(framework, service, owner, name, moment) for framework in ("fastapi", "ferroapi"))
    is_counted, decided = (owner, name) not in NOT_COUNTED, DECIDED.get((owner, name), set())
    declared, *served = zip(theirs, ours, strict=True)
    if moment == "before":
        # Answers alone.
        assert {label for label in declared[0] if declared[0][label] != declared[1][label]} <= decided
    else:
        served = [declared, *served]
    for expected, found in served:
        assert differing(expected, found, is_counted=is_counted) <= decided
    assert not any(calls for calls, *_ in ours[-1].values()), "it is asked once it was put back"


ONE_OF_EACH = {owner: name for owner, name in NAMES if owner not in ("json", "anyio.to_thread")}
"""A name of each module and class."""

IN_DICTIONARIES = [
    *((owner, name) for owner, name in ONE_OF_EACH.items() if ":" not in owner),
    *(("fastapi.dependencies.utils", name) for name in ("_get_param_aliases", "run_in_threadpool", "analyze_param")),
    *(("fastapi.routing", name) for name in ("get_dependant", "run_in_threadpool", "run_endpoint_function")),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name", "way"),
    [
        *((owner, name, "dictionary") for owner, name in IN_DICTIONARIES),
        *((owner, name, "mock") for owner, name in ONE_OF_EACH.items()),
    ],
)
def test_name_that_is_replaced_otherwise_is_asked_as_by_fastapi(
    owner: str, name: str, way: Way, moment: Moment
) -> None:
    """Not by `setattr`, but in the dictionary of its module, or by `unittest.mock`."""
    theirs, ours = (observed(framework, service, owner, name, moment, way) for framework in ("fastapi", "ferroapi"))
    for number, (expected, found) in enumerate(zip(theirs, ours, strict=True)):
        is_declared = moment == "before" and number == 0
        different = {label for label in expected if is_declared and expected[label] != found[label]}
        if not is_declared:
            different = differing(expected, found, is_counted=(owner, name) not in NOT_COUNTED)
        assert different == set()


Step = tuple[str, Any]
"""What is done: a name is replaced or put back, or a request is made."""


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Draw names that are replaced and put back in any order, some at once, and requests between."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    labels = draw(st.lists(st.sampled_from([label for label, *_ in REQUESTS]), min_size=1, max_size=3))
    taken: list[Step] = []
    instead: set[tuple[str, str]] = set()
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=8)):
        taken.append(("put back" if name in instead else "replace", name))
        instead ^= {name}
        taken += [("request", label) for label in draw(st.lists(st.sampled_from(labels), max_size=2))]
    return [*taken, *(("put back", name) for name in sorted(instead)), *(("request", label) for label in labels)]


ENOUGH = 60
MADE = dict.fromkeys(("fastapi", "ferroapi"), ENOUGH)
"""Services that were made since the used one has last answered each request, by framework."""


def new(framework: str, labels: set[str]) -> Any:
    """Return a service that has answered nothing, with the path operations that these requests are for.

    To declare all of them takes four fifths of the time of an example.
    """
    MADE[framework] += 1
    return service(importlib.import_module(framework), labels)


@cache
def _service(framework: str) -> Any:
    return service(importlib.import_module(framework))


def used(framework: str) -> Any:
    """Return a service that has answered each request, and whose functions are known."""
    app = _service(framework)
    # What kind of function each is, is forgotten when 4,096 others were met since: a service has forty at most.
    if MADE[framework] >= ENOUGH:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asyncio.run(serve(app, Notes()))
            # Where the engine serves, nobody asks what kind a function is.
            with replaced(owner_of(framework, "fastapi.routing"), "solve_dependencies", Notes()):
                asyncio.run(serve(app, Notes()))
        MADE[framework] = 0
    return app


def followed(framework: str, taken: list[Step], *, is_used: bool) -> list[Any]:
    """Return the answer to each request, and the calls of each name that is replaced meanwhile."""
    app = used(framework) if is_used else new(framework, {label for kind, label in taken if kind == "request"})
    notes = {name: Notes() for kind, name in taken if kind == "replace"}
    instead: dict[tuple[str, str], ExitStack] = {}
    requested = {label for label, *_ in REQUESTS} if is_used else set()

    async def run() -> list[Any]:
        seen = []
        for kind, what in taken:
            if kind == "replace":
                instead[what] = ExitStack()
                instead[what].enter_context(replaced(owner_of(framework, what[0]), what[1], notes[what]))
            elif kind == "put back":
                instead.pop(what).close()
            else:
                for each in notes.values():
                    each.calls = []
                answer = await served(app, what)
                # What is declared late is declared by the first request.
                counted = {
                    name: bool(each.calls) if name in NOT_COUNTED else each.calls
                    for name, each in notes.items()
                    if what in requested or name not in instead
                }
                requested.add(what)
                seen.append((what, sorted(instead), answer, counted))
        return seen

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return asyncio.run(run())
        finally:
            for each in instead.values():
                each.close()


@given(steps(), st.booleans())
def test_names_that_are_replaced_together_are_asked_as_by_fastapi(taken: list[Step], is_used: bool) -> None:
    """Whatever is replaced beside each other, put back in whichever order, before the first request and after it."""
    theirs, ours = (followed(framework, taken, is_used=is_used) for framework in ("fastapi", "ferroapi"))
    for (label, instead, expected, calls), (*_, found, our_calls) in zip(theirs, ours, strict=True):
        if not any(label in DECIDED.get(name, ()) for name in instead):
            assert (label, instead, found, our_calls) == (label, instead, expected, calls)


NOT_ASKED = [
    ("fastapi.dependencies.utils", "cast", "/sync/3"),
    ("fastapi.routing", "asynccontextmanager", "/events"),
    ("fastapi.telemetry._api", "otel_context", "/json"),
]


@pytest.mark.parametrize(("owner", "name", "label"), NOT_ASKED)
def test_name_for_type_checkers_is_not_asked(owner: str, name: str, label: str) -> None:
    """A decided difference (docs/differences.md): the answer is the same."""
    theirs, ours = (observed(framework, service, owner, name, "after")[0] for framework in ("fastapi", "ferroapi"))
    assert theirs[label][0]
    assert ours[label][0] == []
    assert {name: answer[1:] for name, answer in ours.items()} == {name: answer[1:] for name, answer in theirs.items()}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        # From Python 3.14 on the annotations of a nested function are not evaluated: FastAPI does not look either.
        ("ObjectReceiveStream", {"/events", "/sync-events"} if sys.version_info < (3, 14) else set()),
        ("_IncludedRouter", {"/outer/included/5", "/outer/included/x"}),
        ("APIRoute", {"/outer/included/5", "/outer/included/x"}),
    ],
)
def test_class_of_routing_that_is_replaced_is_not_looked_at(name: str, labels: set[str]) -> None:
    """A decided difference (docs/differences.md): FastAPI fails, or does not find what was declared."""
    theirs, ours = (
        observed(framework, service, "fastapi.routing", name, "after") for framework in ("fastapi", "ferroapi")
    )
    assert labels <= {label for label in theirs[0] if ours[0][label] != theirs[0][label]}
    # Put back, it is answered so by both.
    assert {label: ours[0][label] for label in labels} == {label: theirs[1][label] for label in labels}


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("fastapi.routing", "DefaultPlaceholder"),
        # Decided differences (docs/differences.md): they are not asked, which no answer shows.
        ("fastapi.routing", "Default"),
        ("fastapi.dependencies.utils", "Undefined"),
    ],
)
def test_mark_of_what_is_not_given_that_is_replaced_changes_no_answer_but_those_of_fastapi(
    owner: str, name: str
) -> None:
    theirs, ours = (observed(framework, service, owner, name, "after") for framework in ("fastapi", "ferroapi"))
    for expected, found in zip(theirs, ours, strict=True):
        assert {label: answer[1:] for label, answer in found.items()} == {
            label: answer[1:] for label, answer in expected.items()
        }


OF_APPLICATIONS = """
http_exception_handler request_validation_exception_handler websocket_request_validation_exception_handler HTTPException
"""


@pytest.mark.parametrize("name", OF_APPLICATIONS.split())
def test_replaced_name_is_kept_by_an_application_that_was_made_with_it(name: str) -> None:
    theirs, ours = (
        observed(framework, service, "fastapi.applications", name, "before") for framework in ("fastapi", "ferroapi")
    )
    assert ours == theirs


LAYERS = [
    (
        "starlette.middleware.cors:CORSMiddleware",
        "__call__ is_allowed_origin simple_response send allow_explicit_origin",
    ),
    ("starlette.middleware.gzip:GZipMiddleware", "__call__"),
    ("starlette.middleware.gzip:GZipResponder", "__call__ send_with_compression apply_compression"),
    ("starlette.middleware.trustedhost:TrustedHostMiddleware", "__call__"),
    ("starlette.middleware.base:BaseHTTPMiddleware", "__call__"),
    ("starlette.middleware.base", "_CachedRequest _StreamingResponse anyio create_collapsing_task_group"),
    ("starlette.middleware.cors", "functools Headers MutableHeaders"),
    ("starlette.middleware.gzip", "Headers GZipResponder IdentityResponder"),
    ("starlette.middleware.trustedhost", "Headers parse_host_header"),
    ("starlette.middleware.base:_CachedRequest", "wrapped_receive"),
    ("starlette.middleware.base:_StreamingResponse", "__call__"),
    ("starlette.middleware.errors:ServerErrorMiddleware", "__call__"),
    ("starlette.middleware.exceptions:ExceptionMiddleware", "__call__"),
    ("starlette.applications:Starlette", "__call__"),
    ("starlette.routing:Router", "__call__"),
    ("fastapi:FastAPI", "__call__"),
    ("fastapi.routing:APIRouter", "__call__ app"),
    ("starlette.responses:Response", "__call__"),
    ("fastapi.middleware.asyncexitstack:AsyncExitStackMiddleware", "__call__"),
    ("fastapi.middleware.asyncexitstack", "AsyncExitStack"),
    ("fastapi.applications:AppBodyLimitMiddleware", "__call__"),
    ("fastapi.applications:ExceptionTelemetryMiddleware", "__call__"),
]
"""What the engine goes past in the middleware stack of an application: each has a table of its own."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in LAYERS for name in names.split()])
@pytest.mark.parametrize("make", [service, layered])
def test_replaced_layer_is_asked_as_by_fastapi(make: Any, owner: str, name: str, moment: Moment) -> None:
    theirs, ours = (observed(framework, make, owner, name, moment) for framework in ("fastapi", "ferroapi"))
    for expected, found in zip(theirs, ours, strict=True):
        assert {label for label in expected if expected[label] != found[label]} == set()


OF_DECLARATIONS = sorted(
    (owner.replace("ferroapi", "fastapi", 1), name)
    for owner, name, parts in watched_names()
    if parts & Part.DECLARATION and (owner, name) != ("ferroapi.params", "Body")
)

NOT_COUNTED_OF_DECLARATIONS = {
    # Types are compared in another order.
    *((f"fastapi.{module}", "lenient_issubclass") for module in ("dependencies.utils", "_compat.shared")),
    *(("fastapi._compat.shared", f"field_annotation_is_{kind}") for kind in ("scalar", "complex")),
    ("fastapi._compat.shared", "BaseModel"),
    # The return annotation is read once more.
    *(("fastapi.dependencies.utils", name) for name in ("_get_signature", "get_typed_annotation")),
    ("inspect", "signature"),
    # Fields are copied in another way.
    ("pydantic.fields:FieldInfo", "__init__"),
}
"""Names that are asked, but not as often."""


@pytest.mark.parametrize(("owner", "name"), OF_DECLARATIONS)
def test_replaced_name_is_asked_by_declarations_as_by_fastapi(owner: str, name: str) -> None:
    """Also for plain parameters, which are declared by a shorter way while it is as it was."""
    seen = []
    for framework in ("fastapi", "ferroapi"):
        notes = Notes()
        package = importlib.import_module(framework)
        service(package)
        with replaced(owner_of(framework, owner), name, notes):
            app = service(package)
        calls = bool(notes.calls) if (owner, name) in NOT_COUNTED_OF_DECLARATIONS else notes.calls
        seen.append((calls, asyncio.run(served(app, "/sync/3")), asyncio.run(served(app, '/body {"name": "n"}'))))
    theirs, ours = seen
    assert ours == theirs


OF_THREADS = [(owner, name) for owner, name, parts in watched_names() if parts & Part.THREAD]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), OF_THREADS)
def test_replaced_name_is_asked_for_what_overrides(owner: str, name: str, moment: Moment) -> None:
    """An override may be run by other parts of the engine than the dependency in whose place it stands."""
    path = owner.replace("ferroapi", "fastapi", 1)
    theirs, ours = (observed(framework, overridden, path, name, moment) for framework in ("fastapi", "ferroapi"))
    for expected, found in zip(theirs, ours, strict=True):
        assert {label for label in expected if expected[label] != found[label]} == set()


SERIALIZING = Part.JSON | Part.TEXT | Part.MODEL | Part.SERIALIZATION
OF_SERIALIZATION = sorted(
    {(owner.replace("ferroapi", "fastapi", 1), name) for owner, name, parts in watched_names() if parts & SERIALIZING}
)


@pytest.mark.parametrize(("owner", "name"), OF_SERIALIZATION)
def test_replaced_name_is_asked_for_what_an_endpoint_that_is_called_by_name_returns(owner: str, name: str) -> None:
    """What a tracer calls the endpoint by leads to the engine's response, unless that stands for a replaced name."""
    seen = []
    for framework in ("fastapi", "ferroapi"):
        with replaced(owner_of(framework, "fastapi.routing"), "run_endpoint_function", Notes()):
            seen.append(observed(framework, service, owner, name, "after"))
    is_counted = (owner, name) not in NOT_COUNTED
    for expected, found in zip(*seen, strict=True):
        assert differing(expected, found, is_counted=is_counted) <= DECIDED.get((owner, name), set())


@pytest.mark.parametrize(("owner", "name"), NAMES)
def test_replaced_name_is_named(owner: str, name: str) -> None:
    assert replaced_names(EVERY_PART) == []
    with replaced(owner_of("ferroapi", owner), name, Notes()):
        (label,) = replaced_names(EVERY_PART)
        assert label.endswith(name)
    assert replaced_names(EVERY_PART) == []


def _of_others(maker: str, rows: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """Return the names of other packages than FastAPI, by what makes a service and by their owner."""
    found: dict[tuple[str, str], list[str]] = {}
    for owner, name in rows:
        if not owner.startswith("fastapi"):
            found.setdefault((maker, owner), []).append(f"{owner}.{name}")
    return found


REPLACED_FIRST = {
    **_of_others("service", NAMES),
    **_of_others("layered", ((owner, name) for owner, names in LAYERS for name in names.split())),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each name needs a process that has imported little")
@pytest.mark.parametrize(("maker", "owner"), REPLACED_FIRST)
def test_name_that_was_replaced_before_the_first_import_is_asked_as_by_fastapi(maker: str, owner: str) -> None:
    names = REPLACED_FIRST[maker, owner]
    # Without the alias, under which there is one framework.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FERROAPI")}
    command = [sys.executable, "-m", "tests.core.replaced_first", maker, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    different = dict(map(json.loads, done.stdout.splitlines()))
    assert {name: different[name] for name in names if different[name]} == {}


@pytest.mark.parametrize("values", [{}, {"name": None}, {"name": 1}], ids=["nothing", "None", "an object"])
@pytest.mark.parametrize("kind", ["class", "module", "instance", "dict"])
def test_name_whose_meaning_was_found_is_replaced_by_another_and_put_back(kind: str, values: dict[str, Any]) -> None:
    class Owner:
        pass

    owners = {"class": Owner, "module": ModuleType("module"), "instance": Owner(), "dict": dict(values)}
    owner: Any = owners[kind]
    if kind != "dict":
        for name, value in values.items():
            setattr(owner, name, value)
    change, delete = (dict.__setitem__, dict.__delitem__) if kind == "dict" else (setattr, delattr)
    witness = _core.Witness([*rows_as_found(owner, "name")])
    assert not witness.replaced
    for another in {None, 1, 2} - {*values.values()}:
        change(owner, "name", another)
        assert witness.replaced
        if values:
            change(owner, "name", values["name"])
        else:
            delete(owner, "name")
        assert not witness.replaced
