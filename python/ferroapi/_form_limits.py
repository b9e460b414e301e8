"""The limits of form parsing, as they are passed to applications, routers and routes."""

from pydantic import ConfigDict, NonNegativeInt, TypeAdapter, with_config
from typing_extensions import TypedDict


@with_config(ConfigDict(strict=True, extra="forbid"))
class _FormLimits(TypedDict, total=False):
    """How much a form may hold before it is refused; what is absent is left to Starlette's default."""

    max_fields: NonNegativeInt
    """The number of fields that are not files."""
    max_files: NonNegativeInt
    """The number of files."""
    max_part_size: NonNegativeInt
    """The size of one field that is not a file, in bytes."""


_form_limits_adapter = TypeAdapter(_FormLimits)


def _validate_form_limits(limits: _FormLimits | None) -> _FormLimits:
    """Return checked limits, none of them for None.

    Raises:
        pydantic.ValidationError: a key is unknown, or a value no integer of zero or more.
    """
    return {} if limits is None else _form_limits_adapter.validate_python(limits)
