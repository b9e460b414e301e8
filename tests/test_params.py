import dataclasses
import pickle
import warnings
from copy import copy
from types import ModuleType
from typing import Any

import fastapi
import fastapi.params
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ferroapi
from ferroapi import exceptions, param_functions, params
from ferroapi.datastructures import DefaultPlaceholder

PLACES = ["Path", "Query", "Header", "Cookie", "Body", "Form", "File"]

OPTIONS: dict[str, Any] = {
    "default_factory": list,
    "alias": "Alias",
    "alias_priority": 1,
    "validation_alias": "validation",
    "serialization_alias": "serialization",
    "title": "Title",
    "description": "Text",
    "gt": 1,
    "ge": 2,
    "lt": 9,
    "le": 8,
    "min_length": 1,
    "max_length": 5,
    "pattern": "^a",
    "discriminator": "kind",
    "strict": True,
    "validate_default": True,
    "union_mode": "left_to_right",
    "fail_fast": True,
    "multiple_of": 2,
    "allow_inf_nan": False,
    "max_digits": 3,
    "decimal_places": 1,
    "examples": ["a"],
    "openapi_examples": {"a": {"value": 1}},
    "deprecated": True,
    "include_in_schema": False,
    "json_schema_extra": {"x": 1},
}

some_options = st.sets(st.sampled_from(sorted(OPTIONS))).map(lambda names: {name: OPTIONS[name] for name in names})


def described(info: Any) -> dict[str, Any]:
    """Return everything a parameter knows."""
    slots = {name: getattr(info, name, None) for name in type(info).__slots__ or ()}
    names = [name for base in type(info).__mro__ for name in getattr(base, "__slots__", ())]
    values = slots | {name: getattr(info, name, None) for name in names} | vars(info)
    values.pop("in_", None)
    return {
        name: f"Default({value.value})" if type(value).__name__ == "DefaultPlaceholder" else repr(value)
        for name, value in values.items()
    }


@given(place=st.sampled_from(PLACES), options=some_options)
def test_parameter_is_what_it_is_in_fastapi(place: str, options: dict[str, Any]) -> None:
    ours = getattr(param_functions, place)
    theirs = getattr(fastapi, place)
    try:
        expected = theirs(**options)
    except TypeError as error:
        with pytest.raises(TypeError, match=str(error).split("(")[0]):
            ours(**options)
        return
    actual = ours(**options)
    assert described(actual) == described(expected)
    assert repr(actual) == repr(expected)
    assert isinstance(actual, getattr(params, place))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("default", [None, 1, "text"])
def test_parameter_prints_its_default(place: str, default: object) -> None:
    if place == "Path":
        with pytest.raises(AssertionError, match="Path parameters cannot have a default value"):
            params.Path(default)
    else:
        assert repr(getattr(params, place)(default)) == repr(getattr(fastapi.params, place)(default))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regex": "^a"}, "`regex` has been deprecated, please use `pattern` instead"),
        ({"example": 1}, "`example` has been deprecated, please use `examples` instead"),
    ],
)
@pytest.mark.parametrize("namespace", [param_functions, params])
@pytest.mark.parametrize("place", PLACES)
def test_deprecated_option_warns_where_it_is_written(
    place: str, namespace: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.warns(exceptions.FastAPIDeprecationWarning) as caught:
        info = getattr(namespace, place)(**options)
    assert [(str(warning.message), warning.filename) for warning in caught] == [(message, __file__)]
    with pytest.warns(fastapi.exceptions.FastAPIDeprecationWarning, match=message):
        assert described(info) == described(getattr(fastapi, place)(**options))


@pytest.mark.parametrize("place", PLACES)
def test_unknown_option_is_refused_by_name(place: str) -> None:
    with pytest.raises(TypeError, match=rf"^{place}\(\) got an unexpected keyword argument 'colour'$"):
        getattr(param_functions, place)(colour=1)
    with pytest.raises(TypeError, match=rf"^{place}\.__init__\(\) got an unexpected keyword argument 'colour'$"):
        getattr(params, place)(colour=1)


def test_parameter_can_be_copied() -> None:
    original = params.Query(alias="a", gt=1)
    assert described(copy(original)) == described(original)


def test_subclass_of_a_parameter_can_fix_an_option() -> None:
    class Token(params.Header):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(convert_underscores=False, **options)

    assert Token(alias="token").convert_underscores is False
    assert Token().in_ is params.ParamTypes.header


def test_depends_is_equal_and_hashed_by_value() -> None:
    assert param_functions.Depends(len) == params.Depends(len)
    assert hash(params.Depends(len)) == hash(params.Depends(len))
    assert repr(params.Security(len, scopes=["a"])) == repr(fastapi.params.Security(len, scopes=["a"]))
    assert repr(params.Depends(len)) == repr(fastapi.params.Depends(len))


@pytest.mark.parametrize("name", ["Depends", "Security"])
def test_depends_shows_what_it_does_in_fastapi(name: str) -> None:
    def parts(framework: ModuleType) -> Any:
        depends = getattr(framework, name)(print)
        pickled = pickle.loads(pickle.dumps(depends))
        fields = [
            (each.name, each.default, each.kw_only, each.repr, each.compare) for each in dataclasses.fields(depends)
        ]
        return vars(depends), vars(pickled), repr(depends), fields, set(dir(depends)), pickled == depends

    assert parts(ferroapi) == parts(fastapi)


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, "1"])
def test_depends_refuses_a_limit_that_is_no_positive_integer(limit: Any) -> None:
    with pytest.raises(ValueError, match="max_concurrency must be a positive integer or None"):
        params.Depends(len, max_concurrency=limit)


def test_depends_keeps_its_limiter_while_the_limit_is_the_same() -> None:
    limited = params.Depends(len, max_concurrency=2)
    assert dataclasses.replace(limited, use_cache=False)._concurrency is limited._concurrency
    assert dataclasses.replace(limited, max_concurrency=3)._concurrency is not limited._concurrency
    assert dataclasses.replace(limited, max_concurrency=None)._concurrency is None


def test_param_without_a_place_is_possible() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not isinstance(params.Param(1).example, int)
        assert isinstance(params.Param(1).example, DefaultPlaceholder)
