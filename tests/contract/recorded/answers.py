"""What the endpoints of recorded applications declare and return: everything that is asked for on the way to the answer
records where it is asked.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Generic, TypeVar

import pydantic
from pydantic import BaseModel, Field, computed_field, field_serializer, field_validator

from .descriptions import Recorder

ItemType = TypeVar("ItemType")


def declared(recorder: Recorder, kind: str) -> Any:
    """What stands as the response model."""

    class Silent(BaseModel):
        a: int
        b: str = "b"

    class Validated(BaseModel):
        a: int
        b: str = "b"
        check = field_validator("a", mode="before")(staticmethod(recorder.passing("answer field")))

    class Written(BaseModel):
        a: int
        b: str = "b"

        @field_serializer("a")
        def write(self, value: Any) -> Any:
            recorder.note("answer written")
            return value

        @computed_field  # type: ignore[prop-decorator]
        @property
        def computed(self) -> str:
            recorder.note("answer computed")
            return "computed"

    class Both(Validated, Written):
        pass

    class Item(BaseModel, Generic[ItemType]):
        a: ItemType
        b: str = Field(default_factory=lambda: recorder.note("answer factory") or "b")  # type: ignore[func-returns-value]

    return {
        "silent": Silent,
        "validated": Validated,
        "written": Written,
        "both": Both,
        "choice": Both | Silent,
        "generic": Item[Annotated[int, pydantic.PlainSerializer(recorder.passing("answer plain written"))]],
        "nothing": None,
        "anything": Any,
    }[kind]


class _Attributes:
    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __repr__(self) -> str:
        return "attributes"

    @property
    def a(self) -> int:
        self.recorder.note("attribute read")
        return 1


class _Liar:
    """What says itself of which class it is; only where it is asked counts, not how many times in a row."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder, self.a = recorder, 1

    def __repr__(self) -> str:
        return "liar"

    @property
    def __class__(self) -> Any:
        if self.recorder.log[-1][0] != "class asked":
            self.recorder.note("class asked")
        return _Liar


class _Pairs:
    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __repr__(self) -> str:
        return "pairs"

    def __iter__(self) -> Iterator[tuple[str, int]]:
        self.recorder.note("iterated")
        yield "a", 1
        self.recorder.note("iterated to its end")


class _Mapping(dict[str, Any]):
    recorder: Recorder

    def keys(self) -> Any:
        self.recorder.note("keys asked")
        return super().keys()

    def items(self) -> Any:
        self.recorder.note("items asked")
        return super().items()


class Encoded:
    """What the table of encoders has an entry for."""

    def __repr__(self) -> str:
        return "encoded"


def returned(fastapi: Any, recorder: Recorder, kind: str, model: Any) -> Any:
    """What the endpoint returns."""

    def items() -> Iterator[int]:
        recorder.note("generated")
        yield 1
        recorder.note("generated to its end")

    class Inner(BaseModel):
        a: int = 1

        @field_serializer("a")
        def write(self, value: Any) -> Any:
            recorder.note("inner written")
            return value

    class Rendered(fastapi.Response):  # type: ignore[misc]
        def render(self, content: Any) -> bytes:
            recorder.note("response rendered")
            return b"rendered"

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            recorder.note("response called")
            await super().__call__(scope, receive, send)

        @property
        def background(self) -> Any:
            recorder.note("background asked")
            return None

        @background.setter
        def background(self, value: Any) -> None:
            recorder.note("background set")

    mapping = _Mapping(a=1, b="b")
    mapping.recorder = recorder
    known: dict[str, Callable[[], Any]] = {
        "dict": lambda: {"a": 1, "b": "b"},
        "texts": lambda: {"a": "1"},
        "refused": lambda: {"a": "bad"},
        "instance": lambda: model(a=1) if isinstance(model, type) and issubclass(model, BaseModel) else {"a": 1},
        "attributes": lambda: _Attributes(recorder),
        "liar": lambda: _Liar(recorder),
        "pairs": lambda: _Pairs(recorder),
        "mapping": lambda: mapping,
        "generator": lambda: items(),
        "list": lambda: [{"a": 1}, Inner(), _Pairs(recorder), Inner()],
        "encoded": lambda: {"a": 1, "b": [Encoded()]},
        "none": lambda: None,
        "response": lambda: Rendered(),
        "json response": lambda: fastapi.responses.JSONResponse({"a": 1}),
    }
    return known[kind]()
