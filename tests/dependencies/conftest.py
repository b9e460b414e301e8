"""The two frameworks side by side: what a test declares under FastAPI and under ferroapi must come out the same."""

import importlib
from typing import Any

import pytest


class Framework:
    """A framework's package, whose submodules are attributes: `framework.dependencies.utils.get_dependant`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        return importlib.import_module(f"{self.name}.{name}")

    @property
    def utils(self) -> Any:
        return importlib.import_module(f"{self.name}.dependencies.utils")


@pytest.fixture
def ours() -> Framework:
    return Framework("ferroapi")


@pytest.fixture
def theirs() -> Framework:
    return Framework("fastapi")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
