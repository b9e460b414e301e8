"""Parameters and bodies of recorded applications: their validators, factories and classes record where they run."""

import enum
import inspect
from typing import Annotated, Any

import pydantic
from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic_core import core_schema

from .descriptions import Recorder, Value


def _function_validators(recorder: Recorder, label: str) -> dict[str, Any]:
    def wrap(value: Any, handler: Any) -> Any:
        recorder.note(f"{label} wraps")
        return handler(value)

    passing = recorder.passing(label)
    return {
        "plain": int,
        "text": str,
        "before": Annotated[int, pydantic.BeforeValidator(passing)],
        "after": Annotated[str, pydantic.AfterValidator(passing)],
        "wrap": Annotated[int, pydantic.WrapValidator(wrap)],
        "only": Annotated[str, pydantic.PlainValidator(passing)],
        "inner": Annotated[str, pydantic.AfterValidator(passing)] | None,
    }


def _classes(recorder: Recorder, label: str) -> dict[str, Any]:
    class Own:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return core_schema.no_info_plain_validator_function(cls.read)

        @classmethod
        def read(cls, value: Any) -> str:
            recorder.note(f"{label} own")
            return str(value)

    class Choice(enum.Enum):
        ONE = "one"

        @classmethod
        def _missing_(cls, value: Any) -> Any:
            recorder.note(f"{label} missing")
            return cls.ONE

    return {"own": Own, "enum": Choice}


class _Copied:
    def __init__(self, recorder: Recorder, label: str) -> None:
        self.recorder, self.label = recorder, label

    def __deepcopy__(self, memo: Any) -> str:
        self.recorder.note(f"{self.label} copied")
        return "copied"


def parameter(fastapi: Any, recorder: Recorder, name: str, value: Value) -> inspect.Parameter:
    """A parameter of a function, with the default that it has in the signature."""
    marker = getattr(fastapi, value.source.capitalize())
    known = _function_validators(recorder, name) | _classes(recorder, name)
    options: dict[str, Any] = {} if value.source == "path" else {"default_factory": lambda: "1"}
    match value.how:
        case "factory":

            def make() -> int:
                recorder.note(f"{name} made")
                return 1

            type_, options = int, {"default_factory": make}
        case "default validated":
            type_, options = known["after"], {"default_factory": lambda: "1", "validate_default": True}
        case "copied":
            type_, options = Any, {"default_factory": None}
        case "list":
            type_ = list.__class_getitem__(known["after"])
        case "model":

            class Values(BaseModel):
                model_config = pydantic.ConfigDict(extra="ignore")
                a: int = 1
                check = field_validator("a", mode="before")(staticmethod(recorder.passing(f"{name} field")))

            type_, options = Values, {}
        case how:
            type_ = known[how]
    default: Any = inspect.Parameter.empty
    if value.how == "copied":
        options, default = {}, _Copied(recorder, name)
    annotation = Annotated[type_, marker(**options)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def body(fastapi: Any, recorder: Recorder, name: str, kind: str, is_form: bool) -> inspect.Parameter:
    """A parameter that takes the body, or a part of it."""
    passing = recorder.passing(name)

    class Silent(BaseModel):
        a: int = 1
        b: list[str] = []

    class Validated(BaseModel):
        a: int = 1
        check = field_validator("a")(staticmethod(passing))

        @model_validator(mode="before")
        @classmethod
        def before(cls, value: Any) -> Any:
            recorder.note(f"{name} model before")
            return value

        @model_validator(mode="after")
        def after(self) -> Any:
            recorder.note(f"{name} model after")
            return self

    class Made(BaseModel):
        a: int = 1
        b: str = Field(default_factory=lambda: recorder.note(f"{name} factory") or "b")  # type: ignore[func-returns-value]

    class Initialized(BaseModel):
        a: int = 1

        def __init__(self, **values: Any) -> None:
            recorder.note(f"{name} init")
            super().__init__(**values)

    class Opened(BaseModel):
        a: int = 1

        def model_post_init(self, context: Any) -> None:
            recorder.note(f"{name} post init")

    types: dict[str, Any] = {
        "silent": Silent,
        "validated": Validated,
        "made": Made,
        "initialized": Initialized,
        "opened": Opened,
    }
    if is_form:
        types = dict.fromkeys(types, Annotated[str, pydantic.AfterValidator(passing)]) | {"silent": str}
    marker = fastapi.Form() if is_form else fastapi.Body()
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[types[kind], marker],
    )
