"""What an editor offers where an application is written: the names of all options, and the text of each.

jedi and pyright's language server are asked; the options and their text are read from `_options.py` as it stands.
"""

import ast
import importlib.util
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jedi
import pytest

import ferroapi
from ferroapi import _options

# Both read the package and its dependencies first, which takes long on a busy machine.

SOURCE = Path(ferroapi.__file__).parent
HEAD = """\
from typing import Any
from ferroapi import APIRouter, Body, Cookie, FastAPI, File, Form, Header, Path, Query

app = FastAPI()
anything: Any = 1
"""
COMPLETED = "app.get("
CALLS: dict[str, Callable[..., Any]] = {
    "FastAPI(": ferroapi.FastAPI,
    "APIRouter(": ferroapi.APIRouter,
    **{f"app.{verb}(": getattr(ferroapi.FastAPI, verb) for verb in ("get", "post")},
    "APIRouter().get(": ferroapi.APIRouter.get,
    "app.api_route(": ferroapi.FastAPI.api_route,
    "app.include_router(": ferroapi.FastAPI.include_router,
    "APIRouter().include_router(": ferroapi.APIRouter.include_router,
    **{
        f"{each.__name__}(": each
        for each in (
            ferroapi.Path,
            ferroapi.Query,
            ferroapi.Header,
            ferroapi.Cookie,
            ferroapi.Body,
            ferroapi.Form,
            ferroapi.File,
        )
    },
}


def options_of(call: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(call).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


@pytest.fixture(scope="module")
def texts() -> dict[str, set[str]]:
    """Return the texts of each option, by its name: what stands under it in the source."""
    found: dict[str, set[str]] = {}
    for declared in ast.parse(Path(_options.__file__).read_text()).body:
        body = declared.body if isinstance(declared, ast.ClassDef) else []
        for option, text in pairwise(body):
            if isinstance(option, ast.AnnAssign) and isinstance(option.target, ast.Name):
                assert isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant), option.target.id
                found.setdefault(option.target.id, set()).add(inspect.cleandoc(str(text.value.value)))
    return found


def test_stub_says_what_the_options_say() -> None:
    written = importlib.util.spec_from_file_location("options_stub", Path(__file__).with_name("options_stub.py"))
    assert written is not None and written.loader is not None
    module = importlib.util.module_from_spec(written)
    written.loader.exec_module(module)
    assert module.STUB.read_text() == module.stub(), "make options-stub"


@pytest.mark.parametrize("call", CALLS)
def test_jedi_completes_and_shows_every_option_with_its_text(call: str, texts: dict[str, set[str]]) -> None:
    script = jedi.Script(HEAD + call, project=jedi.Project(SOURCE.parent))
    line, column = HEAD.count("\n") + 1, len(call)
    shown = {parameter.name: parameter.description for parameter in script.get_signatures(line, column)[0].params}
    completed = {each.name.removesuffix("="): each for each in script.complete(line, column) if each.name.endswith("=")}
    for name in options_of(CALLS[call]):
        said = [" ".join(text.split()) for text in texts.get(name, [""])]
        # jedi shows the source, in which quotes can have a backslash before them.
        assert any(text in shown[name].replace("\\", "") for text in said), shown[name]
        assert any(text in completed[name].description.replace("\\", "") for text in said), name


KEYWORD = """\
def inner(*, option: int = 1): ...
def outer(**options): return inner(**options)
inner(option=2)
outer(option=2)
"""


def test_jedi_finds_no_option_at_its_keyword_where_a_function_has_two_stars() -> None:
    # At a keyword jedi reads a function's own parameters only; in signatures it follows the stars. So
    # docs/compatibility.md says that an option's text is shown there and not over the keyword. If this fails, say more.
    script = jedi.Script(KEYWORD)
    assert [found.description for found in script.help(3, len("inner(o"))] == ["param option: int=1"]
    assert script.help(4, len("outer(o")) == script.goto(4, len("outer(o")) == []
    ours = jedi.Script(f"{HEAD}app.get('/', response_model=int)\n", project=jedi.Project(SOURCE.parent))
    line = HEAD.count("\n") + 1
    assert ours.help(line, len("app.get('/', r")) == []
    assert "response_model" in ours.help(line, len("app.g"))[0].docstring()


class LanguageServer:
    """pyright's language server, asked over its pipes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.as_uri()
        self._last = 0
        command = [sys.executable, "-m", "pyright.langserver", "--stdio"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        plain = {"contentFormat": ["plaintext"]}
        self.ask(
            "initialize",
            processId=None,
            rootUri=self._folder,
            workspaceFolders=[{"uri": self._folder, "name": "site"}],
            capabilities={"workspace": {"configuration": True}, "textDocument": {"hover": plain}},
        )
        self._send({"method": "initialized", "params": {}})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        output = self.process.stdout
        assert output is not None
        head = dict(line.split(b": ") for line in iter(lambda: output.readline().strip(), b""))
        message: dict[str, Any] = json.loads(output.read(int(head[b"Content-Length"])))
        return message

    def ask(self, method: str, **params: Any) -> Any:
        """Return the result of a request; what the server asks meanwhile is answered with its settings."""
        self._last += 1
        self._send({"id": self._last, "method": method, "params": params})
        while True:
            message = self._receive()
            if "method" not in message and message["id"] == self._last:
                assert "error" not in message, message
                return message["result"]
            if "id" in message and "method" in message:
                settings = {"pythonPath": sys.executable, "analysis": {"extraPaths": [str(SOURCE.parent)]}}
                count = len((message["params"] or {}).get("items", ()))
                self._send({"id": message["id"], "result": [settings] * count or None})

    def open(self, text: str) -> None:
        document = {"uri": f"{self._folder}/main.py", "languageId": "python", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})

    def at(self, method: str, line: int, column: int) -> Any:
        """Ask about a place, counted from 0."""
        position = {"line": line, "character": column}
        return self.ask(f"textDocument/{method}", textDocument={"uri": f"{self._folder}/main.py"}, position=position)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    server = LanguageServer(tmp_path_factory.mktemp("project"))
    # A line for each call, with each option.
    lines = [f"{call}{', '.join(f'{name}=anything' for name in sorted(options_of(CALLS[call])))}, )" for call in CALLS]
    server.open(HEAD + "\n".join([*lines, f"{COMPLETED})"]))
    yield server
    server.process.kill()
    server.process.communicate()


@pytest.mark.parametrize("call", CALLS)
def test_pyright_shows_the_text_of_every_option(call: str, server: LanguageServer, texts: dict[str, set[str]]) -> None:
    line, column = HEAD.count("\n") + list(CALLS).index(call), len(call)
    for name in sorted(options_of(CALLS[call])):
        if name in texts:
            hover = server.at("hover", line, column)["contents"]["value"]
            assert any(text in hover for text in texts[name]), hover
        column += len(f"{name}=anything, ")


@pytest.mark.parametrize("call", CALLS)
def test_pyright_names_every_option_in_the_signature(call: str, server: LanguageServer) -> None:
    help = server.at("signatureHelp", HEAD.count("\n") + list(CALLS).index(call), len(call))
    label = help["signatures"][help.get("activeSignature") or 0]["label"]
    assert {name for name in options_of(CALLS[call]) if f"{name}:" not in label} == set()


def test_pyright_completes_options(server: LanguageServer) -> None:
    line = HEAD.count("\n") + len(CALLS)
    found = server.at("completion", line, len(COMPLETED))["items"]
    names = {item["label"].removesuffix("=") for item in found if item["label"].endswith("=")}
    assert options_of(ferroapi.FastAPI.get) <= names
