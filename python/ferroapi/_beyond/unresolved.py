"""The warning for an `Annotated` that nobody could read, so that a dependency became a query parameter."""

from typing import Any, ForwardRef

from ferroapi._signature import user_stack_level
from ferroapi.logger import logger

_MESSAGE = (
    "The annotation `%s` could not be evaluated, so the parameter is read from the query string. "
    "Every name in it must be a global name of the module where the function is defined: with "
    "`from __future__ import annotations`, or in quotes, a name of an enclosing function is not found."
)


def warn_of_unresolved(annotation: Any) -> None:
    """Log a warning if an annotation that is about to become a query parameter is the text of an `Annotated`."""
    if isinstance(annotation, ForwardRef) and "Annotated[" in annotation.__forward_arg__:
        # Logged: where warnings are errors, an application that FastAPI declares must not fail.
        logger.warning(_MESSAGE, annotation.__forward_arg__, stacklevel=user_stack_level())
