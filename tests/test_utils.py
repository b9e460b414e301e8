from types import SimpleNamespace
from typing import Any

import fastapi.utils
import pydantic.v1
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferroapi.datastructures import Default
from ferroapi.exceptions import FastAPIDeprecationWarning, FastAPIError, PydanticV1NotSupportedError
from ferroapi.utils import (
    create_model_field,
    deep_dict_update,
    generate_operation_id_for_path,
    generate_unique_id,
    get_path_param_names,
    get_value_or_default,
    is_body_allowed_for_status_code,
)

nested = st.recursive(
    st.integers() | st.lists(st.integers(), max_size=2) | st.none(),
    lambda values: st.dictionaries(st.sampled_from("abc"), values, max_size=3),
)


@given(st.dictionaries(st.sampled_from("abc"), nested), st.dictionaries(st.sampled_from("abc"), nested))
def test_deep_dict_update_equals_fastapis(main: dict[str, Any], update: dict[str, Any]) -> None:
    import copy

    ours, theirs = copy.deepcopy(main), copy.deepcopy(main)
    deep_dict_update(ours, update)
    fastapi.utils.deep_dict_update(theirs, update)
    assert ours == theirs


@pytest.mark.parametrize("status", [None, "default", "2XX", 100, 101, 200, "204", 204, 205, 301, 304, 404, "422"])
def test_is_body_allowed_for_status_code_equals_fastapis(status: Any) -> None:
    assert is_body_allowed_for_status_code(status) is fastapi.utils.is_body_allowed_for_status_code(status)


@given(st.text("{}a/:", max_size=12))
def test_get_path_param_names_equals_fastapis(path: str) -> None:
    assert get_path_param_names(path) == fastapi.utils.get_path_param_names(path)


def test_generate_unique_id_is_one_word() -> None:
    route: Any = SimpleNamespace(name="read item", path_format="/items/{id}", methods={"GET"})
    assert generate_unique_id(route) == fastapi.utils.generate_unique_id(route) == "read_item_items__id__get"


def test_generate_operation_id_for_path_warns_of_its_deprecation() -> None:
    with pytest.warns(FastAPIDeprecationWarning, match="not used internally") as caught:
        assert generate_operation_id_for_path(name="read", path="/a/{b}", method="GET") == "read_a__b__get"
    assert caught[0].filename == __file__


def test_get_value_or_default_prefers_what_somebody_chose() -> None:
    unchosen, other = Default(1), Default(2)
    assert get_value_or_default(unchosen, other) is unchosen
    assert get_value_or_default(unchosen, 3, 4) == 3


def test_create_model_field_names_the_type_it_cannot_handle() -> None:
    class Unknown:
        pass

    with pytest.raises(FastAPIError) as ours:
        create_model_field("response", Unknown)
    with pytest.raises(fastapi.exceptions.FastAPIError) as theirs:
        fastapi.utils.create_model_field("response", Unknown)
    assert str(ours.value) == str(theirs.value)


def test_create_model_field_validates() -> None:
    field = create_model_field("item", int, alias="Item")
    assert field.alias == "Item"
    assert field.validate("3", {}, loc=("query", "Item")) == (3, [])


@pytest.mark.filterwarnings("ignore")
def test_create_model_field_refuses_models_of_pydantic_v1() -> None:
    class Old(pydantic.v1.BaseModel):
        pass

    with pytest.raises(PydanticV1NotSupportedError, match="no longer supported"):
        create_model_field("response", Old)
