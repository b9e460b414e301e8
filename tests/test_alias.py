"""The alias, in processes of its own: it changes what `fastapi` means, and this process compares with the real one."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PACKAGE_ROOT = Path(__file__).resolve().parents[1] / "python"
PUBLIC_MODULES = [
    "applications",
    "background",
    "concurrency",
    "datastructures",
    "dependencies.models",
    "dependencies.utils",
    "encoders",
    "exception_handlers",
    "exceptions",
    "openapi.docs",
    "openapi.models",
    "openapi.utils",
    "param_functions",
    "params",
    "routing",
    "security.api_key",
    "security.base",
    "security.http",
    "security.oauth2",
    "security.open_id_connect_url",
    "sse",
    "utils",
]


def run(
    code: str, *arguments: str, folder: Path | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    # What `make test-oldest` says of warnings holds here too.
    warnings = ",".join(["error", *filter(None, [os.environ.get("PYTHONWARNINGS")])])
    variables = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "PYTHONWARNINGS": warnings, **environment}
    command = [sys.executable, *(arguments or ("-c", textwrap.dedent(code)))]
    return subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder, check=False)


INSTALL = "import ferroapi.alias\nferroapi.alias.install()\n"


def aliased(code: str, *, by_variable: bool = False) -> str:
    """Standard output of `code`, run after the alias is installed, by a call or by the environment alone."""
    result = run(code, FERROAPI_ALIAS="1") if by_variable else run(INSTALL + textwrap.dedent(code))
    assert result.returncode == 0, result.stderr
    return result.stdout


SAME = [
    "import fastapi, ferroapi; assert fastapi.FastAPI is ferroapi.FastAPI",
    "import fastapi, ferroapi; assert (fastapi.__version__, ferroapi.__version__) == ('0.165.0', '0.1.0')",
    "import fastapi; assert fastapi.__name__ == 'fastapi' and fastapi.__spec__.name == 'fastapi'",
    "import fastapi, ferroapi as f; assert (fastapi.__file__, fastapi.__doc__) == (f.__file__, f.__doc__)",
    "import fastapi.routing, sys; assert sys.modules['fastapi.routing'] is sys.modules['ferroapi.routing']",
    "from fastapi import routing; import ferroapi.routing; assert routing is ferroapi.routing",
    "import fastapi.routing; assert fastapi.routing.APIRoute is __import__('ferroapi').routing.APIRoute",
    "import fastapi.middleware.cors as cors; import ferroapi.middleware.cors as ours; assert cors is ours",
    "import fastapi.middleware.gzip, ferroapi.middleware as ours; assert fastapi.middleware is ours",
    "import ferroapi; names = {}; exec('from fastapi import *', names); assert names['Query'] is ferroapi.Query",
    "import ferroapi; ferroapi.alias.install(); ferroapi.alias.install(); assert ferroapi.alias.is_installed()",
    "import importlib.metadata as m; assert m.version('fastapi') == m.version('FastAPI') == '0.165.0'",
    "from importlib.util import find_spec as find; assert find('fastapi.routing') and not find('fastapi.nonsense')",
    "import pkgutil, fastapi; assert pkgutil.resolve_name('fastapi.routing:APIRouter') is fastapi.APIRouter",
    "import pkgutil, fastapi; assert 'routing' in {each.name for each in pkgutil.iter_modules(fastapi.__path__)}",
    "import inspect, fastapi; assert inspect.getmodule(fastapi.FastAPI) is fastapi.applications",
    "import inspect, fastapi; assert inspect.getsource(fastapi.FastAPI).startswith('class FastAPI')",
    "import wrapt, fastapi.utils as m; a = []; wrapt.register_post_import_hook(a.append, m.__name__); assert a == [m]",
    "import typing, fastapi.exceptions as e; assert typing.get_type_hints(e.HTTPException.__init__)",
]


@pytest.mark.parametrize("check", SAME)
def test_alias_names_are_the_same_objects(check: str) -> None:
    aliased(check)


def test_alias_by_variable_names_are_the_same_objects() -> None:
    """The checks of the test above in one process, without a line of code before them."""
    aliased("\n".join(SAME), by_variable=True)


def test_alias_writes_to_fastapi_reach_ferroapi() -> None:
    aliased("""
        import fastapi, ferroapi
        from unittest import mock

        with mock.patch("fastapi.FastAPI", "patched"), mock.patch("fastapi.routing.APIRoute", "route"):
            assert ferroapi.FastAPI == "patched" and ferroapi.routing.APIRoute == "route"
        assert ferroapi.FastAPI is fastapi.FastAPI is not None
        assert ferroapi.FastAPI.__name__ == "FastAPI"
        fastapi.extra = 1
        assert ferroapi.extra == 1
        del fastapi.extra
        assert not hasattr(ferroapi, "extra")
    """)


def test_alias_version_is_patched_without_touching_ferroapis() -> None:
    aliased("""
        import fastapi, ferroapi
        from unittest import mock

        with mock.patch("fastapi.__version__", "9"):
            assert (fastapi.__version__, ferroapi.__version__) == ("9", "0.1.0")
        assert fastapi.__version__ == vars(fastapi)["__version__"] == "0.165.0"
    """)


def test_alias_missing_names_are_reported_as_fastapis() -> None:
    output = aliased("""
        import fastapi
        for statement in ("fastapi.nonsense", "import fastapi.nonsense", "from fastapi import nonsense"):
            try:
                exec(statement)
            except (AttributeError, ImportError) as error:
                print(type(error).__name__, str(error).partition(" (")[0])
    """)
    assert output.splitlines() == [
        "AttributeError module 'fastapi' has no attribute 'nonsense'",
        "ModuleNotFoundError No module named 'fastapi.nonsense'",
        "ImportError cannot import name 'nonsense' from 'fastapi'",
    ]


def test_alias_reload_keeps_module_and_names() -> None:
    aliased("""
        import importlib, sys, fastapi, fastapi.datastructures
        before = fastapi.datastructures
        importlib.reload(fastapi.datastructures)
        importlib.reload(fastapi)
        assert fastapi.datastructures is before and before.__spec__.name == "fastapi.datastructures"
        assert sys.modules["ferroapi.datastructures"] is before
        assert before.UploadFile.__module__ == "fastapi.datastructures"
        assert fastapi.__version__ == "0.165.0"
    """)


@pytest.mark.parametrize("names", ["fastapi", "fastapi.routing", "fastapi.dependencies.utils fastapi.params", ""])
def test_alias_modules_taken_out_of_the_import_system_go_on(names: str) -> None:
    printed = aliased(
        f"""
        import sys
        import fastapi, fastapi.routing
        from fastapi.testclient import TestClient

        def make():
            from fastapi import Depends, FastAPI, Query
            def number(number: int = Query()): return number
            app = FastAPI()
            @app.get("/")
            def read(number: int = Depends(number)): return number
            return app

        def ask(app):
            client = TestClient(app)
            return client.get("/?number=4").text, client.get("/?number=x").status_code

        early = make()
        print(ask(early))
        for name in {names!r}.split() or [name for name in sys.modules if name.partition(".")[0] == "fastapi"]:
            del sys.modules[name]
        print(ask(early))
        late = make()
        print(ask(early), ask(late))
        import fastapi.routing
        original, calls = fastapi.routing.serialize_response, []
        async def counted(**options):
            calls.append(1)
            return await original(**options)
        fastapi.routing.serialize_response = counted
        print(ask(late), len(calls), fastapi.routing is sys.modules["ferroapi.routing"])
        """
    )
    answers = "('4', 422)"
    assert printed.splitlines() == [answers, answers, f"{answers} {answers}", f"{answers} 1 True"]


def test_alias_exceptions_keep_class_path_and_pickle() -> None:
    output = aliased("""
        import pickle, fastapi.exceptions
        error = fastapi.HTTPException(418, "no coffee")
        data = pickle.dumps(error)
        assert b"fastapi.exceptions" in data and b"ferroapi" not in data
        assert pickle.loads(data).detail == "no coffee"
        print(repr(fastapi.HTTPException))
    """)
    assert output.strip() == "<class 'fastapi.exceptions.HTTPException'>"


def test_alias_classes_and_functions_have_fastapis_module() -> None:
    """Every public class and function that FastAPI defines, by the `__module__` it has there."""
    code = f"""
        import importlib, types
        for module in {PUBLIC_MODULES}:
            for name, value in sorted(vars(importlib.import_module("fastapi." + module)).items()):
                ours = isinstance(value, (type, types.FunctionType)) and (value.__module__ or "").startswith("fastapi")
                if ours and not name.startswith("_"):
                    print(module, name, value.__module__)
    """
    real = run(code)
    assert real.returncode == 0, real.stderr
    expected, found = set(real.stdout.splitlines()), set(aliased(code).splitlines())
    assert len(expected) > 250
    names = {line.rsplit(" ", 1)[0] for line in found}
    wrong = {line for line in expected - found if line.rsplit(" ", 1)[0] in names}
    assert not wrong, sorted(wrong)


def test_alias_late_module_is_renamed_however_it_is_imported() -> None:
    aliased("""
        import sys
        import ferroapi.middleware.asyncexitstack as late
        assert sys.modules["fastapi.middleware.asyncexitstack"] is late
        assert late.AsyncExitStackMiddleware.__module__ == "fastapi.middleware.asyncexitstack"
    """)


@pytest.mark.parametrize("first", ["fastapi", "fastapi.types"])
def test_alias_refuses_when_real_fastapi_is_imported(first: str) -> None:
    result = run(f"import {first}, ferroapi.alias as alias\nalias.install()")
    assert result.returncode == 1
    assert "RealFastAPIImportedError" in result.stderr
    assert "the real 'fastapi' is already imported (from " in result.stderr
    assert "Start the process with FERROAPI_ALIAS=1 in its environment" in result.stderr


def test_alias_by_variable_says_when_the_start_up_file_was_not_read() -> None:
    """As with a folder on PYTHONPATH: `-S` reads no `.pth` file, so here the folders are put in place by hand."""
    result = run("", "-S", "-c", f"import sys; sys.path += {sys.path!r}; import fastapi, ferroapi", FERROAPI_ALIAS="1")
    assert result.returncode == 1
    assert "RealFastAPIImportedError" in result.stderr
    assert "FERROAPI_ALIAS is set, but this interpreter has not read ferroapi_alias.pth" in result.stderr


def test_alias_by_variable_acts_late_where_no_start_up_file_is_read() -> None:
    code = f"import sys; sys.path += {sys.path!r}; import ferroapi, fastapi; assert fastapi.FastAPI is ferroapi.FastAPI"
    result = run("", "-S", "-c", code, FERROAPI_ALIAS="1")
    assert result.returncode == 0, result.stderr


def test_alias_not_installed_leaves_fastapi_alone() -> None:
    result = run("import ferroapi.alias, fastapi, ferroapi; assert fastapi.FastAPI is not ferroapi.FastAPI")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("value", "installed"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_alias_environment_variable_is_enough(value: str, installed: bool) -> None:
    result = run("import fastapi; print(fastapi.__file__.endswith('ferroapi/__init__.py'))", FERROAPI_ALIAS=value)
    assert result.stdout.strip() == str(installed), result.stderr


def test_alias_start_of_the_interpreter_costs_nothing_without_the_variable() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "FERROAPI_ALIAS"}
    command = [sys.executable, "-X", "importtime", "-c", "pass"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "import time" in done.stderr and "ferroapi" not in done.stderr


def test_alias_by_variable_loads_nothing_before_it_is_asked() -> None:
    """Only the finder and what it needs: an interpreter that imports neither package must not pay for one."""
    code = "import sys; print(*sys.modules)"
    plain = set(run(code, FERROAPI_ALIAS="").stdout.split())
    aliased = set(run(code, FERROAPI_ALIAS="1").stdout.split())
    needed = set(
        run(f"import __future__, importlib.machinery, types, warnings\n{code}", FERROAPI_ALIAS="").stdout.split()
    )
    assert aliased - plain - needed == {"_ferroapi_alias"}


def test_alias_is_seen_by_metadata_but_not_in_folders() -> None:
    """`distributions(path=...)` is how pip looks into an environment: it must not find what it cannot remove."""
    aliased("""
        import importlib.metadata as metadata, sys

        names = [each.metadata["Name"] for each in metadata.distributions()]
        assert names.count("fastapi") >= 1 and metadata.distribution("fastapi").version == "0.165.0"
        assert metadata.distribution("fastapi").read_text("top_level.txt") == "fastapi\\n"
        inside = [type(each).__name__ for each in metadata.distributions(path=sys.path)]
        assert "AliasDistribution" not in inside
    """)


def test_alias_failed_import_leaves_no_half_of_a_module(tmp_path: Path) -> None:
    aliased(f"""
        import sys
        import ferroapi
        from pathlib import Path

        ferroapi.__path__.append({str(tmp_path)!r})
        file = Path({str(tmp_path)!r}, "unfinished.py")
        file.write_text("1 / 0")
        for name in ("fastapi.unfinished", "ferroapi.unfinished"):
            try:
                __import__(name)
            except ZeroDivisionError:
                pass
            assert not {{"fastapi.unfinished", "ferroapi.unfinished"}} & sys.modules.keys()
        file.write_text("answer = 42 # " + "x" * 50)
        import ferroapi.unfinished, fastapi.unfinished
        assert fastapi.unfinished is ferroapi.unfinished and fastapi.unfinished.answer == 42
    """)


def test_alias_runs_python_dash_m_fastapi() -> None:
    code = "import ferroapi.alias, runpy; ferroapi.alias.install(); runpy.run_module('fastapi', run_name='__main__')"
    result = run("", "-c", f"import sys; sys.argv = ['fastapi', '--version']; {code}")
    assert result.stdout.startswith("ferroapi 0.1.0 (FastAPI 0.165.0)"), result.stderr


def test_alias_of_the_command_line_that_is_late_names_the_variable() -> None:
    """As under a tracer that imports `fastapi` when it starts."""
    arguments = ["ferroapi", "run", "--alias", "main.py"]
    result = run(f"import fastapi, sys; sys.argv = {arguments!r}; from ferroapi.cli import main; main()")
    assert result.returncode == 1 and not result.stderr
    assert "Start the process with FERROAPI_ALIAS=1 in its environment" in result.stdout


@pytest.mark.parametrize(("option", "same"), [("--ferroapi-alias", True), ("--no-ferroapi-alias", False)])
def test_alias_pytest_plugin_installs_it_before_conftest(tmp_path: Path, option: str, same: bool) -> None:
    (tmp_path / "conftest.py").write_text("import fastapi\n")
    (tmp_path / "test_same.py").write_text(
        f"import fastapi, ferroapi\ndef test_same(): assert (fastapi.FastAPI is ferroapi.FastAPI) is {same}\n"
    )
    result = run("", "-m", "pytest", "-q", "-p", "ferroapi.pytest_plugin", option, str(tmp_path), folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_alias_pytest_plugin_that_is_late_names_the_variable(tmp_path: Path) -> None:
    """Pytest imports the classes that `filterwarnings` names before the plugins that `-p` names."""
    setting = "filterwarnings = error::fastapi.exceptions.FastAPIDeprecationWarning"
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{setting}\n")
    (tmp_path / "test_same.py").write_text(
        "import fastapi, ferroapi\ndef test_same(): assert fastapi.FastAPI is ferroapi.FastAPI\n"
    )
    command = ("-m", "pytest", "-q", "-p", "ferroapi.pytest_plugin", str(tmp_path))
    late = run("", *command, folder=tmp_path)
    assert late.returncode == 4
    assert "Start the process with FERROAPI_ALIAS=1 in its environment" in late.stderr
    early = run("", *command, folder=tmp_path, FERROAPI_ALIAS="1")
    assert early.returncode == 0, early.stdout + early.stderr
