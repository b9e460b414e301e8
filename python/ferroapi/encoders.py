"""Any Python value to what `json.dumps` accepts: `jsonable_encoder`.

It is the reference the extension's serializer is compared with.
"""

import dataclasses
import datetime
import sys
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from operator import attrgetter, methodcaller
from pathlib import Path, PurePath
from re import Pattern
from types import GeneratorType, NoneType
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel
from pydantic.networks import AnyUrl, NameEmail
from pydantic.types import SecretBytes, SecretStr
from pydantic_core import PydanticUndefinedType

from ferroapi._compat import Url, is_pydantic_v1_model_instance
from ferroapi.exceptions import PydanticV1NotSupportedError
from ferroapi.types import IncEx

try:
    from pydantic.color import Color  # pyright: ignore[reportAssignmentType]
except ImportError:  # pragma: no cover # pydantic means to drop it

    class Color:  # type: ignore[no-redef]
        """Stands in where pydantic has no such class; nothing is an instance of it."""


try:
    from pydantic_extra_types.color import Color as PyExtraColor  # pyright: ignore[reportAssignmentType]
except ImportError:  # pragma: no cover # an optional package

    class PyExtraColor:  # type: ignore[no-redef]
        """Stands in where the optional package is missing; nothing is an instance of it."""


Encoder: TypeAlias = Callable[[Any], Any]


def isoformat(o: datetime.date | datetime.time) -> str:
    """Return a date or time in ISO 8601."""
    return o.isoformat()


def decimal_encoder(dec_value: Decimal) -> int | float:
    """Return a decimal as an integer where it is written without a fraction, else as a float.

    `Decimal("1")` stays `1`, so that it validates as an integer again; `Decimal("1.0")` and NaN become floats.

    Raises:
        ValueError: Python's own, for an integer of more digits than it prints. FastAPI makes it first, which takes half
            a minute for `Decimal("1E+999999")`, and fails when it is printed.
    """
    sign, digits, exponent = dec_value.as_tuple()
    if not isinstance(exponent, int) or exponent < 0:
        return float(dec_value)
    if not dec_value:
        return 0
    limit = sys.get_int_max_str_digits()
    if not limit:
        return int(dec_value)
    if len(digits) + exponent > limit:
        str(10**limit)
    # The shift is faster than Decimal's own way to an integer, by far.
    magnitude: int = int("".join(map(str, digits))) * 10**exponent
    return -magnitude if sign else magnitude


ENCODERS_BY_TYPE: dict[type[Any], Encoder] = {
    bytes: methodcaller("decode"),
    Color: str,
    PyExtraColor: str,
    datetime.date: isoformat,
    datetime.datetime: isoformat,
    datetime.time: isoformat,
    datetime.timedelta: methodcaller("total_seconds"),
    Decimal: decimal_encoder,
    Enum: attrgetter("value"),
    frozenset: list,
    deque: list,
    GeneratorType: list,
    IPv4Address: str,
    IPv4Interface: str,
    IPv4Network: str,
    IPv6Address: str,
    IPv6Interface: str,
    IPv6Network: str,
    NameEmail: str,
    Path: str,
    Pattern: attrgetter("pattern"),
    SecretBytes: str,
    SecretStr: str,
    set: list,
    UUID: str,
    Url: str,
    AnyUrl: str,
}
"""How a value of exactly this type is encoded. Applications add to it."""


def generate_encoders_by_class_tuples(type_encoder_map: Mapping[Any, Encoder]) -> dict[Encoder, tuple[Any, ...]]:
    """Group the types of a table by their encoder, for `isinstance` with a tuple."""
    grouped: dict[Encoder, tuple[Any, ...]] = {}
    for type_, encoder in type_encoder_map.items():
        grouped[encoder] = (*grouped.get(encoder, ()), type_)
    return grouped


encoders_by_class_tuples = generate_encoders_by_class_tuples(ENCODERS_BY_TYPE)
"""How a value of a subclass is encoded: the first entry that matches."""

_UNCHANGED_TYPES = (str, int, float, NoneType)
_UNCHANGED_EXACT_TYPES = frozenset({*_UNCHANGED_TYPES, bool})
_ARRAY_TYPES = (list, set, frozenset, GeneratorType, tuple, deque)


@dataclasses.dataclass(frozen=True, slots=True)
class _Options:
    """What holds for a whole value, however deep; `include` and `exclude` hold for one level and are not here."""

    by_alias: bool = True
    exclude_unset: bool = False
    exclude_defaults: bool = False
    exclude_none: bool = False
    custom_encoder: Mapping[Any, Encoder] = dataclasses.field(default_factory=dict)
    sqlalchemy_safe: bool = True
    given: tuple[str, ...] = (
        "by_alias",
        "exclude_unset",
        "exclude_defaults",
        "exclude_none",
        "custom_encoder",
        "sqlalchemy_safe",
    )
    """What the function that was put in this one's place is given of these."""

    def after_dump(self) -> "_Options":
        """Return what still holds for the output of `model_dump`, which has applied the rest."""
        return _Options(
            exclude_defaults=self.exclude_defaults,
            exclude_none=self.exclude_none,
            sqlalchemy_safe=self.sqlalchemy_safe,
            given=("exclude_none", "exclude_defaults", "sqlalchemy_safe"),
        )

    def find_custom_encoder(self, obj: Any) -> Encoder | None:
        """Return the caller's encoder for the exact type, else for the first type `obj` is an instance of."""
        exact = self.custom_encoder.get(type(obj))
        if exact is not None:
            return exact
        matches = (encoder for type_, encoder in self.custom_encoder.items() if isinstance(obj, type_))
        return next(matches, None)

    def drops(self, key: Any, value: Any) -> bool:
        """Tell whether a mapping's entry is left out whatever `include` and `exclude` say."""
        is_sqlalchemy_state = self.sqlalchemy_safe and isinstance(key, str) and key.startswith("_sa")
        return is_sqlalchemy_state or (self.exclude_none and value is None)


def jsonable_encoder(
    obj: Any,
    include: IncEx | None = None,
    exclude: IncEx | None = None,
    by_alias: bool = True,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    custom_encoder: dict[Any, Callable[[Any], Any]] | None = None,
    sqlalchemy_safe: bool = True,
) -> Any:
    """Return `obj` as dicts, lists, strings, numbers, booleans and None, which `json.dumps` accepts.

    `include` and `exclude` name fields of the outermost models and mappings; the `exclude_*` flags and `by_alias` mean
    what they mean for `model_dump`. `custom_encoder` maps types to encoders that go before all others.
    `sqlalchemy_safe` drops keys that start with `_sa`, where SQLAlchemy keeps its state.

    Raises:
        ValueError: there is neither an encoder for a value nor a way to read it as a mapping.
        PydanticV1NotSupportedError: a value is a `pydantic.v1` model.
    Source: FastAPI behaviour, `encoders.jsonable_encoder`.
    """
    options = _Options(
        by_alias=by_alias,
        exclude_unset=exclude_unset,
        exclude_defaults=exclude_defaults,
        exclude_none=exclude_none,
        custom_encoder=custom_encoder or {},
        sqlalchemy_safe=sqlalchemy_safe,
    )
    return _encode(obj, options, _as_container(include), _as_container(exclude))


def _as_container(names: Any) -> Any:
    return names if names is None or isinstance(names, (set, dict)) else set(names)


# Mappings and arrays are written out here, not in functions of their own: one frame for each level of nesting keeps the
# depth at which Python gives up. For the same reason the loop over an array is no comprehension.
def _encode(obj: Any, options: _Options, include: Any = None, exclude: Any = None) -> Any:
    encode = _encode if jsonable_encoder is _AS_DEFINED else _ask
    if options.custom_encoder and (encoder := options.find_custom_encoder(obj)) is not None:
        return encoder(obj)
    if type(obj) in _UNCHANGED_EXACT_TYPES:
        return obj
    if isinstance(obj, BaseModel):
        return encode(_dump_model(obj, options, include, exclude), options.after_dump())
    if dataclasses.is_dataclass(obj):
        assert not isinstance(obj, type)
        return encode(dataclasses.asdict(obj), options, include, exclude)
    if isinstance(obj, Enum):
        return obj.value
    if isinstance(obj, PurePath):
        return str(obj)
    if isinstance(obj, _UNCHANGED_TYPES):
        return obj
    if isinstance(obj, PydanticUndefinedType):
        return None
    if isinstance(obj, dict):
        keys = _kept_keys(obj, include, exclude)
        encoded = {}
        for key, value in obj.items():
            if not options.drops(key, value) and key in keys:
                encoded_key = encode(key, options)
                encoded[encoded_key] = encode(value, options)
        return encoded
    if isinstance(obj, _ARRAY_TYPES):
        items = []
        for item in obj:
            items.append(encode(item, options, include, exclude))
        return items
    if (encoder := _find_encoder(obj)) is not None:
        return encoder(obj)
    if is_pydantic_v1_model_instance(obj):
        raise PydanticV1NotSupportedError(
            f"pydantic.v1 models are no longer supported by FastAPI. Please update the model {obj!r}."
        )
    return encode(_read_as_mapping(obj), options, include, exclude)


_AS_DEFINED = jsonable_encoder


def _ask(obj: Any, options: _Options, *selected: Any) -> Any:
    """Encode what is inside a value by the function that somebody put in `jsonable_encoder`'s place."""
    keywords = {name: getattr(options, name) for name in options.given}
    return jsonable_encoder(obj, **dict(zip(("include", "exclude"), selected, strict=False)), **keywords)


def _dump_model(model: BaseModel, options: _Options, include: Any, exclude: Any) -> dict[str, Any]:
    return model.model_dump(
        mode="json",
        include=include,
        exclude=exclude,
        by_alias=options.by_alias,
        exclude_unset=options.exclude_unset,
        exclude_none=options.exclude_none,
        exclude_defaults=options.exclude_defaults,
    )


def _kept_keys(mapping: dict[Any, Any], include: Any, exclude: Any) -> set[Any]:
    keys = set(mapping.keys())
    if include is not None:
        keys &= set(include)
    if exclude is not None:
        keys -= set(exclude)
    return keys


def _find_encoder(obj: Any) -> Encoder | None:
    """Return the table's encoder for the exact type, else for the first group `obj` is an instance of."""
    exact = ENCODERS_BY_TYPE.get(type(obj))
    if exact is not None:
        return exact
    return next((encoder for encoder, types in encoders_by_class_tuples.items() if isinstance(obj, types)), None)


def _read_as_mapping(obj: Any) -> Any:
    """Read a foreign object by iterating its pairs, else by its attributes.

    Raises:
        ValueError: it offers neither; carries both errors.
    """
    try:
        return dict(obj)
    except Exception as not_a_mapping:
        try:
            return vars(obj)
        except Exception as no_attributes:
            raise ValueError([not_a_mapping, no_attributes]) from no_attributes


def _unpack_pair(pair: Any) -> tuple[Any, Any]:
    """Take an item of a mapping apart, for the engine where it is no tuple of two."""
    key, value = pair
    return key, value
