"""The command line: what it finds, what it says when it finds nothing, and that it serves."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

import pytest
import typer.testing
import uvicorn

from ferroapi import cli
from ferroapi._cli import commands, discovery, report

PACKAGE_ROOT = Path(__file__).resolve().parents[2] / "python"
APPLICATION = "from ferroapi import FastAPI\n{name} = FastAPI(title={title!r})\n"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("FERROAPI_ALIAS", raising=False)
    monkeypatch.setenv("FASTAPI_ENV", "")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the command would have handed to uvicorn."""
    seen: dict[str, object] = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: seen.update(app=app, **options))
    return seen


def write(path: str, name: str = "app", title: str = "t") -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(APPLICATION.format(name=name, title=title))


def invoke(*arguments: str) -> typer.testing.Result:
    return typer.testing.CliRunner().invoke(commands.commands, arguments)


@pytest.mark.parametrize(
    ("files", "module"),
    [
        (["main.py", "app.py"], "main"),
        (["api.py", "app.py"], "app"),
        (["api.py"], "api"),
        (["app/main.py"], "main"),
        (["app/main.py", "app/__init__.py"], "app.main"),
        (["app/api.py", "app/app.py"], "app"),
    ],
)
def test_discovery_tries_default_files_in_order(files: list[str], module: str) -> None:
    for file in files:
        write(file)
    assert discovery.locate(None, None).module == module


def test_discovery_package_folder_is_its_init_file(tmp_path: Path) -> None:
    write("outer/__init__.py")
    write("outer/inner/__init__.py")
    point = discovery.locate(Path("outer/inner/__init__.py"), None)
    assert (point.module, point.folder) == ("outer.inner", tmp_path)
    assert discovery.locate(Path("outer/inner"), None).module == "outer.inner"


@pytest.mark.parametrize("name", ["app", "api", "something"])
def test_discovery_prefers_app_then_api_then_any(name: str) -> None:
    write(f"finds_{name}.py", name=name)
    assert discovery.find_application(discovery.locate(Path(f"finds_{name}.py"), None)) == f"finds_{name}:{name}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "it has none of main.py, app.py, api.py,"),
        (("missing.py",), "Path does not exist missing.py"),
        (("folder",), "folder is a folder without __init__.py"),
        (("notes.md",), "notes.md is no Python file"),
        (("-e", "module"), '"module" names no application: write package.module:name'),
        (("nowhere:",), '"nowhere:" names no application: write package.module:name'),
        (("two.py:one",), '"two.py:one" has a file in the place of a module: write two.py --app one, or package.'),
        (("./two:one",), '"./two:one" has a file in the place of a module'),
        (("-e", ".two:one"), '".two:one" has a file in the place of a module'),
        (("two.one",), "and none is installed: write two:one"),
        (("two.three",), "and none is installed\n"),
        (("",), "The path or the name of the application is empty"),
        (("two.py", "--app", ""), "The path or the name of the application is empty"),
        (("-e", "nowhere:app"), "There is no module nowhere in "),
        (("nowhere.inside",), "There is no module nowhere in "),
        (("-e", "a:b", "--app", "c"), "Cannot use --entrypoint together with path or --app arguments"),
        (("empty.py",), "empty has no application: nothing in it is a FastAPI()"),
        (("empty.py", "--app", "nothing"), "empty has no nothing, and no application"),
        (("two.py", "--app", "nothing"), "two has no nothing; its applications are one, other"),
        (("empty.py", "--app", "number"), "number in empty is no application, but of the type int"),
        (("two.py", "--app", "one.router"), "one.router in two is no application, but of the type APIRouter"),
        (("theirs.py",), "The application in theirs is FastAPI's: import it from ferroapi, or use --alias"),
    ],
)
def test_cli_says_what_is_wrong_and_ends_with_one(arguments: tuple[str, ...], message: str) -> None:
    Path("folder").mkdir()
    Path("notes.md").touch()
    Path("empty.py").write_text("number = 1\n")
    Path("two.py").write_text("from ferroapi import FastAPI\none = FastAPI()\nother = FastAPI()\n")
    Path("theirs.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    result = invoke("run", *arguments)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        (
            "import a_module_that_is_not_there\n",
            'Traceback (most recent call last):\n  File "{file}", line 1, in <module>\n'
            "    import a_module_that_is_not_there\n"
            "ModuleNotFoundError: No module named 'a_module_that_is_not_there'\n\n"
            "broken could not be imported, since a_module_that_is_not_there was not found: it is not installed for "
            f"{sys.executable}\n",
        ),
        ("x = (\n", '  File "{file}", line 1\n'),
        ("raise ValueError('no database')\n", "ValueError: no database\n\nbroken could not be imported"),
    ],
)
def test_cli_shows_where_the_code_of_an_application_fails(tmp_path: Path, source: str, printed: str) -> None:
    Path("broken.py").write_text(source)
    result = invoke("run", "broken.py")
    assert result.exit_code == 1
    assert printed.format(file=tmp_path / "broken.py") in result.output
    assert "importlib" not in result.output, "frames before the application's code say nothing to its author"


def test_cli_says_how_to_name_an_application_whose_imports_begin_further_up(tmp_path: Path) -> None:
    Path("further_up").mkdir()
    Path("further_up/stock.py").touch()
    Path("further_up/imports_from_above.py").write_text("import further_up.stock\n")
    result = invoke("run", "further_up/imports_from_above.py")
    assert f"For imports that begin at {tmp_path}, name it as package.module:name" in result.output


def test_cli_takes_a_name_with_dots() -> None:
    Path("holding.py").write_text(
        "from types import SimpleNamespace\nfrom ferroapi import FastAPI\nheld = SimpleNamespace(app=FastAPI())\n"
    )
    assert "routes native" in invoke("explain", "holding:held.app").output


def test_cli_prints_errors_beside_what_another_program_reads() -> None:
    Path("broken_json.py").write_text("raise ValueError\n")
    for command in ("explain", "doctor"):
        assert invoke(command, "missing.py", "--json").stdout == ""
    assert invoke("explain", "broken_json.py", "--json").stdout == ""
    findings = json.loads(invoke("doctor", "broken_json.py", "--json").stdout)
    assert {"topic": "application", "level": "problem", "text": "ValueError: "} in findings


def test_cli_doctor_examines_the_environment_of_a_broken_application() -> None:
    Path("broken_examined.py").write_text("raise ValueError('no database')\n")
    result = invoke("doctor", "broken_examined.py")
    assert result.exit_code == 1
    assert re.search(r"^versions +ok +starlette ", result.stdout, re.M)
    assert re.search(r"^application +problem +ValueError: no database$", result.stdout, re.M)
    assert 'broken_examined.py", line 1' in result.stderr


def test_cli_prints_its_help_without_a_command() -> None:
    assert "explain" in invoke().output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--http", "nonsense"], "nonsense cannot be imported"),
        (["--http", "no_such_module:Protocol"], "no_such_module:Protocol cannot be imported"),
        (["--reload", "--reload-dir", "missing"], "'missing' does not exist"),
    ],
)
def test_cli_run_refuses_what_a_server_would_stumble_over(
    served: dict[str, object], options: list[str], message: str
) -> None:
    write("refused.py")
    result = invoke("run", "refused.py", *options)
    assert result.exit_code == 2 and not served
    assert message in " ".join(result.output.replace("│", "").split())


def test_cli_run_passes_its_options_to_uvicorn(served: dict[str, object]) -> None:
    write("production.py")
    result = invoke(
        *("run", "production.py", "--host", "::1", "--port", "81", "--workers", "3", "--root-path", "/api"),
        *("--no-proxy-headers", "--forwarded-allow-ips", "*"),
    )
    assert result.exit_code == 0, result.output
    assert served == {
        "app": "production:app",
        "host": "::1",
        "port": 81,
        "reload": False,
        "reload_dirs": None,
        "workers": 3,
        "root_path": "/api",
        "proxy_headers": False,
        "forwarded_allow_ips": "*",
        "http": "ferroapi.server:HTTPProtocol",
    }


@pytest.mark.parametrize("command", ["run", "dev"])
def test_cli_http_chooses_another_protocol(served: dict[str, object], command: str) -> None:
    write(f"other_by_{command}.py")
    assert invoke(command, f"other_by_{command}.py", "--http", "h11").exit_code == 0
    assert served["http"] == "h11"


@pytest.mark.parametrize("command", ["run", "dev"])
def test_cli_http_takes_a_class_beside_the_application(served: dict[str, object], tmp_path: Path, command: str) -> None:
    write(f"beside_{command}.py")
    source = "from ferroapi.server import HTTPProtocol\nclass Patient(HTTPProtocol):\n    head_timeout = 60.0\n"
    (tmp_path / f"patient_{command}.py").write_text(source)
    result = invoke(command, f"beside_{command}.py", "--http", f"patient_{command}:Patient")
    assert result.exit_code == 0, result.output
    assert served["http"] == f"patient_{command}:Patient"


def test_cli_dev_reloads_on_localhost(served: dict[str, object], tmp_path: Path) -> None:
    write("development.py")
    assert invoke("dev", "development.py", "--reload-dir", ".").exit_code == 0
    assert (served["host"], served["reload"], served["reload_dirs"]) == ("127.0.0.1", True, [str(tmp_path)])


@pytest.mark.parametrize("command", ["run", "dev"])
def test_cli_verbose_says_what_is_imported(served: dict[str, object], tmp_path: Path, command: str) -> None:
    file = f"spoken_by_{command}.py"
    write(file)
    assert "Importing" not in invoke(command, file).output
    result = invoke(command, file, "-v")
    assert result.exit_code == 0
    assert f"Importing spoken_by_{command}:app from {tmp_path / file}" in result.output


def test_cli_reads_entrypoint_from_pyproject(served: dict[str, object]) -> None:
    write("package/__init__.py", name="service")
    Path("pyproject.toml").write_text('[tool.fastapi]\nentrypoint = "package:service"\n')
    assert invoke("run").exit_code == 0
    assert served["app"] == "package:service"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.fastapi]\nentrypoint = 1\n", 'entrypoint must be a string, such as "main:app"'),
        ("[tool]\nfastapi = 1\n", "[tool.fastapi] must be a table"),
        ("tool = 1\n", "[tool.fastapi] must be a table"),
        ("no toml", "cannot be read: Expected"),
        ("# \xff", "cannot be read: 'utf-8' codec"),
        ('[tool.fastapi]\nentrypoint = "main"\n', '"main", the entrypoint of pyproject.toml, names no application'),
        ('[tool.fastapi]\nentrypoint = "nowhere.app:x"\n', "no module nowhere (the entrypoint of pyproject.toml) in"),
    ],
)
def test_cli_says_what_is_wrong_in_pyproject(text: str, message: str) -> None:
    Path("pyproject.toml").write_bytes(text.encode("latin-1"))
    result = invoke("run")
    assert result.exit_code == 1
    assert message in result.output


EXPLAINED = """
from ferroapi import FastAPI
from starlette.routing import Route

app = FastAPI(openapi_url=None)


@app.get("/items")
async def items():
    return []


app.router.routes.append(Route("/plain", lambda request: None))
"""


@pytest.mark.parametrize("way", ["file", "module", "name", "nothing", "entrypoint", "configured"])
@pytest.mark.parametrize("command", ["explain", "doctor"])
def test_cli_looks_at_the_application_that_run_would_serve(command: str, way: str) -> None:
    module = f"looked_at_by_{command}_{way}" if way not in ("nothing", "configured") else f"main_{command}_{way}"
    file = Path("app/main.py") if way == "nothing" else Path(f"{module}.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text(EXPLAINED)
    arguments = {
        "file": [str(file)],
        "module": [module],
        "name": [f"{module}:app"],
        "nothing": [],
        "entrypoint": ["--entrypoint", f"{module}:app"],
        "configured": [],
    }[way]
    if way == "configured":
        Path("pyproject.toml").write_text(f'[tool.fastapi]\nentrypoint = "{module}:app"\n')
    sys.modules.pop("main", None)
    result = invoke(command, *arguments)
    assert "1 of 2 routes native" in result.output, result.output


def test_cli_explains_each_route() -> None:
    Path("explained.py").write_text(EXPLAINED)
    lines = invoke("explain", "explained:app").output.splitlines()
    assert lines[0].split() == ["path", "methods", "mode", "reason"]
    assert lines[1].split() == ["/items", "GET", "native"]
    assert lines[2].split(None, 3) == ["/plain", "GET,HEAD", "python", "it is a Route, not a path operation"]
    assert lines[-1] == "1 of 2 routes native"


def test_cli_explains_as_json() -> None:
    Path("explained_json.py").write_text(EXPLAINED)
    rows = json.loads(invoke("explain", "explained_json:app", "--json").output)
    assert rows[0] == {"kind": "route", "path": "/items", "methods": ["GET"], "mode": "native", "reason": ""}
    assert [row["mode"] for row in rows] == ["native", "python"]


def test_cli_doctor_says_what_is_worth_a_look() -> None:
    Path("examined.py").write_text(EXPLAINED + "app.debug = True\n")
    result = invoke("doctor", "examined:app", "--json")
    findings = {(each["topic"], each["level"]): each["text"] for each in json.loads(result.output)}
    assert (
        findings["routes", "note"]
        == "GET,HEAD /plain costs what it does in FastAPI: it is a Route, not a path operation"
    )
    assert "debug=True" in invoke("doctor", "examined:app").output
    assert any(each["text"].startswith("pydantic 2.") for each in json.loads(result.output))
    # The tests themselves import the real FastAPI.
    assert "the real fastapi 0.165.0 is imported beside ferroapi" in findings["alias", "problem"]
    assert result.exit_code == 1


def test_cli_doctor_names_a_pin_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pinned.py").write_text(EXPLAINED)
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.2.3" if name == "starlette" else version(name))
    result = invoke("doctor", "pinned:app")
    assert result.exit_code == 1
    assert "starlette 1.2.3 is installed, starlette<2,>=1.7.0 is required" in result.output


@pytest.mark.parametrize("command", ["run", "dev"])
def test_cli_says_where_how_and_how_much_is_native(served: dict[str, object], command: str) -> None:
    Path(f"greeting_{command}.py").write_text(EXPLAINED.replace("openapi_url=None", "docs_url='/pages'"))
    output = invoke(command, f"greeting_{command}.py", "--host", "127.0.0.1", "--port", "81").output
    where = "http://127.0.0.1:81"
    assert f"Serving greeting_{command}:app at {where} (documentation at {where}/pages)\n" in output
    assert re.search(
        r"^(uvloop|asyncio), ferroapi.server:HTTPProtocol; \d of \d routes native; imported in \d+ ms$", output, re.M
    )
    assert "\x1b" not in output, "colours are for a terminal"


def test_cli_refuses_to_reload_with_several_workers(served: dict[str, object]) -> None:
    write("both.py")
    result = invoke("run", "both.py", "--reload", "--workers", "2")
    assert result.exit_code == 2 and not served
    assert "a reloading server has" in result.output


def test_cli_offers_the_alias_where_fastapi_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("needs_alias.py").write_text("import fastapi\napp = fastapi.FastAPI()\n")
    monkeypatch.setitem(sys.modules, "fastapi", None)
    result = invoke("run", "needs_alias.py")
    assert result.exit_code == 1
    assert "needs_alias imports fastapi, which is not installed: add --alias" in result.output


def test_cli_can_install_completion() -> None:
    assert "--install-completion" in invoke("--help").output


def test_cli_table_aligns_columns() -> None:
    assert report.table(("a", "bb"), [("ccc", "d"), ("", "")]) == "a    bb\nccc  d\n"


def test_cli_version_names_both() -> None:
    assert invoke("--version").output == "ferroapi 0.1.0 (FastAPI 0.165.0)\n"


def test_cli_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "cli_main", None)
    with pytest.raises(RuntimeError, match="To use the ferroapi command, please install"):
        cli.main()
    assert 'pip install "ferroapi[standard]"' in capsys.readouterr().out
    with pytest.raises(SystemExit, match=re.escape('pip install "ferroapi[standard]"')):
        cli.command()


def test_cli_doctor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    write("examined_without_packaging.py")
    monkeypatch.delitem(sys.modules, "ferroapi._cli.doctor", raising=False)
    monkeypatch.delattr("ferroapi._cli.doctor", raising=False)
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    result = invoke("doctor", "examined_without_packaging.py")
    assert result.exit_code == 1
    assert result.stderr == '`ferroapi doctor` needs packaging: pip install "ferroapi[standard]"\n'


def test_cli_serves_an_application_written_for_fastapi() -> None:
    Path("main.py").write_text(
        "import fastapi, ferroapi\napp = fastapi.FastAPI()\n"
        "@app.get('/')\nasync def root(): return fastapi.FastAPI is ferroapi.FastAPI\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ferroapi", "run", "--alias", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            assert fetch(f"http://127.0.0.1:{port}/", server) == b"true"
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate()


def fetch(url: str, server: "subprocess.Popen[bytes]") -> bytes:
    """The answer, once the server is up."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(url) as response:
                return bytes(response.read())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")
