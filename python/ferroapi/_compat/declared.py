"""What a field was declared with, for an adapter that is built later: FastAPI builds every adapter at declaration.

Meanwhile the annotation may be assigned to, and models may be rebuilt.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, get_args
from weakref import WeakValueDictionary

from pydantic import BaseModel

_BUILT = ("__pydantic_core_schema__", "__pydantic_validator__", "__pydantic_serializer__")


class _Model:
    """A model, and what pydantic had built for it."""

    __slots__ = ("__weakref__", "built", "cls")

    def __init__(self, cls: type[BaseModel]) -> None:
        self.cls = cls
        self.built = {name: vars(cls)[name] for name in _BUILT}

    def is_current(self) -> bool:
        """Tell whether the model was not rebuilt, and nothing of what was built for it was assigned to."""
        now = vars(self.cls)
        return all(now.get(name) is value for name, value in self.built.items())

    def restore(self) -> None:
        """Put back what was built for the model."""
        for name, value in self.built.items():
            setattr(self.cls, name, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Model":
        # A class is not copied, nor is what is known of it.
        return self


_shared: WeakValueDictionary[int, _Model] = WeakValueDictionary()
"""By the address of the validator, which each keeps: the fields of one model share it."""


class Declared(NamedTuple):
    """The annotation of a field, and the models in it."""

    annotation: Any
    models: tuple[_Model, ...]

    @classmethod
    def of(cls, annotation: Any) -> "Declared":
        """Return a plain annotation with its models as they are."""
        return cls(annotation, tuple(map(_as_it_is, _models_in(annotation))))

    def is_current(self, annotation: Any) -> bool:
        """Tell whether this is the annotation, and no model of it was rebuilt."""
        return annotation is self.annotation and all(model.is_current() for model in self.models)

    @contextmanager
    def models_as_they_were(self) -> Iterator[None]:
        """Give the models that were rebuilt what they had, while an adapter is built from them."""
        rebuilt = [model for model in self.models if not model.is_current()]
        now = [_Model(model.cls) for model in rebuilt]
        try:
            for model in rebuilt:
                model.restore()
            yield
        finally:
            for model in now:
                model.restore()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    arguments = get_args(annotation)
    for argument in arguments:
        yield from _models_in(argument)
    if not arguments and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def _as_it_is(cls: type[BaseModel]) -> _Model:
    address = id(cls.__pydantic_validator__)
    model = _shared.get(address)
    if model is None or model.cls is not cls or not model.is_current():
        model = _shared[address] = _Model(cls)
    return model
