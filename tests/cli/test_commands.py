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
        ((), "Could not find a default file to run, please provide an explicit path"),
        (("missing.py",), "Path does not exist missing.py"),
        (("-e", "module"), "Import string must be in the format module.submodule:app_name"),
        (("-e", "nowhere:app"), "Could not import nowhere"),
        (("-e", "a:b", "--app", "c"), "Cannot use --entrypoint together with path or --app arguments"),
        (("empty.py",), "Could not find FastAPI app in module, try using --app"),
        (("empty.py", "--app", "nothing"), "Could not find app name nothing in empty"),
        (("empty.py", "--app", "number"), "The app name number in empty doesn't seem to be a FastAPI app"),
        (("theirs.py",), "The application in theirs is FastAPI's: import it from ferroapi, or use --alias"),
    ],
)
def test_cli_says_what_is_wrong_and_ends_with_one(arguments: tuple[str, ...], message: str) -> None:
    Path("empty.py").write_text("number = 1\n")
    Path("theirs.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    result = invoke("run", *arguments)
    assert result.exit_code == 1
    assert message in result.output


def test_cli_keeps_an_import_error_of_the_application() -> None:
    Path("broken.py").write_text("import a_module_that_is_not_there\n")
    result = invoke("run", "broken.py")
    assert isinstance(result.exception, ModuleNotFoundError)


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


def test_cli_refuses_an_entrypoint_that_is_no_string() -> None:
    Path("pyproject.toml").write_text("[tool.fastapi]\nentrypoint = 1\n")
    assert "entrypoint must be a string" in invoke("run").output


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
    assert lines[2].split(None, 3) == ["/plain", "GET,HEAD", "python", "it is a Route"]
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
    assert findings["routes", "note"] == "GET,HEAD /plain costs what it does in FastAPI: it is a Route"
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
    assert "starlette 1.2.3 is installed, starlette<2,>=1.6.0 is required" in result.output


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
            server.communicate(timeout=20)


def fetch(url: str, server: "subprocess.Popen[bytes]") -> bytes:
    """The answer, once the server is up."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return bytes(response.read())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")
