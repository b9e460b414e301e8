"""Compiled response models against pydantic's own validation and `to_json`, on the same values.

A serializer may always decline; what it writes must be pydantic's bytes, of values about which pydantic does not warn.
"""

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import struct
import types
import uuid
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    SecretStr,
    TypeAdapter,
    ValidationError,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, core_schema
from typing_extensions import TypedDict

from ferroapi import FastAPI, _core
from ferroapi._compat import ModelField
from ferroapi._models import model_serializer as serializers
from ferroapi.testclient import TestClient


class Colour(enum.Enum):
    RED = "red"
    TWO = 2
    YES = True
    NONE = None


class Size(str, enum.Enum):  # noqa: UP042 # the form that FastAPI's documentation has
    SMALL = "s"
    LARGE = 'l"'


class Rank(enum.IntEnum):
    LOW = 1


class Inner(BaseModel):
    number: int
    text: str | None = None


class Plain(BaseModel):
    """Every type that is known."""

    model_config = ConfigDict(title="A title", populate_by_name=True)

    text: str
    number: int = Field(default=1, alias="theNumber")
    real: float = 0.5
    flag: bool = True
    nothing: None = None
    maybe: str | None = None
    moment: datetime.datetime = datetime.datetime(2024, 1, 2, 3, 4, 5)
    day: datetime.date = datetime.date(2024, 1, 2)
    clock: datetime.time = datetime.time(1, 2, 3)
    key: uuid.UUID = uuid.UUID(int=5)
    amount: decimal.Decimal = decimal.Decimal("1.50")
    raw: bytes = b"raw"
    colour: Colour = Colour.RED
    size: Size = Size.LARGE
    rank: Rank = Rank.LOW
    word: Literal["a", "b", 3] = "a"
    inner: Inner | None = None
    again: list[Inner] = []
    names: dict[str, list[int]] = {}
    numbered: dict[int, str] = {}
    pair: tuple[int, str] = (1, "a")
    many: tuple[int, ...] = ()
    anything: Any = None
    secret: str = Field(default="secret", exclude=True)


def field_of(annotation: Any, config: ConfigDict | None = None) -> ModelField:
    return ModelField(field_info=FieldInfo(annotation=annotation), name="response", mode="serialization", config=config)


def serializer_of(annotation: Any, **options: Any) -> _core.ModelSerializer | None:
    return serializers.model_serializer(field_of(annotation), {"by_alias": True, **options})


Adapter = TypeAdapter[Any]


def compare(annotation: Any, value: Any, **options: Any) -> tuple[bool, bool]:
    """Return whether the serializer took the value as it is, and once it was validated; assert that it did rightly."""
    field = field_of(annotation)
    options = {"by_alias": True, **options}
    serializer = serializers.model_serializer(field, options)
    assert serializer is not None
    validator = field._type_adapter
    received = serializer.receive(value)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            validated = validator.validate_python(value, from_attributes=True)
        except ValidationError:
            assert received is None
            return False, False
        written = serializer.write(validated)
        try:
            expected = validator.dump_json(validated, **options)
        except PydanticSerializationError:
            assert received is None and written is None
            return False, False
    for got in (received, written):
        if got is not None:
            assert got == expected
            assert not caught
    return received is not None, written is not None


scalars = {
    str: st.text(),
    int: st.integers(-(2**70), 2**70),
    float: st.floats() | st.binary(min_size=8, max_size=8).map(lambda bits: struct.unpack("<d", bits)[0]),
    bool: st.booleans(),
    datetime.datetime: st.datetimes(
        timezones=st.none()
        | st.just(datetime.UTC)
        | st.timedeltas(datetime.timedelta(hours=-23), datetime.timedelta(hours=23)).map(datetime.timezone)
        | st.sampled_from([ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns"), ZoneInfo("UTC")])
    ),
    datetime.date: st.dates(),
    datetime.time: st.times(timezones=st.none() | st.just(datetime.UTC)),
    uuid.UUID: st.uuids(),
    decimal.Decimal: st.decimals().filter(lambda number: not number.is_snan()),
    bytes: st.binary() | st.text().map(str.encode),
    Colour: st.sampled_from(Colour),
    Size: st.sampled_from(Size),
    Rank: st.sampled_from(Rank),
    Literal["a", 3]: st.sampled_from(["a", 3]),
    type(None): st.none(),
    Any: st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
}
odd = st.one_of(*scalars.values(), st.just([1]), st.just({}), st.just({"a": 1}), st.just("1"), st.just(()))

Typed = tuple[Any, st.SearchStrategy[Any]]


def generic(origin: Any, *arguments: Any) -> Any:
    return origin[arguments if len(arguments) > 1 else arguments[0]]


def containers(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def listed(typed: Typed) -> Typed:
        return generic(list, typed[0]), st.lists(typed[1], max_size=3)

    def mapped(typed: Typed) -> Typed:
        return generic(dict, str, typed[0]), st.dictionaries(st.text(max_size=4), typed[1], max_size=3)

    def numbered(typed: Typed) -> Typed:
        return generic(dict, int, typed[0]), st.dictionaries(st.integers(), typed[1], max_size=3)

    def optional(typed: Typed) -> Typed:
        return typed[0] | None if typed[0] is not Any else Any, typed[1] | st.none()

    def repeated(typed: Typed) -> Typed:
        return generic(tuple, typed[0], ...), st.lists(typed[1], max_size=3).map(tuple)

    simple = st.one_of(*(inner.map(make) for make in (listed, mapped, numbered, optional, repeated)))
    return simple | st.lists(inner, min_size=1, max_size=4).flatmap(models)


_NAMES = ("alpha", "beta", "gamma", "delta")


def models(typed: list[Typed]) -> st.SearchStrategy[Typed]:
    """A model with these fields, and its instances: whole, with values of wrong types, or of a subclass."""

    def build(aliased: list[bool]) -> Typed:
        fields: dict[str, Any] = {
            name: (each[0], Field(alias=f'{name}"é') if alias else ...)
            for name, each, alias in zip(_NAMES, typed, aliased, strict=False)
        }
        model = create_model("Made", **fields)
        extended = create_model("Extended", __base__=model, more=(int, 1))

        def instance(drawn: tuple[str, list[Any], dict[str, Any]]) -> Any:
            how, values, wrong = drawn
            named = dict(zip(_NAMES, values, strict=False))
            if how == "instance":
                return model.model_construct(**named)
            if how == "wrong":
                return model.model_construct(**{**named, **{name: wrong[name] for name in named if name in wrong}})
            if how == "subclass":
                return extended.model_construct(**named)
            if how == "reordered":
                return model.model_construct(None, **dict(reversed(named.items())))
            if how == "object":
                return type("Row", (), {})() if not named else _row(model, named)
            return {field.alias or name: named[name] for name, field in model.model_fields.items()}

        values = st.tuples(*(each[1] for each in typed[: len(_NAMES)])).map(list)
        how = st.sampled_from(["instance", "instance", "dict", "object", "wrong", "subclass", "reordered"])
        wrong = st.dictionaries(st.sampled_from(_NAMES), odd, max_size=1)
        return model, st.tuples(how, values, wrong).map(instance)

    return st.lists(st.booleans(), min_size=len(typed), max_size=len(typed)).map(build)


def _row(model: type[BaseModel], named: dict[str, Any]) -> Any:
    row = type("Row", (), {})()
    for name, field in model.model_fields.items():
        setattr(row, field.alias or name, named[name])
    return row


typed_values = st.recursive(st.sampled_from(list(scalars.items())), containers, max_leaves=6).flatmap(
    lambda typed: st.tuples(st.just(typed[0]), typed[1])
)


@given(typed_values)
def test_shape_of_any_type_writes_as_pydantic(typed: tuple[Any, Any]) -> None:
    compare(*typed)
    compare(*typed, by_alias=False, exclude_none=True)


@given(st.sampled_from(list(scalars)), odd)
def test_shape_of_a_scalar_declines_what_pydantic_converts(annotation: Any, value: Any) -> None:
    compare(annotation, value)
    made = create_model("Made", field=(annotation, ...))
    compare(made, made.model_construct(field=value))
    compare(made, {"field": value})


@given(scalars[float])
def test_shape_writes_floats_as_pydantic(number: float) -> None:
    assert compare(float, number) == (True, True)


@given(scalars[str])
def test_shape_writes_texts_as_pydantic(text: str) -> None:
    assert compare(str, text) == (True, True)


@given(st.integers(-(2**63), 2**63 - 1))
def test_shape_writes_whole_numbers_as_pydantic(number: int) -> None:
    assert compare(int, number) == (True, True)


PLAIN_VALUES: dict[str, Any] = {
    "defaults": {"text": "a"},
    "all": {
        "text": 'é"\\\n\x1f\x7f',
        "number": -5,
        "real": 1e16,
        "maybe": "b",
        "moment": datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))),
        "clock": datetime.time(1, 2, 3, 45),
        "inner": Inner(number=3),
        "again": [Inner(number=4, text="x"), Inner(number=5)],
        "names": {"a": [1, 2], 'b"': []},
        "numbered": {1: "a", -2: "b"},
        "many": (1, 2, 3),
        "anything": {"a": [1, None, {"b": 1.5}]},
    },
}


@pytest.mark.parametrize("values", PLAIN_VALUES.values(), ids=list(PLAIN_VALUES))
@pytest.mark.parametrize("options", [{}, {"by_alias": False}, {"exclude_none": True}], ids=str)
def test_shape_takes_every_plain_type(values: dict[str, Any], options: dict[str, Any]) -> None:
    instance = Plain(**values)

    assert compare(Plain, instance, **options) == (True, True)
    assert compare(list[Plain], [instance] * 2, **options) == (True, True)
    assert compare(dict[str, Plain | None], {"a": instance, "b": None}, **options) == (True, True)
    assert compare(Plain, dict(instance.__dict__), **options) == (True, True)


def test_shape_takes_a_validated_set() -> None:
    assert compare(set[int], {1, 2, 99, 7}) == (False, True)
    assert compare(frozenset[str], frozenset({"a", "b"})) == (False, True)


class Row:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    content: T


class Labelled(BaseModel, Generic[T]):
    content: T = Field(alias="label")


class Backwards(list[Any]):
    """A list that says something else than what is in it."""

    def __iter__(self) -> Any:
        return reversed(self)

    def __len__(self) -> int:
        return 1


class Checked(BaseModel):
    """Values that have to be validated before they are known to be right."""

    number: Annotated[int, Field(gt=0)]
    mail: EmailStr = "a@example.com"
    text: Annotated[str, BeforeValidator(str.strip)] = "a"

    @field_validator("number")
    @classmethod
    def _once_more(cls, value: int) -> int:
        return value + 1

    @model_validator(mode="before")
    @classmethod
    def _as_it_is(cls, value: Any) -> Any:
        return value


class Afterwards(BaseModel):
    number: int

    @model_validator(mode="after")
    def _count(self) -> "Afterwards":
        self.number += 1
        return self


class Chosen(BaseModel):
    one: str = Field(validation_alias=AliasChoices("a", "b"))
    two: str = Field(validation_alias=AliasPath("c", 0))


class Initialized(BaseModel):
    number: int
    _hidden: int = PrivateAttr(default=1)


class Made(BaseModel):
    number: int

    def __new__(cls, *args: Any, **keywords: Any) -> "Made":
        return super().__new__(cls)


class Hidden(BaseModel):
    number: int
    secret: SecretStr = Field(exclude=True)


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid", str_to_upper=True)
    text: str


class Revalidating(BaseModel):
    model_config = ConfigDict(revalidate_instances="always")
    number: Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    number: int


class MoreStrict(Strict):
    more: int = 1


@pytest.mark.parametrize(
    ("annotation", "value", "taken"),
    [
        (Box[Inner], Box[Inner](content=Inner(number=1)), (True, True)),
        (Box[int], {"content": 1}, (True, True)),
        (Box[int], Row(content=1), (False, True)),
        (Labelled[int], Labelled(label=1), (False, False)),
        (Labelled[int], Labelled[int](label=1), (True, True)),
        (list[int], Backwards([1, 2]), (True, True)),
        (Checked, Checked(number=1), (True, True)),
        (Checked, {"number": 1}, (False, True)),
        (Checked, {"number": 0}, (False, False)),
        (Chosen, Chosen.model_validate({"a": "1", "c": ["2"]}), (True, True)),
        (Chosen, {"a": "1", "c": ["2"]}, (False, True)),
        (Initialized, Initialized(number=1), (True, True)),
        (Initialized, {"number": 1}, (False, True)),
        (Made, Made(number=1), (True, True)),
        (Made, {"number": 1}, (False, True)),
        (Hidden, Hidden(number=1, secret=SecretStr("x")), (True, True)),
        (Hidden, {"number": 1, "secret": "x"}, (False, True)),
        (Forbidding, Forbidding(text="a"), (True, True)),
        (Forbidding, {"text": "a"}, (False, True)),
        (Forbidding, {"text": "a", "more": 1}, (False, False)),
        (Revalidating, Revalidating.model_construct(number=0), (False, False)),
        (Revalidating, Revalidating(number=1), (False, True)),
        (Strict, Strict(number=1), (False, True)),
        (Strict, MoreStrict(number=1), (False, True)),
        (Inner, {"number": 1, "more": 2}, (True, True)),
        (Inner, {"number": "1"}, (False, True)),
        (Inner, {}, (False, False)),
        (Inner, None, (False, False)),
        (Annotated[list[int], Field(min_length=2)], [1, 2], (False, True)),
        (Annotated[list[int], Field(min_length=2)], [1], (False, False)),
        (Annotated[int, AfterValidator(abs)], -1, (False, True)),
        (list[int], (1, 2), (False, True)),
        (list[int], collections.deque([1]), (False, True)),
        (list[Inner], (Inner(number=each) for each in range(2)), (False, False)),
        (dict[str, int], collections.OrderedDict(a=1), (False, True)),
        (dict[Size, int], {Size.SMALL: 1}, (False, False)),
        (tuple[int, str], (1,), (False, False)),
        (tuple[()], (), (True, True)),
        (list, [1, "a"], (True, True)),
        (dict, {"a": [1]}, (True, True)),
        (decimal.Decimal, decimal.Decimal("NaN"), (False, False)),
        (decimal.Decimal, decimal.Decimal("1E+5"), (True, True)),
        (bytes, b"\xff", (False, False)),
        (str, "\ud800", (False, False)),
        (int, 2**63, (False, False)),
        (int, True, (False, True)),
        (Any, {"a": float("inf")}, (False, False)),
        (Any, {1: 2}, (False, False)),
        (Any, Inner(number=1), (False, False)),
        (float, 1, (False, True)),
    ],
)
def test_shape_takes_what_validation_leaves_as_it_is(annotation: Any, value: Any, taken: tuple[bool, bool]) -> None:
    if isinstance(value, types.GeneratorType):
        serializer = serializer_of(annotation)
        assert serializer is not None and serializer.receive(value) is None
        assert len(list(value)) == 2, "a generator was used up"
        return
    assert compare(annotation, value) == taken


def test_shape_leaves_a_model_with_an_outer_validator_to_validation() -> None:
    serializer = serializer_of(Afterwards)
    assert serializer is not None

    assert serializer.receive(Afterwards(number=1)) is None
    assert serializer.write(Afterwards(number=1)) == b'{"number":2}'


def test_shape_of_any_leaves_a_value_within_itself_to_pydantic() -> None:
    serializer = serializer_of(Any)
    assert serializer is not None
    endless: list[Any] = []
    endless.append(endless)

    assert serializer.receive(endless) is None
    assert serializer.receive({"a": endless}) is None


class Recursive(BaseModel):
    inner: "Recursive | None" = None


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    number: int = 1


class Computed(BaseModel):
    number: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.number * 2


class FieldWriter(BaseModel):
    number: int

    @field_serializer("number")
    def _write(self, number: int) -> str:
        return str(number)


class ModelWriter(BaseModel):
    number: int

    @model_serializer
    def _write(self) -> str:
        return str(self.number)


class ConstantNaN(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    number: float


class ExcludedIf(BaseModel):
    number: int = Field(exclude_if=lambda number: number == 1)


class Record(TypedDict):
    number: int


@dataclasses.dataclass
class Data:
    number: int


class Pair(NamedTuple):
    number: int


class Oversized(enum.Enum):
    LARGE = 2**64


class Tupled(enum.Enum):
    PAIR = (1, 2)


class Valued(enum.Enum):
    ONE = 1

    @property
    def value(self) -> int:
        return 5


class Varied:
    """Marks a tuple whose first items are of a type of their own."""

    def __get_pydantic_core_schema__(self, *_: Any) -> core_schema.CoreSchema:
        items: list[core_schema.CoreSchema] = [core_schema.int_schema(), core_schema.str_schema()]
        return core_schema.tuple_schema(items, variadic_item_index=1)


class Wrapped:
    """Marks a model that is made of something else than its fields."""

    def __get_pydantic_core_schema__(self, *_: Any) -> core_schema.CoreSchema:
        return core_schema.model_schema(Inner, core_schema.any_schema())


def deep() -> Any:
    annotation: Any = int
    for _ in range(100):
        annotation = list[annotation]
    return annotation


@pytest.mark.parametrize(
    "annotation",
    [
        *(
            Recursive,
            Extra,
            Computed,
            FieldWriter,
            ModelWriter,
            ConstantNaN,
            ExcludedIf,
            Record,
            Data,
            Pair,
            RootModel[int],
        ),
        *(
            Oversized,
            Tupled,
            Valued,
            SecretStr,
            datetime.timedelta,
            int | str,
            type[int],
            Annotated[Any, Varied()],
            Annotated[Any, Wrapped()],
        ),
        *(Annotated[int, PlainSerializer(str)], Literal[Size.SMALL], Literal[2**64], complex, list[Extra]),
        create_model("Wide", **{f"f{index}": (int, 1) for index in range(3000)}),  # type: ignore[call-overload]
        deep(),
    ],
    ids=lambda annotation: getattr(annotation, "__name__", repr(annotation)[:40]),
)
def test_shape_is_none_where_only_pydantic_knows(annotation: Any) -> None:
    assert serializer_of(annotation) is None


@pytest.mark.parametrize("option", ["exclude_unset", "exclude_defaults", "include", "exclude"])
def test_shape_is_none_for_options_that_look_at_the_instance(option: str) -> None:
    assert serializer_of(Inner, **{option: True}) is None


def test_shape_is_none_where_a_plugin_watches_or_a_field_has_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    field = field_of(Inner)
    adapter = field._type_adapter
    watched = types.SimpleNamespace(validate_python=lambda *_: None)
    stand_in = types.SimpleNamespace(validator=watched, serializer=adapter.serializer, core_schema=adapter.core_schema)
    monkeypatch.setitem(field.__dict__, "_type_adapter", stand_in)

    assert serializers.model_serializer(field, {"by_alias": True}) is None
    assert serializers.model_serializer(field_of(str, ConfigDict(str_to_upper=True)), {"by_alias": True}) is None


class Slotted:
    __slots__ = ("number", "text")

    def __init__(self) -> None:
        self.number, self.text = 1, "a"


class ByClass:
    number = 5
    text: str | None = None


class Lazy(Row):
    @functools.cached_property
    def text(self) -> str:
        raise AssertionError("was there already")


@dataclasses.dataclass
class InnerData:
    number: int = 1
    text: str | None = None


class Unrelated(BaseModel):
    text: str | None = None
    number: int = 1
    password: str = "secret"


class MoreInner(Inner):
    password: str = "secret"


def enumerated_row() -> Any:
    return Row(number=1, text=None, more=[1])


@pytest.mark.parametrize(
    "make",
    [
        *(enumerated_row, Slotted, ByClass, InnerData, Unrelated, lambda: MoreInner(number=1)),
        lambda: Lazy(number=1, text="a"),
        lambda: types.new_class("Metaclass", (Row,), {"metaclass": type("Meta", (type,), {})})(number=1, text=None),
    ],
)
def test_shape_reads_attributes_where_that_runs_no_code(make: Callable[[], Any]) -> None:
    assert compare(Inner, make()) == (True, True)
    assert compare(list[Inner], [make(), Inner(number=7), make()]) == (True, True)


class Counting:
    """Objects that notice being read."""

    reads: ClassVar[collections.Counter[str]] = collections.Counter()


class WithProperty(Counting):
    text = None

    @property
    def number(self) -> int:
        self.reads["number"] += 1
        return 1


class WithFallback(Counting):
    def __getattr__(self, name: str) -> Any:
        self.reads[name] += 1
        return {"number": 1, "text": None}[name]


class WithLookup(Counting):
    number, text = 1, None

    def __getattribute__(self, name: str) -> Any:
        Counting.reads[name] += name in ("number", "text")
        return super().__getattribute__(name)


class WithMask(Counting):
    number, text = 1, None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        self.reads["__class__"] += 1
        return Row


class WithData(Counting):
    number, text = 1, None

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        self.reads["__dict__"] += 1
        return {}


class Looked(Mapping[str, Any], Counting):
    number, text = 1, None

    def __getitem__(self, name: str) -> Any:
        self.reads[name] += 1
        return {"number": 2, "text": "mapped"}[name]

    def __iter__(self) -> Any:
        return iter(["number", "text"])

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize(
    "kind", [WithProperty, WithFallback, WithLookup, WithMask, WithData, Looked], ids=lambda kind: kind.__name__
)
def test_shape_does_not_touch_objects_that_would_notice(kind: type[Any]) -> None:
    serializer = serializer_of(list[Inner])
    assert serializer is not None
    value = kind()
    Counting.reads.clear()

    assert serializer.receive([value]) is None
    assert not +Counting.reads
    assert compare(list[Inner], [value]) == (False, True)


def test_shape_leaves_objects_without_an_attribute_to_pydantic() -> None:
    assert compare(Inner, Row(number=1)) == (False, True)
    assert compare(Inner, Row()) == (False, False)
    assert compare(Inner, 5) == (False, False)
    assert compare(Inner, (Row(number=1, text=None), {})) == (False, True)


def test_shape_leaves_objects_to_pydantic_where_a_name_stands_for_an_alias() -> None:
    assert compare(Plain, Row(**PLAIN_VALUES["all"])) == (False, True)


def test_shape_leaves_many_classes_to_pydantic() -> None:
    rows = [type(f"Row{index}", (Row,), {})(number=index, text=None) for index in range(20)]

    assert compare(list[Inner], rows[:10]) == (True, True)
    assert compare(list[Inner], rows) == (False, True)


def test_shape_reads_mapped_objects_of_sqlalchemy() -> None:
    orm = pytest.importorskip("sqlalchemy.orm")
    base = type("Base", (orm.DeclarativeBase,), {})
    columns: dict[str, Any] = {
        "__tablename__": "inner",
        "__annotations__": {"number": orm.Mapped[int], "text": orm.Mapped[str | None]},
        "number": orm.mapped_column(primary_key=True),
    }
    mapped = type("Mapped", (base,), columns)

    rows = [mapped(number=1, text="a"), mapped(number=2, text=None)]
    assert compare(list[Inner], rows) == (True, True)
    assert compare(list[Inner], orm.collections.InstrumentedList(rows)) == (True, True)
    assert compare(Inner, mapped(number=1)) == (False, True)


def test_shape_reads_tables_of_sqlmodel() -> None:
    sqlmodel = pytest.importorskip("sqlmodel")

    class Base(sqlmodel.SQLModel):  # type: ignore[misc, name-defined]
        number: int
        text: str | None = None

    class Table(Base, table=True):  # type: ignore[call-arg]
        id: int | None = sqlmodel.Field(default=None, primary_key=True)

    class Public(Base):
        id: int

    assert compare(list[Public], [Table(number=1, id=2), Table(number=3, text="x", id=4)]) == (True, True)
    assert compare(Public, Table(number=1)) == (False, False)


STR = _core.JsonType.plain(_core.PlainType.STR, identity=True)


@pytest.mark.parametrize("kind", ["NULLABLE", "LIST", "SET", "FROZENSET", "TUPLES", "DICT"])
@pytest.mark.parametrize("count", range(4))
def test_container_has_the_types_that_it_needs(kind: str, count: int) -> None:
    def make() -> _core.JsonType:
        return _core.JsonType.container(getattr(_core.ContainerType, kind), [STR] * count, identity=True)

    if count == (2 if kind == "DICT" else 1):
        assert make().identity
    else:
        with pytest.raises(ValueError, match="types inside"):
            make()


def test_choices_are_plain_values() -> None:
    with pytest.raises(ValueError, match="a literal is"):
        _core.JsonType.literal([1.5], identity=True)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="a choice is"):
        _core.JsonType.enumeration([(1, [])], identity=True)


def test_shape_answers_requests() -> None:
    app = FastAPI()
    results: list[Any] = [
        *([Inner(number=1)], [{"number": 1}], [Row(number=1, text="a")], [{"number": "1"}]),
        [Inner(number=1).model_copy(update={"number": 1.5})],
    ]

    @app.get("/{index}", response_model=list[Inner])
    async def read(index: int) -> Any:
        return results[index]

    client = TestClient(app)
    expected = [b'[{"number":1,"text":null}]'] * 2 + [b'[{"number":1,"text":"a"}]', b'[{"number":1,"text":null}]']
    assert [client.get(f"/{index}").content for index in range(4)] == expected
    with pytest.warns(UserWarning, match="Pydantic serializer warnings"):
        assert client.get("/4").content == b'[{"number":1.5,"text":null}]'
