"""Texts and JSON values that clients send, good and bad."""

from typing import Any

from hypothesis import strategies as st


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
    {"kind": "cat"},
    {"kind": "bird"},
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
    "time": ["03:04:05", "10:00Z"],
    "timedelta": ["90", "P1DT2H", "1:02:03"],
    "level": ["1", "2"],
    "positive": ["1"],
    "uuid or int": ["7", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"],
    "frozen set of int": ["1", "2"],
    "list of colors": ["red"],
    "list of decimal or none": ["1.50"],
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
    "pet": [{"kind": "cat"}, {"kind": "dog", "born": "2024-01-02", "owner": {"name": "o"}}],
    "pets by name": [{"tom": {"kind": "cat", "lives": 3}, "rex": {"kind": "dog"}}],
    "items or item": [{"name": "n"}, [{"name": "n"}, {"name": "m"}]],
}


def valid_texts(type_: str) -> list[str]:
    """Texts that a parameter of a type takes."""
    inner = type_.removesuffix(" or none").removeprefix("list of ")
    return _VALID_TEXTS.get(type_) or _VALID_TEXTS.get(inner, ["4", "abc"])


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
