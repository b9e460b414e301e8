"""A layer of Starlette's whose text is not one that the chain was written for runs as it is."""

from pathlib import Path

import pytest
from starlette.middleware.cors import CORSMiddleware

from ferroapi._middleware import chain, texts

NAMES = sorted({known.__module__ for known in chain._KNOWN})


async def application(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nobody calls it")


@pytest.mark.parametrize("name", NAMES)
def test_text_of_the_installed_starlette_is_known(name: str) -> None:
    assert texts.is_known(name)


def test_layer_of_another_text_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = CORSMiddleware(application)
    assert chain.serve_of(layer) is not None
    module = __import__("starlette.middleware.cors", fromlist=["cors"])
    other = tmp_path / "cors.py"
    other.write_bytes(Path(module.__file__).read_bytes() + b"\n")
    for path in (str(other), str(tmp_path / "missing.py"), None):
        monkeypatch.setattr(module, "__file__", path)
        texts.is_known.cache_clear()
        assert chain.serve_of(layer) is None
        assert list(chain.explain([CORSMiddleware])) == [("CORSMiddleware", "it is called in a way of its own")]
    monkeypatch.undo()
    texts.is_known.cache_clear()
    assert chain.serve_of(layer) is not None
