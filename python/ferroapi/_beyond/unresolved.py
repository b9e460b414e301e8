"""The warning for an `Annotated` that nobody could read, so that a dependency became a query parameter."""

import warnings
from typing import Any, ForwardRef

from ferroapi._signature import user_stack_level

_MESSAGE = (
    "The annotation `{annotation}` could not be evaluated, so the parameter is read from the query string. "
    "Every name in it must be a global name of the module where the function is defined: with "
    "`from __future__ import annotations`, or in quotes, a name of an enclosing function is not found."
)


def warn_of_unresolved(annotation: Any) -> None:
    """Warn if an annotation that is about to become a query parameter is the text of an `Annotated`."""
    if isinstance(annotation, ForwardRef) and "Annotated[" in annotation.__forward_arg__:
        message = _MESSAGE.format(annotation=annotation.__forward_arg__)
        warnings.warn(message, stacklevel=user_stack_level())
