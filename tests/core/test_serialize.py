"""The JSON encoder against FastAPI's own two passes, run in the same process.

`reference` is `json.dumps(jsonable_encoder(value))` as the default response calls it.
"""

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import json
import math
import pathlib
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.encoders import jsonable_encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, RootModel, SecretBytes, SecretStr, field_serializer
from pydantic_core import PydanticUndefined
from starlette.responses import JSONResponse

from ferroapi import encoders
from ferroapi._core import encode_json


def reference(value: Any) -> bytes:
    """Return the bytes FastAPI answers with."""
    return bytes(JSONResponse(jsonable_encoder(value)).body)


def outcome(encode: Callable[[Any], bytes], value: Any) -> bytes | tuple[type[BaseException], str]:
    """Return the bytes, or the type and text of the exception."""
    try:
        return encode(value)
    except Exception as error:
        return type(error), str(error)


def assert_same(make: Callable[[], Any]) -> None:
    """Compare both encoders on a value made afresh for each, since generators are used up."""
    assert outcome(encode_json, make()) == outcome(reference, make())


class Colour(enum.Enum):
    RED = "red"
    PAIR = ("a", 1)
    DAY = datetime.date(2024, 1, 2)
    NESTED = {"_sa_kept": [1, None]}  # noqa: RUF012 # an enum member
    KEY = "key"
    HIDDEN = "_sa_key"
    NAN = math.nan


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    HELLO = "hello"


class Text(str):
    def __str__(self) -> str:
        return "not this"

    def __repr__(self) -> str:
        return "nor this"


class Whole(int):
    def __str__(self) -> str:
        return "not this"

    __repr__ = __str__

    def __index__(self) -> int:
        return 99


class Real(float):
    def __repr__(self) -> str:
        return "not this"


class Attributes:
    a: Any

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Pairs:
    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter([("a", 1), ("b", 2)])


class KeysAndItems(dict[Any, Any]):
    def keys(self) -> Any:
        return ["a", "c"]

    def items(self) -> Any:
        return [("a", 1), ["b", 2], ("c", (3,))]


class BadItems(dict[Any, Any]):
    def __init__(self, *pairs: Any) -> None:
        self.pairs = pairs

    def keys(self) -> Any:
        return ["a"]

    def items(self) -> Any:
        return list(self.pairs)


class Slotted:
    __slots__ = ("a",)


class Proxy:
    """Claims the class of the value it stands for, as lazy proxies do."""

    def __init__(self, value: Any) -> None:
        object.__setattr__(self, "value", value)

    def __getattribute__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "value"), name)

    def __iter__(self) -> Any:
        return iter(object.__getattribute__(self, "value"))


class Inner(BaseModel):
    when: datetime.datetime
    amount: decimal.Decimal
    raw: bytes = b"x"


class Outer(BaseModel):
    model_config = ConfigDict(extra="allow")

    inner: Inner
    alias: int = Field(1, serialization_alias="otherName")
    ratio: float = 1e16
    hidden: int = Field(1, serialization_alias="_sa_hidden")


class Custom(BaseModel):
    value: Any

    @field_serializer("value", when_used="unless-none")
    def dump_value(self, value: Any) -> Any:
        return {"_sa_dropped": 1, "kept": value}


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 2


@dataclasses.dataclass(frozen=True)
class FrozenPoint:
    x: int = 1


class Named(collections.namedtuple("Named", "a b")):
    pass


class Stamp(datetime.datetime):
    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return "a stamp"


class Zone(datetime.tzinfo):
    """A time zone that answers any offset."""

    def __init__(self, offset: Any) -> None:
        self.offset = offset

    def utcoffset(self, moment: Any) -> Any:
        return self.offset

    def dst(self, moment: Any) -> None:
        return None

    def tzname(self, moment: Any) -> str:
        return "zone"


def zone(**offset: float) -> Zone:
    """Return a time zone at an offset."""
    return Zone(datetime.timedelta(**offset))


MOMENT = datetime.datetime(2024, 2, 29, 1, 2, 3, 4)
UUID = uuid.UUID("00000000-0000-00ff-1234-123456789abc")

VALUES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "booleans": lambda: [True, False],
    "integers": lambda: [0, -1, 2**63 - 1, -(2**63), 2**63, 10**400, -(10**30)],
    "integer digits": lambda: 10**5000,
    "floats": lambda: [
        0.0,
        -0.0,
        1.0,
        1e15,
        1e16,
        1e17,
        123456789012345680.0,
        1e-4,
        1e-5,
        5e-324,
        1.7976931348623157e308,
        0.1,
    ],
    "nan": lambda: {"a": [math.nan]},
    "infinity": lambda: -math.inf,
    "later error first": lambda: [math.nan, Slotted()],
    "first of two": lambda: [math.inf, math.nan],
    "text": lambda: ["", 'a"b\\c/\b\f\n\r\t\x00\x1f\x7f', "é\u2028😀"],
    "surrogate": lambda: {"é": ["a", "x\ud800y"]},
    "surrogate key": lambda: {"\udc00": 1},
    "surrogate and nan": lambda: ["\ud800", math.nan],
    "containers": lambda: [[], {}, (), {"a": {}}, [[1], (2, [3])], set(), frozenset({1}), collections.deque([1, [2]])],
    "set": lambda: {1},
    "generator": lambda: (item for item in [1, "a", [2]]),
    "generator fails": lambda: (1 // item for item in [1, 0]),
    "named tuple": lambda: Named(1, [2]),
    "list subclass": lambda: type("Items", (list,), {"__iter__": lambda self: iter([7])})([1]),
    "range": lambda: range(3),
    "mapping proxy": lambda: type("", (), {"a": 1}).__dict__.copy() | {"__dict__": None, "__weakref__": None},
    "keys": lambda: {1: 1, 1.5: 2, None: 3, False: 4, "a": 5, 2**70: 6},
    "hidden keys": lambda: {"_sa_instance_state": object, "_s": 1, Text("_sa"): object, "a_sa": 2},
    "only hidden keys": lambda: [{"_sa": 1}],
    "subclass keys": lambda: {Text("a"): 1, Whole(7): 2, Real(1.5): 3},
    "integer and text keys": lambda: {1: "a", "1": "b"},
    "nan key": lambda: {math.nan: 1},
    "tuple key": lambda: {(1, 2): 1},
    "bytes key": lambda: {b"a": 1, "b": 2},
    "uuid key": lambda: {UUID: UUID},
    "date key": lambda: {MOMENT: 1, MOMENT.date(): 2},
    "enum key": lambda: {Colour.RED: 1, Word.HELLO: 2, Level.LOW: 3},
    "enum tuple key": lambda: {Colour.PAIR: 1},
    "enum hidden key": lambda: {Colour.HIDDEN: 1},
    "dataclass key": lambda: {FrozenPoint(): 1},
    "range key": lambda: {frozenset(): 1},
    "bad key and nan": lambda: {"a": math.nan, Colour.PAIR: 1},
    "equal keys, plain first": lambda: {"a": 0, "key": 1, "z": [{"x": "}"}], Colour.KEY: [2], "end": 3},
    "equal keys, plain last": lambda: {Colour.KEY: [1], "a": 0, "key": {"b": 2}},
    "equal keys, number": lambda: {1: "a", Level.LOW: "b", "x": {Colour.RED: 1, "red": 2}},
    "equal keys, lost nan": lambda: {Colour.KEY: math.nan, "key": 1},
    "equal keys, lost surrogate": lambda: {Colour.KEY: "\ud800", "key": 1},
    "equal keys, kept nan": lambda: {"x": math.nan, Colour.KEY: 2, "key": 1},
    "equal keys, escapes": lambda: {'q"\\': 'v"\\,:{', "_sa": 0, "key": ["]", {"}": "\\"}], Colour.KEY: 5},
    "equal keys nested": lambda: [{Colour.KEY: {Colour.KEY: 1, "key": [2]}, "key": {"k": {Colour.KEY: 3}}}, 4],
    "ordered": lambda: collections.OrderedDict(b=1, a=2),
    "moved to end": lambda: moved_to_end(),
    "counter": lambda: collections.Counter("aab"),
    "default dict": lambda: collections.defaultdict(list, {"a": [1]}),
    "dict subclass": lambda: KeysAndItems(),
    "dict subclass, one in a pair": lambda: BadItems(("a",)),
    "dict subclass, three in a pair": lambda: BadItems(("a", 1, 2)),
    "dict subclass, three in a list": lambda: BadItems(["a", 1, 2]),
    "dict subclass, three keys": lambda: BadItems({"a": 1, "b": 2, "c": 3}),
    "dict subclass, three letters": lambda: BadItems("abc"),
    "dict subclass, three in an iterator": lambda: BadItems(iter(["a", 1, 2])),
    "dict subclass, more in a subclass of tuple": lambda: BadItems(time.gmtime(0)),
    "dict subclass, no pair": lambda: BadItems(1),
    "enums": lambda: [Colour.RED, Colour.PAIR, Colour.NESTED, Level.LOW, Word.HELLO],
    "enum of a date": lambda: {"a": Colour.DAY},
    "enum of nan": lambda: Colour.NAN,
    "scalar subclasses": lambda: [Text("a\n"), Whole(5), Whole(2**80), Real(1e20)],
    "path": lambda: [pathlib.PurePosixPath("/a/b"), pathlib.Path("c"), pathlib.PureWindowsPath("c:/x")],
    "undefined": lambda: [PydanticUndefined],
    "datetimes": lambda: [MOMENT, MOMENT.replace(microsecond=0), datetime.datetime.min, datetime.datetime.max],
    "aware": lambda: [
        MOMENT.replace(tzinfo=tzinfo)
        for tzinfo in (
            datetime.UTC,
            ZoneInfo("Europe/Paris"),
            Zone(None),
            zone(hours=-5, minutes=-30),
            zone(seconds=-1),
            zone(hours=23, minutes=59, seconds=59, microseconds=999999),
            zone(microseconds=-1),
            zone(hours=0),
        )
    ],
    "broken offset": lambda: MOMENT.replace(tzinfo=Zone("soon")),
    "dates": lambda: [datetime.date.min, datetime.date.max, MOMENT.date()],
    "times": lambda: [
        MOMENT.time(),
        datetime.time(),
        datetime.time(1, tzinfo=zone(hours=1)),
        datetime.time(23, 59, 59, 999999),
    ],
    "datetime subclass": lambda: Stamp(2024, 1, 1),
    "durations": lambda: [
        datetime.timedelta(0),
        datetime.timedelta(days=-1, microseconds=1),
        datetime.timedelta.min,
        datetime.timedelta.max,
        datetime.timedelta(days=100000, microseconds=7),
    ],
    "uuid": lambda: UUID,
    "decimals": lambda: [
        decimal.Decimal(text)
        for text in (
            "1",
            "-0",
            "0",
            "1.0",
            "-0.00",
            "1E+3",
            "1E-7",
            "0E-7",
            "1.10",
            "007",
            "12345678901234567890.123",
            "9" * 401,
        )
    ],
    "decimal nan": lambda: decimal.Decimal("NaN"),
    "decimal signalling nan": lambda: decimal.Decimal("sNaN"),
    "decimal infinity": lambda: decimal.Decimal("-Infinity"),
    "decimal too large": lambda: decimal.Decimal("1" * 310 + ".5"),
    "bytes": lambda: [b"", 'é"'.encode()],
    "bytes not utf-8": lambda: b"a\xff",
    "bytearray": lambda: bytearray(b"ab"),
    "pattern": lambda: re.compile("a+"),
    "addresses": lambda: [
        ipaddress.ip_address("::1"),
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_interface("10.0.0.1/8"),
    ],
    "secrets": lambda: [SecretStr("a"), SecretBytes(b"a")],
    "url": lambda: AnyUrl("http://example.com/a b"),
    "attributes": lambda: Attributes(a=1, _sa_instance_state=object, b=[Attributes(c=None)]),
    "pairs": lambda: Pairs(),
    "slots": lambda: Slotted(),
    "no attributes": lambda: object(),
    "complex": lambda: 1j,
    "class": lambda: Slotted,
    "dataclass class": lambda: Point,
    "not implemented": lambda: [NotImplemented],
    "proxies": lambda: [Proxy([1]), Proxy({"a": 1})],
    "proxy of text": lambda: [Proxy("a")],
    "model": lambda: Outer.model_validate({"inner": {"when": MOMENT, "amount": "1.50"}, "extra": [1]}),
    "models": lambda: [{"a": Inner(when=MOMENT, amount=decimal.Decimal(1)), "b": RootModel[list[int]]([1])}],
    "model with a serializer": lambda: Custom(value=1),
    "model with nan": lambda: Custom.model_construct(value=math.nan),
    "dataclass": lambda: Point(1, [Point("a", {"k": (1, {2})}), Inner(when=MOMENT, amount=decimal.Decimal(1))]),
    "dataclass with an enum": lambda: Point(Colour.RED, MOMENT),
    "dataclass with a field missing": lambda: Point.__new__(Point),
    "dataclass that cannot be copied": lambda: Point(threading.Lock()),
}


def moved_to_end() -> Any:
    """Return a mapping whose order only its own iterator knows."""
    ordered = collections.OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    return ordered


@pytest.mark.parametrize("name", VALUES)
def test_encode_json_as_upstream(name: str) -> None:
    assert_same(VALUES[name])


@pytest.mark.parametrize("name", VALUES)
def test_encode_json_as_upstream_inside_a_dict(name: str) -> None:
    assert_same(lambda: {"before": 1, "value": VALUES[name](), "after": [None]})


@pytest.mark.parametrize("name", VALUES)
def test_encode_json_as_upstream_under_changing_keys(name: str) -> None:
    assert_same(lambda: {"key": 1, Colour.KEY: VALUES[name](), UUID: 2})


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.datetimes(timezones=st.one_of(st.none(), st.timezones())),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(),
    st.binary(max_size=4),
    st.sampled_from(list(Colour)),
    st.sampled_from([Level.LOW, Word.HELLO, Text("a"), Whole(3), Real(2.5)]),
    st.ip_addresses(),
)
keys = st.one_of(
    st.text(max_size=2),
    st.sampled_from(["key", "red", "hello", "_sa", "_sa_key", "1", 1, True, 1.0, None]),
    st.sampled_from([Colour.KEY, Colour.RED, Colour.HIDDEN, Level.LOW, Word.HELLO, Text("key"), b"key", UUID]),
    st.integers(0, 2),
    st.floats(),
)
values = st.recursive(
    scalars,
    lambda children: st.one_of(
        st.lists(children),
        st.dictionaries(keys, children),
        st.dictionaries(keys, children).map(collections.OrderedDict),
        st.lists(children).map(tuple),
        st.lists(children).map(collections.deque),
        children.map(Point),
        children.map(lambda child: Attributes(a=child)),
        children.map(lambda child: Custom.model_construct(value=child)),
    ),
    max_leaves=20,
)


@given(values)
@settings(max_examples=max(500, settings().max_examples))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_encode_json_as_upstream_for_any_value(value: Any) -> None:
    assert_same(lambda: value)


leaves = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.text("xyz", max_size=40),
    st.integers(),
    st.integers(-20_000, 20_000),
    st.integers(-2_000_000, 2_000_000).map(lambda hundredths: hundredths / 100),
    st.floats(),
    st.booleans(),
    st.none(),
)
names = st.one_of(
    # What is kept of a key that comes again fits up to 28 characters.
    st.integers(24, 33).map(lambda length: "long_name"[: length % 9] + "n" * (length - length % 9)),
    st.sampled_from(["id", "name", "price", "in_stock", "é", 'a"b', "\ud800", "_sa", "_sa_id", 1, 2.5, None, True]),
    st.text(max_size=3),
)


@given(st.data())
@settings(max_examples=max(500, settings().max_examples))
def test_encode_json_as_upstream_for_rows_of_the_same_keys(data: st.DataObject) -> None:
    row = st.fixed_dictionaries(dict.fromkeys(data.draw(st.lists(names, max_size=40)), leaves))
    inner = st.one_of(leaves, row, st.lists(leaves, max_size=3), st.tuples(row))
    outer = st.fixed_dictionaries(dict.fromkeys(data.draw(st.lists(names, max_size=6)), inner))
    rows = data.draw(st.lists(st.one_of(outer, outer, row), max_size=6))
    assert_same(lambda: rows)
    assert_same(lambda: {"total": len(rows), "items": rows})


def test_encode_json_prints_short_texts_as_python() -> None:
    texts = ["x" * length for length in range(70)]
    texts += [
        f"{text[:place]}{mark}{text[place:]}"
        for text in texts
        for place in range(len(text))
        for mark in '"\\\x1f é\x7f'
    ]
    expected = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
    assert encode_json(texts) == expected
    assert encode_json(tuple(texts)) == expected
    for text in texts[:70:7] + texts[70::97]:
        assert encode_json({"a": text}) == b'{"a":' + encode_json(text) + b"}"
        assert json.loads(encode_json({"a": text})) == {"a": text}


def test_encode_json_prints_small_numbers_as_python() -> None:
    numbers = [*range(-10_100, 10_100), *(number / 100 for number in range(-1_010_000, 1_010_000, 7))]
    expected = json.dumps(numbers, separators=(",", ":")).encode()
    assert encode_json(numbers) == expected
    rows = [{"a": number} for number in numbers]
    assert encode_json(rows) == json.dumps(rows, separators=(",", ":")).encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=max(1000, settings().max_examples))
def test_encode_json_prints_floats_as_python(number: float) -> None:
    assert encode_json(number) == repr(number).encode()


@given(st.integers(-(10**17), 10**17), st.sampled_from([1, 10, 100, 1000]), st.integers(-1, 1))
@settings(max_examples=max(1000, settings().max_examples))
def test_encode_json_prints_decimals_and_their_neighbours_as_python(digits: int, scale: int, step: int) -> None:
    number = math.nextafter(digits / scale, step * math.inf) if step else digits / scale
    assert encode_json(number) == repr(number).encode()


def nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    """Return an empty list in `depth` levels of containers."""
    value: Any = []
    for _ in range(depth):
        value = wrap(value)
    return value


WRAPS = {
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "dict": lambda value: {"a": value},
    "changing keys": lambda value: {Colour.KEY: value},
    "ordered": lambda value: collections.OrderedDict(a=value),
    "deque": lambda value: collections.deque([value]),
    "attributes": lambda value: Attributes(a=value),
}


@pytest.mark.parametrize("name", WRAPS)
def test_encode_json_accepts_deep_values(name: str) -> None:
    value = nested(300, WRAPS[name])
    assert encode_json(value) == reference(value)


def test_encode_json_accepts_what_the_default_recursion_limit_does() -> None:
    assert encode_json(nested(998, WRAPS["list"])) == b"[" * 999 + b"]" * 999


def test_encode_json_follows_a_raised_recursion_limit() -> None:
    value = nested(1500, WRAPS["list"])
    limit = sys.getrecursionlimit()
    with pytest.raises(RecursionError):
        encode_json(value)
    sys.setrecursionlimit(5000)
    try:
        assert encode_json(value) == b"[" * 1501 + b"]" * 1501
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("name", WRAPS)
def test_encode_json_refuses_bottomless_values_on_a_small_stack(name: str) -> None:
    value = nested(100_000, WRAPS[name])
    errors: list[Exception] = []

    def encode() -> None:
        try:
            encode_json(value)
        except RecursionError as error:
            errors.append(error)

    size = threading.stack_size(128 * 1024)
    try:
        thread = threading.Thread(target=encode)
        thread.start()
    finally:
        threading.stack_size(size)
    thread.join()
    assert [str(error) for error in errors] == ["maximum recursion depth exceeded while encoding a response as JSON"]
    # Python itself would unravel the value recursively.
    while value:
        value = (
            value.a
            if isinstance(value, Attributes)
            else next(iter(value.values() if isinstance(value, dict) else value))
        )


def self_containing() -> Iterator[Any]:
    """Yield values that contain themselves."""
    array: list[Any] = []
    array.append(array)
    yield array
    mapping: dict[str, Any] = {}
    mapping["self"] = mapping
    yield mapping
    attributes = Attributes()
    attributes.self = attributes  # type: ignore[attr-defined]
    yield attributes
    yield [{"a": (mapping,)}]


@pytest.mark.parametrize("value", list(self_containing()), ids=["list", "dict", "attributes", "mixed"])
def test_encode_json_refuses_a_value_that_contains_itself(value: Any) -> None:
    with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
        encode_json(value)


def test_encode_json_refuses_a_model_that_stands_for_itself() -> None:
    class Stubborn(BaseModel):
        def model_dump(self, **options: Any) -> Any:
            return self

    with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
        encode_json(Stubborn())


class Meddler:
    """Runs code while its pairs are read."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        self.meddle = meddle

    def __iter__(self) -> Iterator[Any]:
        self.meddle()
        return iter([("x", 1)])


def meddled_dict(meddle: Callable[[dict[Any, Any]], object], **later: int) -> Any:
    """Return a dict that changes while its first value is encoded."""
    mapping: dict[Any, Any] = {}
    mapping["a"] = Meddler(lambda: meddle(mapping))
    mapping.update(later)
    return mapping


def meddled_list(meddle: Callable[[list[Any]], object], *later: Any) -> Any:
    """Return a list that changes while its first item is encoded."""
    items: list[Any] = []
    items += [Meddler(lambda: meddle(items)), *later]
    return items


MEDDLED = {
    "dict grows": lambda: meddled_dict(lambda mapping: mapping.update(z=1)),
    "dict grows, changing keys": lambda: meddled_dict(lambda mapping: mapping.update({Colour.KEY: 1}), b=1),
    "dict shrinks": lambda: meddled_dict(lambda mapping: mapping.pop("b"), b=1, c=2),
    "dict is emptied": lambda: meddled_dict(lambda mapping: mapping.clear(), b=1),
    "dict changes a value": lambda: meddled_dict(lambda mapping: mapping.update(b=2), b=1),
    "list grows": lambda: meddled_list(lambda items: items.extend([9] * (len(items) < 5)), 1),
    "list shrinks": lambda: meddled_list(lambda items: items.pop(), 1, 2),
    "list is emptied": lambda: meddled_list(lambda items: items.clear(), 1, 2),
}


@pytest.mark.parametrize("name", MEDDLED)
def test_encode_json_survives_changes_while_it_reads(name: str) -> None:
    assert_same(MEDDLED[name])


def test_encode_json_survives_keys_that_are_traded_while_it_reads() -> None:
    # FastAPI looks at a copy of the keys and leaves out the new one; here it is seen.
    value = meddled_dict(lambda mapping: (mapping.pop("c"), mapping.update(d=2)), b=1, c=2)
    assert encode_json(value) == b'{"a":{"x":1},"b":1,"d":2}'


@pytest.mark.parametrize("later", [{}, {"c": 3}, {"c": {}}])
def test_encode_json_refuses_a_key_more_after_the_last_one(later: dict[str, Any]) -> None:
    # FastAPI looks at a copy of the keys and leaves out the new one; here the dict has one entry too many.
    mapping: dict[str, Any] = {"b": 1}
    mapping["a"] = Meddler(lambda: (mapping.pop("b"), mapping.update(d=2)))
    mapping |= later
    with pytest.raises(RuntimeError, match="dictionary keys changed during iteration"):
        encode_json(mapping)


def test_encode_json_ends_where_the_last_value_writes_to_its_dict() -> None:
    mapping: dict[str, Any] = {"b": 1}
    mapping["a"] = Meddler(lambda: mapping.update(b=2))
    assert encode_json([mapping, mapping]) == b'[{"b":1,"a":{"x":1}},{"b":2,"a":{"x":1}}]'


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (datetime.datetime, MOMENT),
        (datetime.date, MOMENT.date()),
        (datetime.timedelta, datetime.timedelta(1)),
        (uuid.UUID, UUID),
        (decimal.Decimal, decimal.Decimal("1.5")),
        (bytes, b"a"),
        (Slotted, Slotted()),
    ],
)
def test_encode_json_honours_a_replaced_encoder(kind: type, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoders.ENCODERS_BY_TYPE, kind, lambda value: ["replaced"])
    assert encode_json({"a": value}) == b'{"a":["replaced"]}'
    assert encode_json([value]) == b'[["replaced"]]'


@pytest.fixture
def kept_encoders() -> Iterator[None]:
    """Put the encoders back in their order, which a key that comes back alone would lose."""
    kept = dict(encoders.ENCODERS_BY_TYPE)
    yield
    encoders.ENCODERS_BY_TYPE.clear()
    encoders.ENCODERS_BY_TYPE.update(kept)


@pytest.mark.usefixtures("kept_encoders")
def test_encode_json_honours_a_removed_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(encoders.ENCODERS_BY_TYPE, datetime.date)
    monkeypatch.setattr(encoders, "encoders_by_class_tuples", {lambda value: "grouped": (datetime.date,)})
    assert encode_json(MOMENT.date()) == b'"grouped"'


def test_encode_json_does_not_encode_what_an_encoder_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoders.ENCODERS_BY_TYPE, Slotted, lambda value: [MOMENT])
    # From Python 3.14 on a note follows, which says where in the value.
    with pytest.raises(TypeError, match=r"^Object of type datetime is not JSON serializable(\n|$)"):
        encode_json(Slotted())


def test_encode_json_refuses_pydantic_v1_models() -> None:
    v1 = pytest.importorskip("pydantic.v1")
    model = type("Old", (v1.BaseModel,), {})()
    with pytest.raises(Exception, match=r"pydantic\.v1 models are no longer supported by FastAPI") as error:
        encode_json([model])
    assert type(error.value).__name__ == "PydanticV1NotSupportedError"


def test_encode_json_passes_on_what_is_no_exception() -> None:
    class Interrupting:
        def __iter__(self) -> Iterator[Any]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_json([Interrupting()])


def test_encode_json_carries_both_errors_of_an_unreadable_value() -> None:
    with pytest.raises(ValueError, match="not iterable") as error:
        encode_json(object())
    first, second = error.value.args[0]
    assert isinstance(first, TypeError)
    assert isinstance(second, TypeError)
    assert error.value.__cause__ is second


def test_encode_json_is_the_same_in_many_threads() -> None:
    value = {"items": [{"id": number, Colour.KEY: [MOMENT, UUID, 1.5]} for number in range(50)]}
    expected = reference(value)
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(encode_json(value))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 10
    assert json.loads(expected)
