import inspect
import pickle
from typing import Any

import pytest
from typing_extensions import TypedDict, Unpack

from ferroapi._operations import ForwardedOperations, PathOperations
from ferroapi._option_defaults import OPERATION_DEFAULTS
from ferroapi._options import OperationOptions
from ferroapi._signature import expands

VERBS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]


class Options(TypedDict, total=False):
    size: int
    late: "Late"
    name: str


class Late:
    pass


DEFAULTS: Options = {"name": "none", "size": 1, "late": Late()}


@expands(Options, DEFAULTS)
def draw(canvas: str, *, first: bool = True, **options: Unpack[Options]) -> dict[str, Any]:
    return {"canvas": canvas, "first": first, **options}


@expands(Options, DEFAULTS, size=int | None)
def draw_named(  # type: ignore[misc]  # the name is both an option and a parameter on purpose
    canvas: str, *, name: bytes = b"", **options: Unpack[Options]
) -> None:
    """Draw, and spell one option out."""


def test_expands_shows_options_in_the_order_of_the_defaults() -> None:
    parameters = inspect.signature(draw).parameters
    assert list(parameters) == ["canvas", "first", "name", "size", "late"]
    assert parameters["size"] == inspect.Parameter("size", inspect.Parameter.KEYWORD_ONLY, default=1, annotation=int)
    assert parameters["late"].annotation is Late
    assert inspect.signature(draw).return_annotation == dict[str, Any]


def test_expands_keeps_a_spelled_out_option_in_its_place_and_widens_types() -> None:
    parameters = inspect.signature(draw_named).parameters
    assert list(parameters) == ["canvas", "name", "size", "late"]
    assert parameters["name"].default == b""
    assert parameters["size"].annotation == int | None
    assert draw_named.__doc__ == "Draw, and spell one option out."


def test_expanded_signature_behaves_as_any_signature() -> None:
    signature = inspect.signature(draw)
    assert signature == inspect.Signature(list(signature.parameters.values()), return_annotation=dict[str, Any])
    assert signature.replace(parameters=[]).parameters == {}
    assert list(signature.replace(return_annotation=None).parameters) == list(signature.parameters)
    assert signature.bind("c", size=2).arguments == {"canvas": "c", "size": 2}
    assert str(signature).startswith("(canvas: str, *, first: bool = True, name: str = 'none', size: int = 1")
    assert list(pickle.loads(pickle.dumps(signature)).parameters) == list(signature.parameters)


def test_expanded_function_receives_only_what_was_given() -> None:
    assert draw("c", size=3) == {"canvas": "c", "first": True, "size": 3}
    assert draw(canvas="c") == {"canvas": "c", "first": True}


def test_expanded_function_refuses_unknown_keywords_in_pythons_words() -> None:
    call: Any = draw
    with pytest.raises(TypeError, match=r"^draw\(\) got an unexpected keyword argument 'colour'$"):
        call("c", colour=1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'canvas'"):
        call()


class Router(PathOperations):
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def api_route(self, **options: Any) -> Any:
        self.calls.append(options)
        return lambda function: function

    def add_api_websocket_route(self, path: str, function: Any, **options: Any) -> None:
        self.calls.append((path, function, options))


class Application(ForwardedOperations):
    def __init__(self, router: Any) -> None:
        self.router = router


@pytest.mark.parametrize("verb", VERBS)
def test_verb_calls_api_route_with_every_option(verb: str) -> None:
    router = Router()
    getattr(router, verb)("/path", status_code=201)(len)
    assert router.calls == [{"path": "/path", "methods": [verb.upper()], **OPERATION_DEFAULTS, "status_code": 201}]


@pytest.mark.parametrize("verb", VERBS)
def test_verb_of_an_application_reaches_the_routers_verb(verb: str) -> None:
    calls: list[Any] = []

    class Overriding(Router):
        pass

    def record(self: Router, path: str, **options: Any) -> Any:
        calls.append((path, options))
        return lambda function: function

    setattr(Overriding, verb, record)
    getattr(Application(Overriding()), verb)("/path", name="n")(len)
    assert calls == [("/path", {**OPERATION_DEFAULTS, "name": "n"})]


def test_verb_names_the_class_it_was_called_on_when_it_refuses() -> None:
    router: Any = Router()
    with pytest.raises(TypeError, match=r"^Router\.get\(\) got an unexpected keyword argument 'colour'$"):
        router.get("/", colour=1)


def test_websocket_registers_and_returns_the_function() -> None:
    router = Router()
    assert router.websocket("/ws", "name")(len) is len
    assert router.calls == [("/ws", len, {"name": "name", "dependencies": None})]


def test_every_option_of_operations_has_a_default() -> None:
    # What FastAPI has not is passed on only where it is given.
    ours = {"cancel_on_disconnect", "raises", "wait_for_first_item"}
    assert OperationOptions.__annotations__.keys() - ours == OPERATION_DEFAULTS.keys()
