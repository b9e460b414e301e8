"""`ferroapi.encoders` against FastAPI's, value by value and error by error."""

import dataclasses
import datetime
import enum
import ipaddress
import pathlib
import re
import uuid
import warnings
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import fastapi.encoders as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretBytes, SecretStr
from pydantic.networks import AnyUrl, NameEmail
from pydantic_core import PydanticUndefined, Url

from ferroapi import encoders
from ferroapi.encoders import jsonable_encoder
from ferroapi.exceptions import PydanticV1NotSupportedError


class Colour(enum.Enum):
    RED = "red"
    NONE = None


class Level(enum.IntEnum):
    LOW = 1


class Item(BaseModel):
    name: str = Field(default="n", alias="itemName")
    price: Decimal | None = None
    tags: set[str] = set()


@dataclasses.dataclass
class Point:
    x: Any
    _sa_state: Any = None


class Pairs:
    def __iter__(self) -> Any:
        yield "a", {1}
        yield "b", None


class Attributes:
    def __init__(self) -> None:
        self.a = b"x"
        self._sa_instance_state = object


class Slots:
    __slots__ = ("a",)


class MyBytes(bytes):
    def decode(self, *args: Any, **kwargs: Any) -> str:
        return "decoded by the subclass"


class MyDate(datetime.date):
    pass


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.ip_addresses(),
    st.sampled_from([*Colour, *Level, PydanticUndefined, pathlib.PurePosixPath("/a"), re.compile("a+")]),
    st.sampled_from([SecretStr("s"), SecretBytes(b"s"), Url("http://a/"), AnyUrl("http://b/"), Item(), Pairs()]),
)
HASHABLE = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.sampled_from(["_sa_x", "a", "b", Colour.RED]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(deque),
        st.sets(HASHABLE, max_size=3),
        st.dictionaries(HASHABLE, inner, max_size=4),
        inner.map(Point),
        st.builds(
            Item,
            itemName=st.text(max_size=3),
            price=st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=2),
        ),
    ),
    max_leaves=8,
)
NAMES = st.none() | st.sets(st.sampled_from(["a", "b", "x", "name"])) | st.just(["a", "x"]) | st.just({"a": True})
FLAGS = ("by_alias", "exclude_unset", "exclude_defaults", "exclude_none", "sqlalchemy_safe")
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(FLAGS, st.booleans()),
        "include": NAMES,
        "exclude": NAMES,
        "custom_encoder": st.sampled_from([None, {}, {str: len}, {int: repr}, {object: id}, {dict: list, Item: str}]),
    },
)


def outcome(encode: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        result = encode(*args, **kwargs)
    except Exception as error:
        return type(error).__name__, str(error), type(error.__cause__)
    return repr(result)  # 1, 1.0 and True are equal, but not on the wire


@given(VALUES, OPTIONS)
def test_encoder_equals_reference(value: Any, options: dict[str, Any]) -> None:
    assert outcome(jsonable_encoder, value, **options) == outcome(reference.jsonable_encoder, value, **options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: (number for number in [1, b"x"]),
        lambda: frozenset({1}),
        lambda: MyBytes(b"x"),
        lambda: b"\xff",
        lambda: MyDate(2020, 1, 2),
        lambda: pathlib.PureWindowsPath("a\\b"),
        lambda: ipaddress.ip_network("10.0.0.0/8"),
        lambda: NameEmail("n", "n@example.com"),
        lambda: Decimal("NaN"),
        lambda: Decimal("1E+2"),
        lambda: uuid.UUID(int=1),
        lambda: Attributes(),
        lambda: Pairs(),
        lambda: Slots(),
        lambda: object(),
        lambda: {(1, 2): 3},
        lambda: Point,
        lambda: Item,
        lambda: 3j,
    ],
)
def test_encoder_special_value_equals_reference(make: Callable[[], Any]) -> None:
    ours, theirs = outcome(jsonable_encoder, make()), outcome(reference.jsonable_encoder, make())
    if isinstance(theirs, tuple):  # messages may name the object by its address
        ours, theirs = (ours[0], ours[2]), (theirs[0], theirs[2])
    assert ours == theirs


def test_encoder_custom_encoder_prefers_exact_type_over_earlier_base() -> None:
    encode = {int: lambda value: "int", bool: lambda value: "bool"}
    assert jsonable_encoder([1, True], custom_encoder=encode) == ["int", "bool"]


def test_encoder_custom_encoder_is_not_used_inside_models() -> None:
    assert jsonable_encoder(Item(), custom_encoder={str: len})["itemName"] == "n"


def test_encoder_uses_encoders_added_to_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoders.ENCODERS_BY_TYPE, Slots, lambda value: "added")
    assert jsonable_encoder({"a": Slots()}) == {"a": "added"}


def test_encoder_refuses_pydantic_v1_model() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydantic import v1

        class Old(v1.BaseModel):
            a: int = 1

    with pytest.raises(PydanticV1NotSupportedError, match=r"^pydantic\.v1 models are no longer supported by FastAPI\."):
        jsonable_encoder([Old()])


def test_encoder_gives_up_at_the_depth_of_the_reference() -> None:
    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value] if depth % 2 else {"a": value}
        return value

    def deepest(encode: Callable[[Any], Any]) -> int:
        low, high = 1, 5000
        while low + 1 < high:
            middle = (low + high) // 2
            try:
                encode(nested(middle))
            except RecursionError:
                high = middle
            else:
                low = middle
        return low

    assert abs(deepest(jsonable_encoder) - deepest(reference.jsonable_encoder)) <= 3


def test_encoder_tables_equal_reference() -> None:
    assert [*encoders.ENCODERS_BY_TYPE] == [*reference.ENCODERS_BY_TYPE]
    assert [*encoders.encoders_by_class_tuples.values()] == [*reference.encoders_by_class_tuples.values()]
    assert encoders.generate_encoders_by_class_tuples({int: str, float: repr, bool: str}) == {
        str: (int, bool),
        repr: (float,),
    }
