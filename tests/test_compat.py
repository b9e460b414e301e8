"""`ferroapi._compat` against FastAPI's: annotations, fields and definitions."""

import dataclasses
import enum
import operator
import warnings
from collections import deque
from collections.abc import Sequence
from copy import copy as copy_of
from copy import deepcopy
from functools import reduce
from typing import Annotated, Any, Literal, Union

import fastapi._compat.shared as reference_shared
import fastapi._compat.v2 as reference
import pytest
from fastapi import UploadFile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field, PydanticSchemaGenerationError, computed_field
from pydantic.fields import FieldInfo
from pydantic_core import SchemaError

import ferroapi._compat as compat
from ferroapi._compat import shared, v2
from ferroapi._compat.v2 import ModelField


class Shade(enum.Enum):
    DARK = "dark"


class Inner(BaseModel):
    """Shown.\f Hidden."""

    shade: Shade = Shade.DARK


class Computed(BaseModel):
    inner: list[Inner] = []

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return len(self.inner)


class Tree(BaseModel):
    children: "list[Tree]" = []
    payload: Computed | None = None


@dataclasses.dataclass
class Point:
    x: int = 1


CLASSES = [
    *(int, str, bytes, list, dict, tuple, set, deque, type(None), Any, Literal["a"]),
    *(Inner, Computed, Tree, Shade, Point, UploadFile),
]
ANNOTATIONS = st.recursive(
    st.sampled_from(CLASSES),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda members: Union[members]),  # noqa: UP007
        inner.map(lambda argument: list[argument]),  # type: ignore[valid-type]
        inner.map(lambda argument: Sequence[argument]),  # type: ignore[valid-type]
        inner.map(lambda argument: tuple[argument, ...]),  # type: ignore[valid-type]
        inner.map(lambda argument: dict[str, argument]),  # type: ignore[valid-type]
        inner.map(lambda argument: Annotated[argument, "metadata"]),
    ),
    max_leaves=4,
)
QUESTIONS = [
    "annotation_is_pydantic_v1",
    "field_annotation_is_complex",
    "field_annotation_is_scalar",
    "field_annotation_is_scalar_sequence",
    "field_annotation_is_sequence",
    "is_bytes_or_nonable_bytes_annotation",
    "is_bytes_sequence_annotation",
    "is_uploadfile_or_nonable_uploadfile_annotation",
    "is_uploadfile_sequence_annotation",
]


@given(ANNOTATIONS)
def test_annotation_questions_equal_reference(annotation: Any) -> None:
    for question in QUESTIONS:
        assert getattr(shared, question)(annotation) == getattr(reference_shared, question)(annotation), question


@pytest.mark.parametrize("question", ["field_annotation_is_scalar", "field_annotation_is_scalar_sequence"])
def test_annotation_ellipsis_equals_reference(question: str) -> None:
    assert getattr(shared, question)(...) == getattr(reference_shared, question)(...)


def test_lenient_issubclass_only_answers_what_it_can() -> None:
    assert not compat.lenient_issubclass(list[int], list)
    assert not compat.lenient_issubclass(3, int)
    with pytest.raises(TypeError):
        compat.lenient_issubclass(int, "int")  # type: ignore[arg-type]


def outcome(compute: Any) -> Any:
    try:
        return compute()
    except Exception as error:
        return type(error).__name__, str(error)


FIELD_OPTIONS = st.fixed_dictionaries({}, optional={"default": st.none(), "alias": st.just("q"), "title": st.just("T")})
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [1, "1", b"x", None, [1], ["a"], {"x": 1}, {"shade": "dark"}, {"children": [{}]}, Inner()]
)


@given(ANNOTATIONS, FIELD_OPTIONS, VALUES)
def test_field_equals_reference(annotation: Any, options: dict[str, Any], value: Any) -> None:
    def describe(field_class: Any) -> Any:
        field = field_class(FieldInfo(annotation=annotation, **options), "some_name")
        validated, errors = field.validate(value, loc=("body", "q"))
        return (
            *(repr(field), field.alias, field.validation_alias, field.serialization_alias, field.default),
            *(repr(validated), repr(errors)),
            None if errors else outcome(lambda: field.serialize(validated)),
            None if errors else outcome(lambda: field.serialize_json(validated)),
        )

    assert outcome(lambda: describe(ModelField)) == outcome(lambda: describe(reference.ModelField))


@given(st.lists(ANNOTATIONS, max_size=3), st.sampled_from(["validation", "serialization"]), st.booleans())
def test_definitions_equal_reference(annotations: list[Any], mode: Any, separate: bool) -> None:
    def describe(module: Any) -> Any:
        fields = [
            module.ModelField(FieldInfo(annotation=annotation), f"field_{number}", mode=mode)
            for number, annotation in enumerate(annotations)
        ]
        models = module.get_flat_models_from_fields(fields, known_models=set())
        options = {"model_name_map": module.get_model_name_map(models), "separate_input_output_schemas": separate}
        mapping, definitions = module.get_definitions(fields=fields, **options)
        schemas = [
            module.get_schema_from_model_field(field=field, field_mapping=mapping, **options) for field in fields
        ]
        return schemas, definitions, models

    assert outcome(lambda: describe(v2)) == outcome(lambda: describe(reference))


def test_field_that_cannot_be_validated_is_refused_where_it_is_declared() -> None:
    class Foreign:
        pass

    annotations: list[Any] = [Foreign, list[Foreign], Foreign | None]
    for annotation in annotations:
        with pytest.raises(PydanticSchemaGenerationError):
            ModelField(FieldInfo(annotation=annotation), "name")


def test_field_constraint_that_makes_no_schema_is_refused_where_it_is_declared() -> None:
    field_info = FieldInfo.from_annotation(Annotated[str, Field(pattern="(")])  # type: ignore[arg-type]
    with pytest.raises(SchemaError):
        ModelField(field_info, "name")


@pytest.mark.parametrize("annotation", [int, str | None, list[Inner], Tree, dict[str, Any]])
def test_field_builds_its_adapter_when_it_is_first_used(annotation: Any) -> None:
    field = ModelField(FieldInfo(annotation=annotation), "name")
    assert "_type_adapter" not in vars(field)
    assert field._type_adapter is field._type_adapter
    assert field._type_adapter.validator is not None


def test_field_is_hashed_by_identity_and_compared_by_value() -> None:
    field_info = FieldInfo(annotation=int)
    first, second = ModelField(field_info, "a"), ModelField(field_info, "a")
    assert first == second
    assert len({first, second}) == 2


def test_field_alias_that_is_no_string_is_no_validation_alias() -> None:
    field = ModelField(FieldInfo(annotation=int, validation_alias=AliasChoices("a", "b")), "name")
    assert field.validation_alias is None


def test_missing_error_equals_reference() -> None:
    assert v2.get_missing_field_error(("query", "q")) == reference.get_missing_field_error(("query", "q"))


@pytest.mark.parametrize("annotation", [list[int], set[int], Sequence[int], tuple[int, ...], None | list[int], deque])
def test_sequence_value_equals_reference(annotation: Any) -> None:
    field_info = FieldInfo(annotation=annotation)
    ours = v2.serialize_sequence_value(field=ModelField(field_info, "a"), value=[1, 1])
    theirs = reference.serialize_sequence_value(field=reference.ModelField(field_info, "a"), value=[1, 1])
    assert (type(ours), ours) == (type(theirs), theirs)


def test_copied_field_info_keeps_its_class_and_takes_the_annotation() -> None:
    annotation = Annotated[int, Field(gt=1, title="T")]
    field_info = FieldInfo(annotation=str, default="d")
    ours = v2.copy_field_info(field_info=field_info, annotation=annotation)
    theirs = reference.copy_field_info(field_info=field_info, annotation=annotation)
    assert repr(ours) == repr(theirs)
    assert field_info.annotation is str


def test_forward_reference_that_is_not_defined_stays() -> None:
    from typing import ForwardRef

    assert compat.evaluate_forwardref(ForwardRef("int"), {}, {}) is int
    unknown = ForwardRef("NotDefined")
    assert compat.evaluate_forwardref(unknown, {}, {}) is unknown


def test_pydantic_v1_models_are_recognized() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydantic import v1

        class Old(v1.BaseModel):
            pass

    union: Any = reduce(operator.or_, [int, Old])
    for annotation in (Old, union, list[Old], list[union]):
        assert compat.annotation_is_pydantic_v1(annotation)
    assert compat.is_pydantic_v1_model_instance(Old())


def test_names_equal_reference() -> None:
    import fastapi._compat

    def names(module: Any) -> set[str]:
        return {name for name in vars(module) if not name.startswith("__")}

    # A module of a package is a name in it once it is imported; ours is divided further.
    own_modules = {"declared", "plain_annotations", "plain_schemas", "starlette"}
    assert names(compat) - own_modules == names(fastapi._compat)


# An adapter is that of the declaration, whenever it is built.


def rebuilt(model: Any, field: Any) -> None:
    model.__annotations__["number"] = str
    model.model_fields["number"].annotation = str
    model.model_rebuild(force=True)


def annotated_anew(model: Any, field: Any) -> None:
    field.field_info.annotation = list[str]


def given_another_info(model: Any, field: Any) -> None:
    field.field_info = FieldInfo(annotation=str)


def copied_first(model: Any, field: Any) -> Any:
    copy = copy_of(field)
    rebuilt(model, field)
    return copy


@pytest.mark.parametrize("edit", [rebuilt, annotated_anew, given_another_info, copied_first])
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: list[m], lambda m: m | None, lambda m: dict[str, m] | list[m]])
def test_adapter_is_that_of_the_declaration(wrap: Any, edit: Any) -> None:
    found = []
    for framework in (reference, v2):

        class Rebuilt(BaseModel):
            number: int
            below: "Rebuilt | None" = None

        Rebuilt.model_rebuild(_types_namespace={"Rebuilt": Rebuilt})
        field = framework.ModelField(field_info=FieldInfo(annotation=wrap(Rebuilt)), name="field")
        field = edit(Rebuilt, field) or field
        values: list[Any] = [
            {"number": "5"},
            {"number": 5, "below": {"number": 6}},
            [{"number": 1}],
            {"a": {"number": 1}},
        ]
        outcomes = [repr(field.validate(value, {}, loc=("body",))) for value in values]
        schema = framework.get_definitions(fields=[field], model_name_map={Rebuilt: "Rebuilt"})[1]
        # The model itself is what it was made to be.
        number = "a" if edit in (rebuilt, copied_first) else 1
        found.append((outcomes, schema, repr(Rebuilt.model_validate({"number": number}))))
    assert found[1] == found[0]


STRANGE_SCHEMAS: dict[str, Any] = {
    "nothing": None,
    "empty": {},
    "model of nothing": {"type": "model"},
    "definitions of nothing": {"type": "definitions"},
    "reference to nothing": {"type": "definitions", "definitions": [], "schema": {"type": "definition-ref"}},
    "function around nothing": {"type": "function-after", "schema": None},
    "model of no class": {"type": "model", "cls": None, "root_model": False, "schema": {}},
    "of another type": {"type": "any"},
}
"""None is what pydantic makes of a model: extensions put them together, or take them from elsewhere."""


@pytest.mark.parametrize("is_given_first", [False, True])
@pytest.mark.parametrize("name", STRANGE_SCHEMAS)
def test_adapter_of_a_model_that_was_given_another_core_schema(name: str, is_given_first: bool) -> None:
    found = []
    for framework in (reference, v2):

        class Given(BaseModel):
            number: int = 3

        def give(model: Any = Given) -> None:
            model.__pydantic_core_schema__ = deepcopy(STRANGE_SCHEMAS[name])

        if is_given_first:
            give()
        try:
            field: Any = framework.ModelField(field_info=FieldInfo(annotation=list[Given]), name="field")
        except Exception as error:
            found.append(f"refused: {type(error).__name__}")
            continue
        if not is_given_first:
            give()
        outcome = repr(field.validate([{"number": "5"}], {}, loc=("body",)))
        kind = Given.__pydantic_core_schema__ and Given.__pydantic_core_schema__.get("type")
        found.append(f"{outcome} and then {kind}")
    assert found[1] == found[0]
