"""What the engine copies in the place of `jsonable_encoder` is what that returns."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ferroapi import _core
from ferroapi.encoders import jsonable_encoder

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text(max_size=3) | st.sampled_from(["_sa", "_sa_state", "_s"])
PLAIN = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


class Text(str):
    pass


def containers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value, *(each for item in value.values() for each in containers(item))]
    if isinstance(value, list):
        return [value, *(each for item in value for each in containers(item))]
    return []


@given(PLAIN)
def test_plain_data_is_copied_as_the_encoder_does(value: Any) -> None:
    encoded, copied = jsonable_encoder(value), _core.plain_copy(value)
    if any(key.startswith("_sa") for each in containers(value) if isinstance(each, dict) for key in each):
        assert copied is None
        return
    assert copied == encoded and repr(copied) == repr(encoded)
    assert not {id(each) for each in containers(copied)} & {id(each) for each in containers(value)}


def test_other_data_is_left_to_the_encoder() -> None:
    deep: Any = []
    for _ in range(40):
        deep = [deep]
    circular: list[Any] = []
    circular.append(circular)
    for value in (
        deep,
        circular,
        {5: 1},
        (1,),
        {"a": Text("b")},
        Text("b"),
        b"",
        {"\ud800": 1},
        [{1}],
        {"a": {Text("b"): 1}},
    ):
        assert _core.plain_copy(value) is None
