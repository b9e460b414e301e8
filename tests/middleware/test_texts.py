"""A layer of Starlette's whose text is not one that the chain was written for runs as it is."""

from pathlib import Path

import pytest
import starlette
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware

from ferroapi._middleware import chain, texts

OLDER = tuple(map(int, starlette.__version__.split(".")[:2])) < (1, 10)
NAMES = sorted({known.__module__ for known in chain._KNOWN})


async def application(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nobody calls it")


@pytest.mark.skipif(OLDER, reason="layers of an older Starlette run as they are")
@pytest.mark.parametrize("name", NAMES)
def test_text_of_the_installed_starlette_is_known(name: str) -> None:
    assert texts.is_known(name)


def test_layer_of_another_text_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = HTTPSRedirectMiddleware(application)
    assert chain.serve_of(layer) is not None
    module = __import__("starlette.middleware.httpsredirect", fromlist=["httpsredirect"])
    other = tmp_path / "httpsredirect.py"
    other.write_bytes(Path(module.__file__).read_bytes() + b"\n")
    for path in (str(other), str(tmp_path / "missing.py"), None):
        monkeypatch.setattr(module, "__file__", path)
        texts.is_known.cache_clear()
        assert chain.serve_of(layer) is None
        assert list(chain.explain([HTTPSRedirectMiddleware])) == [
            ("HTTPSRedirectMiddleware", "it is called in a way of its own")
        ]
    monkeypatch.undo()
    texts.is_known.cache_clear()
    assert chain.serve_of(layer) is not None
