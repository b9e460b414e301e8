"""Numbers and truth values as text: what the engine reads without pydantic is what pydantic makes of it.

Each drawn parameter is compared with FastAPI, and with the same plan whose texts all go to pydantic.
"""

import asyncio
import importlib
import math
from contextlib import nullcontext
from typing import Annotated, Any, NewType
from unittest import mock
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import AfterValidator, ConfigDict, StrictInt
from pydantic.fields import FieldInfo

from ferroapi._compat import ModelField
from ferroapi._core import Scalar
from ferroapi._engine import stand_ins
from ferroapi._models.scalar import scalar_of

from ..core.asgi import Answer, ask, http_scope

BOUNDS = ("ge", "gt", "le", "lt")
EDGES = [
    "0", "-0", "00", "01", "+1", "-1", "--1", "1.", ".5", ".", "-", "", " 1", "1 ", "1_0", "1e5", "1E5", "nan", "inf",
    "-inf", "0x1", "٣", "²", "é", "\0", "1\n", "1.0", "1.5", "-0.0", "0.1", "0.30000000000000004", "5e-324",
    "9" * 17, "9" * 18, "1" + "0" * 18, "-" + "9" * 18, "9" * 19, "9223372036854775807", "9223372036854775808",
    "9" * 32, "9" * 33, "9" * 400, "0." + "1" * 30, "0." + "1" * 31, "1" * 5000, "179769313486231580793728971405301.0",
    "true", "True", "TRUE", "t", "y", "yes", "YES", "on", "off", "no", "n", "f", "false", "False", "2", "null", "None",
]  # fmt: skip
INTEGERS = st.integers(-(10**20), 10**20) | st.integers(-5, 5)
TEXTS = (
    st.sampled_from(EDGES)
    | INTEGERS.map(str)
    | st.floats(width=64).map(repr)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str)
    | st.text("0123456789.-+e_ ", max_size=24)
    | st.text(max_size=3)
)
# Decided difference: a bound that JSON has no number for is a refusal, and no error of the server.
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-3, 3) | st.integers(-(10**30), 10**30)


@st.composite
def parameters(draw: st.DrawFn) -> tuple[Any, str, dict[str, Any], Any]:
    """A type, a marker with options, and a default."""
    kind = draw(st.sampled_from([int, int, float, bool, str]))
    bounds = {int: INTEGERS | st.integers(-(10**30), 10**30), float: NUMBERS}.get(kind, st.nothing())
    options = draw(st.dictionaries(st.sampled_from(BOUNDS), bounds, max_size=2)) if kind in (int, float) else {}
    marker = draw(st.sampled_from(["Query", "Header", "Cookie", "Path", "Form"]))
    if marker == "Path":
        return kind, marker, options, ...
    annotation = draw(st.sampled_from([kind, kind | None]))
    return annotation, marker, options, draw(st.sampled_from([..., None, 3]))


def built(framework: str, parameter: tuple[Any, str, dict[str, Any], Any], received: list[str]) -> Any:
    annotation, marker, options, default = parameter
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI(openapi_url=None)
    value = getattr(fastapi, marker)(*(() if default is ... else (default,)), **options)
    value_of_any_default: Any = value

    async def endpoint(value: annotation = value_of_any_default) -> str:
        received.append(repr(value))
        return "received"

    app.add_api_route("/{value:path}" if marker == "Path" else "/", endpoint, methods=["POST"])
    return app


def scope_of(marker: str, text: str) -> tuple[dict[str, Any], bytes]:
    """A request that carries the text at its place."""
    if marker == "Query":
        return http_scope("/", "POST", query=f"value={quote(text)}".encode()), b""
    if marker == "Path":
        return http_scope("/" + text, "POST"), b""
    if marker == "Form":
        headers = [(b"content-type", b"application/x-www-form-urlencoded")]
        return http_scope("/", "POST", headers=headers), f"value={quote(text)}".encode()
    raw = text.encode("latin-1", "replace")
    header = (b"value", raw) if marker == "Header" else (b"cookie", b"value=" + raw)
    return http_scope("/", "POST", headers=[header]), b""


def answers(app: Any, marker: str, texts: list[str], received: list[str]) -> list[tuple[Answer, list[str]]]:
    async def all_of_them() -> list[tuple[Answer, list[str]]]:
        found = []
        for text in texts:
            received.clear()
            scope, body = scope_of(marker, text)
            found.append((await ask(app, scope, body), received.copy()))
        return found

    return asyncio.run(all_of_them())


@given(parameters(), st.lists(TEXTS, min_size=1, max_size=6))
@example((int, "Query", {}, ...), EDGES)
@example((int | None, "Header", {"ge": 0, "le": 10}, None), EDGES)
@example((int, "Path", {"gt": -(10**18), "lt": 10**18}, ...), EDGES)
@example((int, "Query", {"ge": 3, "le": 2}, ...), EDGES)
@example((float, "Query", {}, ...), EDGES)
@example((float, "Cookie", {"gt": 0, "lt": 0.30000000000000004}, ...), EDGES)
@example((float, "Form", {"ge": -0.0, "le": 10**30}, ...), EDGES)
@example((bool, "Query", {}, ...), EDGES)
@example((bool | None, "Form", {}, None), EDGES)
@example((str, "Path", {}, ...), EDGES)
@example((str | None, "Form", {}, "absent"), EDGES)
def test_text_is_read_as_pydantic_reads_it(parameter: tuple[Any, str, dict[str, Any], Any], texts: list[str]) -> None:
    marker = parameter[1]
    # Decided difference: a newline at the end of a path is a part of it.
    texts = [text for text in texts if marker != "Path" or "\n" not in text]
    found = []
    for framework, reads in (("ferroapi", True), ("ferroapi", False), ("fastapi", True)):
        received: list[str] = []
        hidden = nullcontext() if reads else mock.patch.object(stand_ins, "scalar_of", return_value=None)
        with hidden:
            found.append(answers(built(framework, parameter, received), marker, texts, received))
    for text, native, validated, theirs in zip(texts, *found, strict=True):
        assert native == validated, text
        assert native == theirs, text


@pytest.mark.parametrize(
    ("annotation", "options", "expected"),
    [
        (str, {}, Scalar.text()),
        (str | None, {"default": None}, Scalar.text()),
        (bool, {"default": True, "validate_default": True}, Scalar.truth()),
        (int, {}, Scalar.integer(-(10**18) + 1, 10**18 - 1)),
        (int | None, {"default": 1, "ge": 0, "lt": 5, "title": "A title"}, Scalar.integer(0, 4)),
        (int, {"le": 10**30, "gt": -(10**30)}, Scalar.integer(-(10**18) + 1, 10**18 - 1)),
        (int, {"ge": 10**30}, None),
        (int, {"ge": 1.0}, None),
        (int, {"ge": True}, None),
        (int, {"multiple_of": 2}, None),
        (int, {"strict": True}, None),
        (StrictInt, {}, None),
        (StrictInt | None, {"default": None}, None),
        (Annotated[int, AfterValidator(abs)], {}, None),
        (NewType("Number", int), {}, Scalar.integer(-(10**18) + 1, 10**18 - 1)),
        (int | str, {}, None),
        (float, {"ge": 0, "allow_inf_nan": False}, Scalar.number(0.0, math.nextafter(math.inf, 0))),
        (float, {"gt": 0, "le": 1.5}, Scalar.number(5e-324, 1.5)),
        (float, {"gt": math.inf}, Scalar.number(math.inf, math.nextafter(math.inf, 0))),
        (float, {"le": math.nan}, None),
        (float, {"multiple_of": 0.5}, None),
        (str, {"max_length": 3}, None),
        (str, {"pattern": "a"}, None),
        (list[int], {}, None),
    ],
)
def test_text_is_read_only_where_the_schema_says_no_more(
    annotation: Any, options: dict[str, Any], expected: Scalar | None
) -> None:
    default = options.pop("default", ...)
    info = FieldInfo.from_annotated_attribute(annotation, importlib.import_module("ferroapi").Query(default, **options))
    assert scalar_of(ModelField(field_info=info, name="value")) == expected


def test_text_is_not_read_with_a_configuration_or_a_plugin_that_watches() -> None:
    info = FieldInfo(annotation=int)
    assert scalar_of(ModelField(field_info=info, name="value", config=ConfigDict(strict=True))) is None

    class Watched:
        def validate_python(self, value: Any) -> Any:
            return value

    field = ModelField(field_info=info, name="value")
    assert scalar_of(field) is not None
    field._type_adapter.validator = Watched()  # type: ignore[assignment]
    assert scalar_of(field) is None


@pytest.mark.parametrize("annotation", [int, str])
def test_replaced_validate_is_called(monkeypatch: pytest.MonkeyPatch, annotation: Any) -> None:
    def validate(self: ModelField, value: Any, values: Any = None, *, loc: Any = ()) -> Any:
        return f"seen {value}", []

    found = []
    for framework in ("fastapi", "ferroapi"):
        received: list[str] = []
        app = built(framework, (annotation, "Query", {}, ...), received)
        answers(app, "Query", ["1"], received)
        monkeypatch.setattr(f"{framework}._compat.ModelField.validate", validate)
        found.append(answers(app, "Query", ["1"], received))
    assert found[0] == found[1]
    assert found[0][0][1] == ["'seen 1'"]
