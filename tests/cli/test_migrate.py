"""`ferroapi migrate`: what it renames, what it leaves, and that nothing else changes by a byte."""

import ast
import errno
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from hypothesis import given
from hypothesis import strategies as st

from ferroapi._cli import commands, third_party
from ferroapi._cli.rewrite import CannotRewriteError, Remark, rewrite

IMPORTS = {
    "import fastapi\n": "import ferroapi\n",
    "import fastapi as f\n": "import ferroapi as f\n",
    "import os, fastapi , sys\n": "import os, ferroapi , sys\n",
    "import os, \\\n  fastapi\nfastapi.x\n": "import os, \\\n  ferroapi\nferroapi.x\n",
    "import fastapi.routing\n": "import ferroapi.routing\n",
    "import fastapi.security.oauth2 as o\n": "import ferroapi.security.oauth2 as o\n",
    "from fastapi import FastAPI\n": "from ferroapi import FastAPI\n",
    "from fastapi import *\n": "from ferroapi import *\n",
    "from fastapi.routing import APIRoute as R, APIRouter\n": "from ferroapi.routing import APIRoute as R, APIRouter\n",
    "from fastapi import (\n    FastAPI,  # the app\n    Query,\n)\n": (
        "from ferroapi import (\n    FastAPI,  # the app\n    Query,\n)\n"
    ),
    "if True:\n\tfrom  fastapi  import  Query ;x=1\n": "if True:\n\tfrom  ferroapi  import  Query ;x=1\n",
    "from fastapi import __version__\n": "from ferroapi import __fastapi_version__ as __version__\n",
    "from fastapi import __version__ as v, Query\n": "from ferroapi import __fastapi_version__ as v, Query\n",
}

NAMES = {
    "import fastapi\napp = fastapi.FastAPI()\n": "import ferroapi\napp = ferroapi.FastAPI()\n",
    "import fastapi\nprint(f'{fastapi.Query}')\n": "import ferroapi\nprint(f'{ferroapi.Query}')\n",
    "import fastapi\nprint(fastapi.__version__)\n": "import ferroapi\nprint(ferroapi.__fastapi_version__)\n",
    "import fastapi as f\nprint(f.__version__)\n": "import ferroapi as f\nprint(f.__fastapi_version__)\n",
    "import fastapi.routing\nfastapi.routing.APIRoute\n": "import ferroapi.routing\nferroapi.routing.APIRoute\n",
    "import fastapi\ndef f(r: 'fastapi.Request'): ...\n": "import ferroapi\ndef f(r: 'ferroapi.Request'): ...\n",
    "import fastapi\ndef f(r: 'list[fastapi.Request]'): ...\n": (
        "import ferroapi\ndef f(r: 'list[ferroapi.Request]'): ...\n"
    ),
    "def f():\n    import fastapi\n    return fastapi.Query\n": (
        "def f():\n    import ferroapi\n    return ferroapi.Query\n"
    ),
    # Another meaning of the same name is not touched.
    "import fastapi\ndef f(fastapi): return fastapi.x\n": "import ferroapi\ndef f(fastapi): return fastapi.x\n",
    "import fastapi\nx.fastapi(fastapi=fastapi)\n": "import ferroapi\nx.fastapi(fastapi=ferroapi)\n",
    "try:\n    import fastapi\nexcept ImportError:\n    fastapi = None\nif fastapi: ...\n": (
        "try:\n    import ferroapi\nexcept ImportError:\n    ferroapi = None\nif ferroapi: ...\n"
    ),
    "import fastapi, ferroapi\nfastapi.Query\n": "import ferroapi, ferroapi\nferroapi.Query\n",
    # Where the name itself is handed around, it stays.
    "import fastapi\n__all__ = ['fastapi']\n": "import ferroapi as fastapi\n__all__ = ['fastapi']\n",
    "import fastapi\nferroapi = 1\nfastapi.x\n": "import ferroapi as fastapi\nferroapi = 1\nfastapi.x\n",
    "class A:\n    import fastapi\nA.fastapi\n": "class A:\n    import ferroapi as fastapi\nA.fastapi\n",
    "def f():\n    global fastapi\n    import fastapi\n": (
        "def f():\n    global fastapi\n    import ferroapi as fastapi\n"
    ),
    "import fastapi\ndef fastapi(): ...\n": "import ferroapi as fastapi\ndef fastapi(): ...\n",
}

TARGETS = {
    'import_module("fastapi.middleware.cors")\n': 'import_module("ferroapi.middleware.cors")\n',
    "importlib.util.find_spec('fastapi')\n": "importlib.util.find_spec('ferroapi')\n",
    "mock.patch('fastapi.routing.run_endpoint_function')\n": "mock.patch('ferroapi.routing.run_endpoint_function')\n",
    "mock.patch.dict('fastapi.x.y', {})\n": "mock.patch.dict('ferroapi.x.y', {})\n",
    "monkeypatch.setattr('fastapi.routing._X', 'fastapi')\n": "monkeypatch.setattr('ferroapi.routing._X', 'fastapi')\n",
    "pytest.importorskip('fastapi')\n": "pytest.importorskip('ferroapi')\n",
    "pkgutil.resolve_name('fastapi:FastAPI')\n": "pkgutil.resolve_name('ferroapi:FastAPI')\n",
    "sys.modules['fastapi.routing']\n": "sys.modules['ferroapi.routing']\n",
    "sys.modules.pop('fastapi', None)\n": "sys.modules.pop('ferroapi', None)\n",
    "@filterwarnings('ignore::fastapi.exceptions.W')\ndef f(): ...\n": (
        "@filterwarnings('ignore::ferroapi.exceptions.W')\ndef f(): ...\n"
    ),
}

UNTOUCHED = [
    "from .fastapi import x\n",
    "from . import fastapi_tools\n",
    "import fastapi_utils, prometheus_fastapi_instrumentator\n",
    "from strawberry.fastapi import GraphQLRouter\n",
    "import sentry_sdk.integrations.fastapi\n",
    "fastapi = 1\nfastapi.x\n",
    "import_module('fastapiextra.x')\n",
    "x = 'see fastapi.tiangolo.com'  # import fastapi\n",
    "x: Literal['fastapi.x'] = y\n# nothing is imported\n",
    "url = '/fastapi'\n",
]


@pytest.mark.parametrize(("before", "after"), [*(IMPORTS | NAMES | TARGETS).items()])
def test_migrate_renames(before: str, after: str) -> None:
    assert rewrite(before.encode()).source.decode() == after
    assert rewrite(after.encode()).source.decode() == after, "it is idempotent"


@pytest.mark.parametrize("source", UNTOUCHED)
def test_migrate_leaves_what_only_looks_like_it(source: str) -> None:
    assert rewrite(source.encode()).source.decode() == source


@pytest.mark.parametrize(
    "source",
    [
        b"import fastapi\r\nx = 1\nfastapi.x\r\n",
        b"import fastapi\n\n\n\t\n#end",
        b"# -*- coding: latin-1 -*-\nimport fastapi\nx = '\xe9'\n",
        b"import fastapi\nx = (  1,\n2 ,)\\\n  + y ;\n",
        b"import fastapi\n\x0cdef f() : pass",
        b"\xef\xbb\xbfimport fastapi\n",
    ],
    ids=["line ends", "no last line end", "encoding", "spacing", "form feed", "byte order mark"],
)
def test_migrate_changes_only_the_name(source: bytes) -> None:
    assert rewrite(source).source == source.replace(b"fastapi", b"ferroapi")


@pytest.mark.parametrize(
    ("source", "remarks"),
    [
        ("\nx = 'fastapi.endpoint'\n", [Remark(2, "fastapi.endpoint")]),
        ("run([python, '-m', 'fastapi'])\n", [Remark(1, "fastapi")]),
        ("code = '''\nfrom fastapi import Query\n'''\n", [Remark(1, "from fastapi import Query")]),
        ("from .deps import fastapi\n", [Remark(1, "from .deps import fastapi")]),
        ("url = 'https://fastapi.tiangolo.com'\n", []),
    ],
)
def test_migrate_remarks_what_it_leaves(source: str, remarks: list[Remark]) -> None:
    rewritten = rewrite(source.encode())
    assert (rewritten.source.decode(), [*rewritten.remarks]) == (source, remarks)


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        (b"import fastapi\ndef (", 2, "it cannot be parsed: "),
        (b"import fastapi\nx = '\xff'\n", 2, "it cannot be parsed: "),
        (b"# coding: nonsense\nimport fastapi\n", 1, "it cannot be parsed: unknown encoding: nonsense"),
        (b"x = 1\n\x0cimport fastapi\n", 2, "LibCST does not give back this line"),
        (b"x = 1\nimport fastapi.routing\nferroapi = 1\n", 2, "means something else here as well"),
    ],
)
def test_migrate_refuses_a_file_with_a_place_and_a_reason(source: bytes, line: int, message: str) -> None:
    with pytest.raises(CannotRewriteError, match=re.escape(message)) as refused:
        rewrite(source)
    assert refused.value.line == line


def test_migrate_says_where_a_file_cannot_be_parsed_that_this_python_could(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferroapi._cli.rewrite.ast.parse", lambda source: None)
    with pytest.raises(CannotRewriteError, match="it cannot be parsed: Syntax Error") as refused:
        rewrite(b"import fastapi\n\ndef (\n")
    assert refused.value.line == 3


LINES = st.sampled_from(
    [
        "import os",
        "from .fastapi import x",
        "def f(fastapi, *, ferroapi=1): return fastapi.y",
        "x = 'fastapi'  # fastapi",
        "class fastapi_app: pass",
        "y = x.fastapi.z ;z=1",
        "@decorated(fastapi=1)\ndef g(): \n\t'''import fastapi'''",
        "import  fastapi_cli",
        "\tpass",
        "",
        "# \N{SNOWMAN}",
    ]
)


@given(st.lists(LINES, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_migrate_changes_nothing_without_fastapi(lines: list[str], end: str) -> None:
    source = end.join(lines).encode()
    try:
        assert rewrite(source).source == source
    except CannotRewriteError as error:
        with pytest.raises(SyntaxError):
            compile(source, "<source>", "exec")
        assert "cannot be parsed" in str(error)


@given(st.lists(st.sampled_from([*IMPORTS, *NAMES, *TARGETS, *UNTOUCHED]), max_size=5))
def test_migrate_is_idempotent(parts: list[str]) -> None:
    try:
        once = rewrite("".join(parts).encode()).source
    except CannotRewriteError:
        return
    assert rewrite(once).source == once


class Environment(third_party.Installed):
    """An environment of our own making: packages by their modules, and what they require."""

    def __init__(self) -> None:
        self._packages = {"web": ["Web"], "plain": ["plain"], "extra": ["extra"], "fastapi_users": ["fastapi-users"]}
        self._required = {
            "Web": ["starlette>=1", "FastAPI[standard] (>=0.100)"],
            "plain": ["fastapi-cli; extra == 'x'", "starlette"],
            "extra": ["fastapi>=0.1; extra == 'api'", 'fastapi; python_version > "3" and extra == "dev"'],
        }

    def requirements(self, package: str) -> list[str]:
        return self._required.get(package, [])


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("web.client", ("Web", True)),
        ("plain", None),
        ("extra", ("extra", False)),
        ("extra.fastapi", ("extra", True)),
        ("fastapi_users.db", ("fastapi-users", True)),
        ("not_installed_fastapi", ("not_installed_fastapi", True)),
        ("fastapi.routing", None),
        ("ferroapi", None),
        ("os.path", None),
    ],
)
def test_third_party_findings(module: str, found: tuple[str, bool] | None) -> None:
    findings = third_party.needing_alias({module, "plain"}, Environment())
    assert [(each.package, each.certain) for each in findings] == ([found] if found else [])


def test_third_party_reads_the_environment() -> None:
    installed = third_party.Installed()
    assert installed.owners("pytest") == ["pytest"]
    assert installed.owners("opentelemetry.sdk.trace") == ["opentelemetry-sdk"]
    assert any(requirement.startswith("pluggy") for requirement in installed.requirements("pytest"))
    assert installed.requirements("no-such-package-at-all") == []


def test_third_party_reads_imports() -> None:
    source = b"import a.b, c\nfrom d.e import f\nfrom g import fastapi\nfrom . import h\ndef i():\n    import j\n"
    assert third_party.imported_modules(source) == {"a.b", "c", "d.e", "g", "g.fastapi", "j"}
    with pytest.raises(SyntaxError):
        third_party.imported_modules(b"def (")
    # What Python has to say of such a string is a warning, which is an error in these tests.
    assert third_party.imported_modules(b"import a\nx = '\\d'\n") == {"a"}


def test_third_party_reads_imports_in_every_kind_of_block() -> None:
    blocks = (
        "class A:\n    import a\n"
        "async def b():\n    async with b:\n        import b\n"
        "try:\n    import c\nexcept E:\n    import d\nelse:\n    import e\nfinally:\n    import f\n"
        "if x:\n    import g\nelif y:\n    import h\nelse:\n    import i\n"
        "for x in y:\n    import j\nelse:\n    import k\nwhile x:\n    import l\n"
        "match x:\n    case 1:\n        import m\n"
        "try:\n    import n\nexcept* E:\n    import o\n"
    )
    assert third_party.imported_modules(blocks.encode()) == set("abcdefghijklmno")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files = {
        "app/main.py": "from fastapi import FastAPI\nimport fastapi_users\nname = 'fastapi'\n",
        "app/other.py": "import os",
        "app/types.pyi": "from fastapi import Request",
        "app/broken.py": "import fastapi\ndef (\n",
        "app/notes.txt": "import fastapi\n",
        "app/.hidden/x.py": "import fastapi\n",
        "app/venv/pyvenv.cfg": "",
        "app/venv/x.py": "import fastapi\n",
    }
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file() and path.name != "x.py"}


def test_cli_migrate_shows_and_writes_only_when_told(project: Path) -> None:
    before = contents(project)
    shown = typer.testing.CliRunner().invoke(commands.commands, ["migrate", "app"])
    assert (shown.exit_code, contents(project)) == (2, before), "one file is broken"
    assert shown.stdout == (
        "--- a/app/main.py\n+++ b/app/main.py\n@@ -1,3 +1,3 @@\n"
        "-from fastapi import FastAPI\n+from ferroapi import FastAPI\n"
        " import fastapi_users\n name = 'fastapi'\n"
        "--- a/app/types.pyi\n+++ b/app/types.pyi\n@@ -1 +1 @@\n-from fastapi import Request\n"
        "\\ No newline at end of file\n+from ferroapi import Request\n\\ No newline at end of file\n"
    )
    assert "4 files read, 2 would change (--write to do it)" in shown.stderr
    assert "app/broken.py:2: it cannot be parsed: invalid syntax" in shown.stderr
    assert "app/main.py:3: fastapi" in shown.stderr
    assert "fastapi_users (fastapi_users): the package is named after fastapi" in shown.stderr

    written = typer.testing.CliRunner().invoke(commands.commands, ["migrate", "app", "--write"])
    assert (written.exit_code, written.stdout) == (2, shown.stdout)
    assert "2 changed" in written.stderr
    changed = before | {
        "main.py": before["main.py"].replace("from fastapi", "from ferroapi"),
        "types.pyi": "from ferroapi import Request",
    }
    assert contents(project) == changed
    assert "x.py" not in written.stdout

    again = typer.testing.CliRunner().invoke(commands.commands, ["migrate", "app/main.py", "--write"])
    assert (again.exit_code, again.stdout, contents(project)) == (0, "", changed)


def test_cli_migrate_refuses_an_empty_path(project: Path) -> None:
    before = contents(project)
    result = typer.testing.CliRunner().invoke(commands.commands, ["migrate", "", "--write"])
    assert (result.exit_code, "it is empty" in result.stderr, contents(project)) == (2, True, before)


def test_cli_migrate_refuses_a_path_that_is_not_there(tmp_path: Path) -> None:
    result = typer.testing.CliRunner().invoke(commands.commands, ["migrate", str(tmp_path / "nothing")])
    assert (result.exit_code, "Path does not exist" in result.stderr) == (2, True)


# One file each: its name, its bytes, and what is said of it.
BROKEN = {
    "names the package": ("broken.py", b"import fastapi\ndef (\n", ":2: it cannot be parsed: invalid syntax"),
    "does not name it": ("other.py", b"x = 1\nx = (\n", ":2: it cannot be parsed: '(' was never closed"),
    "no text": ("picture.py", b"x\0y", ":1: it cannot be parsed: source code string cannot contain null bytes"),
    "nested": ("deep.py", b"x = " + b"-" * 100_000 + b"1", ":1: it is nested too deeply to be parsed"),
    "no TOML": ("pyproject.toml", b"[project]\nname = fastapi\n", ":2: it is no TOML: "),
    "no UTF-8": ("requirements.txt", b"x\nfastapi # \xff\n", ":2: it is not UTF-8: "),
}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, ["--check"]) for kind in BROKEN),
        *(("names the package", options) for options in ([], ["--write"], ["--json"], ["--reverse"])),
    ],
)
def test_cli_migrate_ends_with_two_where_a_file_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name, source, said = BROKEN[kind]
    if "--reverse" in options:
        source = source.replace(b"fastapi", b"ferroapi")
    Path(name).write_bytes(source)
    Path("fine.py").write_text("import ferroapi\n" if "--reverse" in options else "import fastapi\n")
    result = typer.testing.CliRunner().invoke(commands.commands, ["migrate", ".", *options])
    assert result.exit_code == 2, result.output
    assert f"{name}{said}" in result.stderr
    assert Path(name).read_bytes() == source
    assert ("import ferroapi" in Path("fine.py").read_text()) is bool({"--write", "--reverse"} & {*options})
    if "--json" in options:
        place, text = said[1:].split(":", 1)
        (refused,) = json.loads(result.stdout)["refused"]
        assert (refused["path"], refused["line"]) == (name, int(place))
        assert refused["text"].startswith(text.strip())


@pytest.mark.parametrize("options", [[], ["--write"]])
def test_cli_migrate_names_a_file_with_null_bytes_under_older_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    parse = ast.parse

    def parse_as_before(source: Any, *arguments: Any, **keywords: Any) -> Any:
        if source == b"fastapi\0":
            # Before 3.11.4 this is no SyntaxError.
            raise ValueError("source code string cannot contain null bytes")
        return parse(source, *arguments, **keywords)

    monkeypatch.setattr(ast, "parse", parse_as_before)
    monkeypatch.chdir(tmp_path)
    Path("picture.py").write_bytes(b"fastapi\0")
    result = typer.testing.CliRunner().invoke(commands.commands, ["migrate", ".", *options])
    assert result.exit_code == 2, result.exception
    assert "picture.py:1: it cannot be parsed: source code string cannot contain null bytes" in result.stderr


def test_cli_migrate_reads_the_syntax_of_a_newer_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Python 3.14 has this syntax; LibCST knows it under every Python.
    newer = "try:\n    pass\nexcept A, B:\n    x = 1\n"
    Path("newer.py").write_text(newer)
    Path("ours.py").write_text(f"import fastapi\n{newer}")
    result = typer.testing.CliRunner().invoke(commands.commands, ["migrate", ".", "--write", "--json"])
    assert (result.exit_code, json.loads(result.stdout)["changed"]) == (0, ["ours.py"]), result.output


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_cli_migrate_names_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gone.py").symlink_to("nowhere.py")
    Path("fine.py").write_text("import fastapi\n")
    result = typer.testing.CliRunner().invoke(commands.commands, ["migrate", ".", "--check"])
    assert result.exit_code == 2
    assert "gone.py:1: it cannot be read: No such file or directory" in result.stderr
    assert "2 files read, 1 would change" in result.stderr


def test_cli_migrate_names_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["fastapi<1"]\n')
    Path("service.py").write_text("import fastapi\n")
    write_bytes = Path.write_bytes

    def refuse(path: Path, data: bytes) -> int:
        if path.name == "service.py":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    result = typer.testing.CliRunner().invoke(commands.commands, ["migrate", ".", "--write"])
    assert result.exit_code == 2
    assert result.stderr == "service.py cannot be written: Permission denied\n"
    assert "fastapi<1" in Path(".ferroapi-migrate.json").read_text(), "what was written can be brought back"


def test_cli_migrate_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("libcst", "ferroapi._cli.migrate", "ferroapi._cli.rewrite"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("ferroapi._cli.migrate", raising=False)
    monkeypatch.setitem(sys.modules, "libcst", None)
    result = typer.testing.CliRunner().invoke(commands.commands, ["migrate", "."])
    assert (result.exit_code, 'pip install "ferroapi[migrate]"' in result.stderr) == (2, True)
