"""Hypothesis strategies: applications of every kind that can be built, and requests for them, good and bad."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st
from pydantic import AliasChoices
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse

from .applications import (
    BODIES,
    PARAMETER_MODELS,
    REQUIRED,
    RESULTS,
    SCALARS,
    SEQUENCES,
    Application,
    Color,
    Dependence,
    Function,
    Operation,
    Parameter,
    Request,
    Special,
)


def now_and_then(draw: st.DrawFn, *, times: int) -> bool:
    """Draw true once in so many times. (Hypothesis likes the ends of a range, so it is not an end.)"""
    return draw(st.sampled_from([False] * (times - 1) + [True]))


_TEXTS = [
    "",
    "0",
    "1",
    "-1",
    "7",
    "+1",
    "007",
    " 3 ",
    "1.5",
    "1e3",
    "1_000",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "true",
    "off",
    "YES",
    "red",
    "green",
    "a",
    "b",
    "null",
    "None",
    "x y",
    "é",
    "\u2028",
    "9" * 25,
    "1.0",
    "2024-01-02",
    "2024-01-02T03:04:05Z",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "bytes,more",
    "a\tb",
]
TEXTS = st.sampled_from(_TEXTS)
_NAMES = ["a", "b", "c", "limit", "item", "some_name", "tags"]

_DEFAULTS: dict[str, list[Any]] = {
    "str": ["text"],
    "int": [3],
    "float": [2.5],
    "bool": [True],
    "decimal": [Decimal("1.5")],
    "enum": [Color.blue],
    "literal": ["a"],
    "int or none": [None, 4],
    "str or none": [None],
    "int or str": ["5"],
    "any": [None],
    "list of int": [[1, 2]],
    "list of str": [[]],
    "list of str or none": [None],
    "set of str": [{"z"}],
    "item or none": [None],
    "filters": [],
}
_CONSTRAINTS: dict[str, list[tuple[str, Any]]] = {
    "int": [("ge", 1), ("lt", 5), ("multiple_of", 2)],
    "float": [("gt", 0), ("le", 10), ("allow_inf_nan", False)],
    "str": [("min_length", 1), ("max_length", 3), ("pattern", "^[a-z]+$")],
    "list of str": [("min_length", 1), ("max_length", 2)],
    "decimal": [("max_digits", 3), ("decimal_places", 1)],
}


@st.composite
def parameters(draw: st.DrawFn, name: str, *, in_path: bool = False, allow_body: bool = True) -> Parameter:
    """A parameter of a given name from any source of a request."""
    if in_path:
        type_ = draw(st.sampled_from(SCALARS))
        options = draw(_constraints(type_))
        return Parameter(
            name, draw(st.sampled_from(["path", "path", "bare"])) if not options else "path", type_, options=options
        )
    sources = ["query", "query", "bare", "header", "cookie", *(["body", "body", "form"] if allow_body else [])]
    source = draw(st.sampled_from(sources))
    if source in ("query", "header"):
        type_ = draw(st.sampled_from([*SCALARS, *SEQUENCES, *PARAMETER_MODELS]))
    elif source in ("cookie", "form"):
        type_ = draw(st.sampled_from([*SCALARS, *PARAMETER_MODELS, *(SEQUENCES if source == "form" else [])]))
    elif source == "body":
        type_ = draw(st.sampled_from([*BODIES, *BODIES, *SCALARS, *SEQUENCES]))
    else:
        type_ = draw(st.sampled_from([*SCALARS, *(BODIES if allow_body else [])]))
    default: Any = REQUIRED
    if type_ in _DEFAULTS and _DEFAULTS[type_] and draw(st.booleans()):
        default = draw(st.sampled_from(_DEFAULTS[type_]))
    if source == "bare":
        return Parameter(name, source, type_, default)
    options = draw(_constraints(type_)) + draw(_aliases(source))
    if source == "body" and draw(st.booleans()):
        options += (("embed", True),)
    if default != REQUIRED and now_and_then(draw, times=6):
        options += (("validate_default", True),)
    return Parameter(name, source, type_, default, options)


@st.composite
def _constraints(draw: st.DrawFn, type_: str) -> tuple[tuple[str, Any], ...]:
    known = _CONSTRAINTS.get(type_, [])
    if not known or not now_and_then(draw, times=3):
        return ()
    return (draw(st.sampled_from(known)),)


@st.composite
def _aliases(draw: st.DrawFn, source: str) -> tuple[tuple[str, Any], ...]:
    kind = draw(st.sampled_from(["", "", "", "", "alias", "validation", "choices", "plain"]))
    if kind == "alias":
        return (("alias", "the-alias"),)
    if kind == "validation":
        return (("validation_alias", "theValidation"),)
    if kind == "choices":
        return (("validation_alias", AliasChoices("first", "second")),)
    if kind == "plain" and source == "header":
        return (("convert_underscores", False),)
    return ()


@st.composite
def functions(
    draw: st.DrawFn, name: str, kinds: list[str], known: int, path_names: list[str], *, simple: bool
) -> Function:
    """A function that takes up to three parameters, and dependencies of those that are known."""
    names = draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=3))
    allow_body = not name.startswith("dependency") or now_and_then(draw, times=4)
    taken: list[Any] = [draw(parameters(each, allow_body=allow_body)) for each in names]
    taken += [draw(parameters(each, in_path=True)) for each in path_names if draw(st.booleans())]
    if known:
        for place in range(draw(st.integers(0, 2))):
            taken.append(
                Dependence(
                    f"needs_{place}",
                    draw(st.integers(0, known - 1)),
                    use_cache=draw(st.sampled_from([True, True, False])),
                    scope=draw(st.sampled_from([None, None, "function", "request"])),
                    scopes=draw(st.sampled_from([None, None, ("read",), ("read", "write")])),
                )
            )
    kinds_of_special = ["request", "connection", "response", "background", "scopes"]
    for kind in (
        draw(st.lists(st.sampled_from(kinds_of_special), unique=True, max_size=2)) if draw(st.booleans()) else []
    ):
        taken.append(Special(f"the_{kind}", kind))
    does = "returns"
    if not simple and now_and_then(draw, times=3):
        does = draw(
            st.sampled_from(
                [
                    "raises http",
                    "raises value",
                    "raises custom",
                    "raises validation",
                    "status",
                    "background",
                    "suspends",
                    "reads",
                    "swallows",
                    "transforms",
                    "after: raises http",
                    "after: raises value",
                    "after: raises custom",
                ]
            )
        )
    return Function(name, draw(st.sampled_from(kinds)), tuple(draw(st.permutations(taken))), does)


_DEPENDENCY_KINDS = ["async", "sync", "class", "async callable", "async generator", "generator"]
_PATHS = ["/plain", "/of/{p}", "/of/{p:int}", "/in/{p}/{q}", "/deep/{p:path}", "/f/{p:float}", "/u/{p:uuid}"]
_RESPONSE_OPTIONS: list[tuple[tuple[str, Any], ...]] = [
    (),
    (),
    (("status_code", 201),),
    (("status_code", 204),),
    (("status_code", 205),),
    (("status_code", 304),),
    (("response_class", PlainTextResponse),),
    (("response_class", HTMLResponse),),
    (("response_class", JSONResponse),),
    (("response_model", None),),
]
_RESPONSE_MODELS = ["item", "aliased", "list of items", "dict", "point", "any", "str", "item or none"]
_MODEL_OPTIONS: list[tuple[tuple[str, Any], ...]] = [
    (),
    (),
    (("response_model_exclude_unset", True),),
    (("response_model_exclude_defaults", True),),
    (("response_model_exclude_none", True),),
    (("response_model_include", {"name"}),),
    (("response_model_exclude", {"price"}),),
    (("response_model_by_alias", False),),
    (("status_code", 201), ("response_class", JSONResponse)),
]


@st.composite
def operations(draw: st.DrawFn, number: int, known: int, *, simple: bool) -> Operation:
    path = draw(st.sampled_from(_PATHS)) + (f"/{number}" if draw(st.booleans()) else "")
    path_names = [part[1:].split(":")[0].split("}")[0] for part in path.split("/") if part.startswith("{")]
    endpoint = draw(functions(f"endpoint_{number}", ["async", "sync"], known, path_names, simple=simple))
    options: tuple[tuple[str, Any], ...] = ()
    if not simple:
        options = draw(st.sampled_from(_RESPONSE_OPTIONS))
        endpoint = replace(endpoint, result=draw(st.sampled_from([*["values"] * 6, *RESULTS])))
        if draw(st.booleans()):
            model = draw(
                st.sampled_from(["item", "aliased", "list of items", "dict", "point", "any", "str", "item or none"])
            )
            options = (("response_model", model), *draw(st.sampled_from(_MODEL_OPTIONS)))
    method = draw(st.sampled_from(["GET", "POST", "POST", "PUT", "DELETE", "HEAD"]))
    dependencies = draw(st.lists(st.integers(0, known - 1), max_size=2)) if known else []
    return Operation(path, method, endpoint, options, tuple(dependencies))


_SCHEMES = ["bearer", "basic", "key", "key cookie", "key query", "password"]


@st.composite
def applications(draw: st.DrawFn, *, simple: bool = False) -> Application:
    """A whole application. A simple one has no generators, routers, handlers or middleware, and raises nothing."""
    kinds = [kind for kind in _DEPENDENCY_KINDS if not simple or "generator" not in kind]
    dependencies: list[Function] = []
    for number in range(draw(st.integers(0, 4))):
        if now_and_then(draw, times=5):
            does = draw(st.sampled_from(["returns", "returns empty"]))
            dependencies.append(
                Function(f"dependency_{number}", "scheme", does=does, result=draw(st.sampled_from(_SCHEMES)))
            )
        else:
            dependencies.append(draw(functions(f"dependency_{number}", kinds, number, [], simple=simple)))
    known = len(dependencies)
    described = Application(
        tuple(draw(operations(number, known, simple=simple)) for number in range(draw(st.integers(1, 3)))),
        tuple(dependencies),
    )
    if simple:
        return described
    kinds_of_handler = ["custom", "value", "http", "status 404", "validation", "any"]
    overrides: tuple[tuple[int, int], ...] = ()
    if known > 1 and now_and_then(draw, times=6):
        # An earlier dependency takes the place of a later one, since a circle would never end.
        later = draw(st.integers(1, known - 1))
        overrides = ((later, draw(st.integers(0, later - 1))),)
    return replace(
        described,
        overrides=overrides,
        prefixes=draw(st.sampled_from([(), (), ("/in",), ("/{outer}", "/b")])),
        router_dependencies=tuple(draw(st.lists(st.integers(0, known - 1), max_size=1))) if known else (),
        handlers=tuple(draw(st.lists(st.sampled_from(kinds_of_handler), unique=True, max_size=2))),
        middleware=draw(st.sampled_from([None, None, None, "asgi", "http"])),
        mounted=now_and_then(draw, times=6),
    )


_JSON_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-3, 10), st.just(10**30), st.just(2.5), TEXTS)
_KNOWN_VALUES: list[Any] = [
    {"name": "n", "price": 3},
    {"name": "n", "tags": ["t", 1]},
    {"number": 1, "flag": True},
    {"number": "1", "extra": 1},
    {"itemName": "i", "n": 2},
    {"item_name": "i", "count": "x"},
    {"item": {"name": "n"}, "others": {"k": {"name": "o"}}, "when": "2024-01-02T03:04:05"},
    {"item": {"name": 1}, "others": {"k": {}}},
    {"x": 1, "y": "2"},
    {"1": 2, "2": "x"},
    [{"name": "n"}, {"name": 2}],
    ["a", "b"],
    [1, "x"],
    {},
    [],
]
_VALID_TEXTS: dict[str, list[str]] = {
    "str": ["abc", "a", "é"],
    "int": ["2", "4", "-1"],
    "float": ["2.5", "1e3", "4"],
    "bool": ["true", "off", "1"],
    "decimal": ["1.5", "10"],
    "uuid": ["3f2504e0-4f89-41d3-9a0c-0305e82c3301"],
    "datetime": ["2024-01-02T03:04:05Z", "1700000000"],
    "date": ["2024-01-02"],
    "enum": ["red", "blue"],
    "literal": ["a", "b"],
}
_VALID_JSON: dict[str, list[Any]] = {
    "item": [{"name": "n", "price": 3}, {"name": "m", "tags": ["t"], "extra": 1}],
    "aliased": [{"itemName": "i", "n": 2}, {"item_name": "j"}],
    "strict": [{"number": 1, "flag": True}],
    "nested": [{"item": {"name": "n"}, "others": {"k": {"name": "o"}}, "when": "2024-01-02T03:04:05"}],
    "dict": [{"any": [1, None, "é"]}],
    "dict of int": [{"a": 1, "b": "2"}],
    "dict by int": [{"1": 2, "-3": "2.5"}],
    "bytes": ["text"],
    "point": [{"x": 1, "y": "2"}],
    "list of items": [[], [{"name": "n"}]],
    "list of int": [[1, "2"]],
    "tuple": [[1, "a"]],
}


def valid_texts(type_: str) -> list[str]:
    """Texts that a parameter of a type takes."""
    return _VALID_TEXTS.get(type_.removesuffix(" or none").removeprefix("list of "), ["4", "abc"])


def valid_json(type_: str) -> list[Any]:
    """JSON values that a body of a type takes."""
    known = _VALID_JSON.get(type_.removesuffix(" or none").removesuffix(" or strict"))
    texts = valid_texts(type_)
    return known or [texts, texts[:1]] if "of" in type_ else known or list(texts)


JSON_VALUES = st.one_of(
    st.sampled_from(_KNOWN_VALUES),
    st.recursive(
        _JSON_LEAVES,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["name", "price", "number", "item", "x", "tags", "1"]), inner, max_size=3)
        ),
        max_leaves=5,
    ),
)
_BROKEN_JSON = [
    b"{",
    b'{"name": }',
    b'"\\ud800"',
    b"\xff\xfe{",
    b"nul",
    b"[1,]",
    b"1 2",
    b" ",
    b"\xef\xbb\xbf{}",
    b'{"a": "\xff"}',
]
_CONTENT_TYPES = [
    b"application/json",
    b"application/json; charset=utf-8",
    b"APPLICATION/JSON",
    b"application/vnd.api+json",
    b"text/plain",
    b"application/x-www-form-urlencoded",
    b"",
    b"application/json/x",
    b"json",
    b"application/geo+json-seq",
]


def names_of(parameter: Parameter) -> list[str]:
    """The names under which a client may send a parameter."""
    options = dict(parameter.options)
    names = [options.get("alias", parameter.name)]
    validation = options.get("validation_alias")
    if isinstance(validation, AliasChoices):
        names = [str(each) for each in validation.choices]
    elif validation:
        names = [validation]
    if parameter.type in PARAMETER_MODELS:
        names += ["limit", "order_by", "order-by", "tags", "token", "pageSize", "page_size", "extra"]
    if parameter.source == "header":
        names += [each.replace("_", "-") for each in names]
    return names


@st.composite
def requests(draw: st.DrawFn, description: Application) -> Request:
    """A request for an operation of the application, mostly one that it understands."""
    operation = draw(st.sampled_from(description.operations))
    path = "".join(description.prefixes).replace("{outer}", "out") + operation.path
    sent = reachable_parameters(description, operation)
    path = draw(_filled(path, sent))
    if description.mounted:
        path = "/mounted" + path
    method = operation.method
    if now_and_then(draw, times=15):
        method = draw(st.sampled_from(["GET", "POST", "OPTIONS", "HEAD", "get"]))
    headers = [(name.lower().encode(), value.encode()) for name, value in draw(_pairs(sent, "header"))]
    cookies = [*draw(_pairs(sent, "cookie")), ("session", "s")]
    if draw(st.booleans()):
        quoted = draw(st.booleans())
        text = "; ".join(f'{name}="{value}"' if quoted else f"{name}={value}" for name, value in cookies)
        headers.append((b"cookie", text.encode()))
    if draw(st.booleans()):
        authorization = [
            "Bearer t",
            "Bearer t",
            "Basic dTpw",
            "Basic dTpw",
            "Basic x",
            "bearer",
            "Basic dTpwOnE=",
            "Digest z",
        ]
        headers.append((b"authorization", draw(st.sampled_from(authorization)).encode()))
    if draw(st.booleans()):
        headers.append((b"x-key", b"k"))
    query = draw(_urlencoded(sent, "query")) + draw(st.sampled_from([b"", b"&key=k"]))
    content, content_type = draw(_content(sent))
    if content_type is not None:
        headers.append((b"content-type", content_type))
    cut = draw(st.integers(0, len(content)))
    chunks = (content,) if draw(st.booleans()) else (content[:cut], content[cut:])
    return Request(method, path, query, tuple(headers), chunks)


def reachable_parameters(description: Application, operation: Operation) -> list[Parameter]:
    """The parameters of an operation and of all dependencies around and below it."""
    found: list[Parameter] = []
    waiting = [
        operation.endpoint,
        *(description.dependencies[number] for number in (*operation.dependencies, *description.router_dependencies)),
    ]
    seen: set[str] = set()
    while waiting:
        function = waiting.pop()
        if function.name not in seen:
            seen.add(function.name)
            found += [each for each in function.parameters if isinstance(each, Parameter)]
            needed = [each.number for each in function.parameters if isinstance(each, Dependence)]
            waiting += [description.dependencies[number] for number in needed]
    return found


_AUTHORIZATIONS = [
    b"Bearer t",
    b"Bearer t",
    b"Basic dTpw",
    b"Basic dTpw",
    b"Basic x",
    b"bearer",
    b"Basic dTpwOnE=",
    b"Digest z",
]
_SEGMENTS = ["1", "x", "a%20b", "-3", "1.5", "%C3%A9", "%ff", "%zz", "red", "007", "%2F", "a%0Ab"]
_CONVERTED = {
    "int": ["1", "4", "12345678901234567890123"],
    "float": ["1", "2.50"],
    "uuid": ["3f2504e0-4f89-41d3-9a0c-0305e82c3301"],
    "path": ["a/b", "", "/x//", "1"],
}


@st.composite
def _filled(draw: st.DrawFn, path: str, sent: list[Parameter]) -> str:
    types = {each.name: each.type for each in sent}
    parts = []
    for part in path.split("/"):
        name, _, convertor = part.strip("{}").partition(":")
        if not part.startswith("{"):
            parts.append(part)
        elif now_and_then(draw, times=8):
            parts.append(draw(st.sampled_from(_SEGMENTS)))
        else:
            valid = _CONVERTED.get(convertor) or valid_texts(types.get(name, "str"))
            parts.append(quote(draw(st.sampled_from(valid)), safe="/" if convertor == "path" else ""))
    return "/".join(parts) + ("/" if now_and_then(draw, times=20) else "")


@st.composite
def _pairs(draw: st.DrawFn, sent: list[Parameter], source: str) -> list[tuple[str, str]]:
    sources = {source, "bare"} if source == "query" else {source}
    names = [(name, each) for each in sent if each.source in sources for name in names_of(each)]
    pairs = []
    for name, parameter in names:
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 1, 0, 2]))):
            valid = not now_and_then(draw, times=8)
            text = draw(st.sampled_from(valid_texts(parameter.type)) if valid else TEXTS)
            if source == "query" or not {"\u2028", "\t"} & set(text):
                pairs.append((name, text))
    if now_and_then(draw, times=8):
        pairs.append(("unknown", draw(st.sampled_from(["", "1"]))))
    return pairs


@st.composite
def _urlencoded(draw: st.DrawFn, sent: list[Parameter], source: str) -> bytes:
    pairs = draw(_pairs(sent, source))
    text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    broken = ["&&", "&=", "&a", "&a=%", "&a=%zz", "&b=%ff%fe", ";c=1", "&a=1=2", "&a%20b=1", "&a=\xe9"]
    if now_and_then(draw, times=6):
        text += draw(st.sampled_from(broken))
    return text.encode("latin-1", "replace")


@st.composite
def _content(draw: st.DrawFn, sent: list[Parameter]) -> tuple[bytes, bytes | None]:
    bodies = [
        each for each in sent if each.source in ("body", "form") or (each.source == "bare" and each.type in BODIES)
    ]
    if not bodies and not now_and_then(draw, times=5):
        return b"", None
    if any(each.source == "form" for each in bodies) and not now_and_then(draw, times=6):
        return draw(_urlencoded(sent, "form")), b"application/x-www-form-urlencoded"
    kind = draw(st.sampled_from(["whole", "whole", "whole", "embedded", "embedded", "embedded", "broken", "empty"]))
    if kind == "empty":
        return b"", draw(st.sampled_from([None, b"application/json"]))
    content_type = (
        draw(st.sampled_from([None, *_CONTENT_TYPES])) if now_and_then(draw, times=6) else b"application/json"
    )
    if kind == "broken":
        return draw(st.sampled_from(_BROKEN_JSON)), content_type
    value = draw(_json_for(bodies[0]) if bodies else JSON_VALUES)
    if kind == "embedded" or len(bodies) > 1:
        named = [(name, each) for each in bodies for name in names_of(each)]
        value = {name: draw(_json_for(each)) for name, each in named if not now_and_then(draw, times=12)}
    return json.dumps(value, ensure_ascii=draw(st.booleans())).encode(), content_type


@st.composite
def _json_for(draw: st.DrawFn, parameter: Parameter) -> Any:
    return draw(JSON_VALUES if now_and_then(draw, times=6) else st.sampled_from(valid_json(parameter.type)))
