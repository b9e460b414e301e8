"""Strategies: a parameter of a function, from any source of a request."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from pydantic import AliasChoices

from ..drawn import Parameter
from ..drawn.types import BODIES, FILES, FORM_MODELS, PARAMETER_MODELS, REQUIRED, SCALARS, SEQUENCES, Color
from .values import now_and_then

_DEFAULTS: dict[str, list[Any]] = {
    "str": ["text"],
    "int": [3],
    "float": [2.5],
    "bool": [True],
    "decimal": [Decimal("1.5")],
    "enum": [Color.blue],
    "literal": ["a"],
    "int or none": [None, 4],
    "str or none": [None],
    "int or str": ["5"],
    "any": [None],
    "list of int": [[1, 2]],
    "list of str": [[]],
    "list of str or none": [None],
    "set of str": [{"z"}],
    "item or none": [None],
    "filters": [],
    "upload or none": [None],
    "uploads or none": [None],
    "bytes or none": [None],
    "list of bytes": [[]],
    "time": [None],
    "level": [1],
    "list of colors": [[Color.red]],
    "frozen set of int": [frozenset({1})],
    "list of decimal or none": [None],
    "list of items or none": [None],
}
_CONSTRAINTS: dict[str, list[tuple[str, Any]]] = {
    "int": [("ge", 1), ("lt", 5), ("multiple_of", 2)],
    "float": [("gt", 0), ("le", 10), ("allow_inf_nan", False)],
    "str": [("min_length", 1), ("max_length", 3), ("pattern", "^[a-z]+$")],
    "list of str": [("min_length", 1), ("max_length", 2)],
    "decimal": [("max_digits", 3), ("decimal_places", 1)],
}


@st.composite
def parameters(
    draw: st.DrawFn, name: str, *, in_path: bool = False, allow_body: bool = True, files: bool = False
) -> Parameter:
    """A parameter of a given name from any source of a request."""
    if in_path:
        type_ = draw(st.sampled_from(SCALARS))
        options = draw(_constraints(type_))
        return Parameter(
            name, draw(st.sampled_from(["path", "path", "bare"])) if not options else "path", type_, options=options
        )
    sources = ["query", "query", "bare", "header", "cookie", *(["body", "body", "form"] if allow_body else [])]
    if files and allow_body:
        # A body is either JSON or a form.
        sources = ["query", "header", "form", "form", "file", "file", "file", "bare file"]
    source = draw(st.sampled_from(sources))
    if source == "bare file":
        return Parameter(name, "bare", draw(st.sampled_from([each for each in FILES if "bytes" not in each])))
    if source in ("query", "header"):
        type_ = draw(st.sampled_from([*SCALARS, *SEQUENCES, *PARAMETER_MODELS]))
    elif source == "cookie":
        type_ = draw(st.sampled_from([*SCALARS, *PARAMETER_MODELS]))
    elif source == "form":
        models = FORM_MODELS * 4 if files else []
        type_ = draw(st.sampled_from([*SCALARS, *PARAMETER_MODELS, *SEQUENCES, *models]))
    elif source == "file":
        type_ = draw(st.sampled_from(FILES))
    elif source == "body":
        type_ = draw(st.sampled_from([*BODIES, *BODIES, *SCALARS, *SEQUENCES]))
    else:
        type_ = draw(st.sampled_from([*SCALARS, *(BODIES if allow_body else [])]))
    default: Any = REQUIRED
    if type_ in _DEFAULTS and _DEFAULTS[type_] and draw(st.booleans()):
        default = draw(st.sampled_from(_DEFAULTS[type_]))
    if source == "bare":
        return Parameter(name, source, type_, default)
    options = draw(_constraints(type_)) + draw(_aliases(source))
    if source == "body" and draw(st.booleans()):
        options += (("embed", True),)
    if default != REQUIRED and now_and_then(draw, times=6):
        options += (("validate_default", True),)
    return Parameter(name, source, type_, default, options)


@st.composite
def _constraints(draw: st.DrawFn, type_: str) -> tuple[tuple[str, Any], ...]:
    known = _CONSTRAINTS.get(type_, [])
    if not known or not now_and_then(draw, times=3):
        return ()
    return (draw(st.sampled_from(known)),)


@st.composite
def _aliases(draw: st.DrawFn, source: str) -> tuple[tuple[str, Any], ...]:
    kind = draw(st.sampled_from(["", "", "", "", "alias", "validation", "choices", "plain"]))
    if kind == "alias":
        return (("alias", "the-alias"),)
    if kind == "validation":
        return (("validation_alias", "theValidation"),)
    if kind == "choices":
        return (("validation_alias", AliasChoices("first", "second")),)
    if kind == "plain" and source == "header":
        return (("convert_underscores", False),)
    return ()


def names_of(parameter: Parameter) -> list[str]:
    """The names under which a client may send a parameter."""
    options = dict(parameter.options)
    names = [options.get("alias", parameter.name)]
    validation = options.get("validation_alias")
    if isinstance(validation, AliasChoices):
        names = [str(each) for each in validation.choices]
    elif validation:
        names = [validation]
    if parameter.type in PARAMETER_MODELS:
        names += ["limit", "order_by", "order-by", "tags", "token", "pageSize", "page_size", "extra"]
    if parameter.source == "header":
        names += [each.replace("_", "-") for each in names]
    return names
