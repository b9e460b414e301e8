"""A layer of Starlette's whose text is not one that the chain was written for runs as it is."""

from pathlib import Path

import pytest
import starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from ferroapi._middleware import chain, texts

OLDER = tuple(map(int, starlette.__version__.split(".")[:2])) < (1, 10)
FUNCTIONS = "starlette.middleware.base"
OTHERS = sorted(name for name in texts._DIGESTS if name.startswith("starlette.") and name != FUNCTIONS)


async def application(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nobody calls it")


@pytest.mark.parametrize(
    "name",
    [
        *OTHERS,
        pytest.param(
            FUNCTIONS, marks=pytest.mark.skipif(OLDER, reason="middleware functions of an older Starlette are its own")
        ),
    ],
)
def test_text_of_the_installed_starlette_is_known(name: str) -> None:
    assert texts.is_known(name)


def test_layer_of_another_text_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = CORSMiddleware(application)
    assert chain.place_of(layer) is not None
    module = __import__("starlette.middleware.cors", fromlist=["cors"])
    other = tmp_path / "cors.py"
    other.write_bytes(Path(module.__file__).read_bytes() + b"\n")
    for path in (str(other), str(tmp_path / "missing.py"), None):
        monkeypatch.setattr(module, "__file__", path)
        texts.is_known.cache_clear()
        assert chain.place_of(layer) is None
        assert list(chain.explain([CORSMiddleware])) == [("CORSMiddleware", "it is called in a way of its own")]
    monkeypatch.undo()
    texts.is_known.cache_clear()
    assert chain.place_of(layer) is not None


def test_layer_that_runs_itself_needs_no_known_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = __import__("starlette.middleware.gzip", fromlist=["gzip"])
    monkeypatch.setattr(module, "__file__", str(tmp_path / "missing.py"))
    assert chain.place_of(GZipMiddleware(application)) is not None
    assert list(chain.explain([GZipMiddleware])) == [("GZipMiddleware", "")]
