"""`ferroapi._form_limits`: what is accepted as limits."""

from typing import Any

import pytest
from pydantic import ValidationError

from ferroapi._form_limits import _validate_form_limits


@pytest.mark.parametrize("limits", [{}, {"max_files": 0}, {"max_fields": 1, "max_files": 2, "max_part_size": 3}])
def test_form_limits_are_returned(limits: Any) -> None:
    assert _validate_form_limits(limits) == limits


def test_form_limits_none_is_no_limits() -> None:
    assert _validate_form_limits(None) == {}


@pytest.mark.parametrize("limits", [{"max_files": -1}, {"max_files": "1"}, {"max_files": True}, {"max_size": 1}, 3])
def test_form_limits_wrong_value_is_refused(limits: Any) -> None:
    with pytest.raises(ValidationError):
        _validate_form_limits(limits)
