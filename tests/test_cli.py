"""The command line: what it finds, what it says when it finds nothing, and that it serves."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import typer.testing
import uvicorn

from ferroapi import cli
from ferroapi._cli import commands, discovery

PACKAGE_ROOT = Path(__file__).resolve().parents[1] / "python"
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


def test_cli_explains_each_route() -> None:
    Path("explained.py").write_text(
        "from ferroapi import FastAPI\napp = FastAPI()\n@app.get('/items')\nasync def items(): return []\n"
    )
    result = invoke("explain", "explained:app")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0].split() == ["path", "methods", "mode", "reason"]
    assert any(line.startswith("/items ") for line in result.output.splitlines())


def test_cli_table_aligns_columns() -> None:
    assert commands.table(("a", "bb"), [("ccc", "d"), ("", "")]) == "a    bb\nccc  d\n"


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
