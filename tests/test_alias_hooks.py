"""Who waits for the import of `fastapi` or of a module of it is told under the alias as under FastAPI: once, with it.

In processes of their own, whose `sitecustomize` stands for a tracer's: it runs before anything else is imported.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE_ROOT = Path(__file__).resolve().parents[1] / "python"
MODULES = [
    "fastapi",
    "fastapi.applications",
    "fastapi.background",
    "fastapi.concurrency",
    "fastapi.datastructures",
    "fastapi.dependencies",
    "fastapi.dependencies.models",
    "fastapi.dependencies.utils",
    "fastapi.encoders",
    "fastapi.exception_handlers",
    "fastapi.exceptions",
    "fastapi.logger",
    "fastapi.openapi.docs",
    "fastapi.openapi.utils",
    "fastapi.param_functions",
    "fastapi.params",
    "fastapi.routing",
    "fastapi.security",
    "fastapi.security.oauth2",
    "fastapi.utils",
]

# What a hook says of the module: its names, whether it is the one everybody gets, and what can be read from it.
TELL = f"""
import atexit, json, os, sys

FILE = os.environ["TOLD"]
FACES = {{"fastapi": "FastAPI", "fastapi.routing": "APIRoute", "fastapi.applications": "FastAPI"}}
told = []


def tell(module):
    face = FACES.get(module.__name__)
    told.append([module.__name__, module.__spec__.name, sys.modules[module.__name__] is module,
                 getattr(module, face).__module__ if face else None])


def write():
    with open(FILE, "w") as file:
        json.dump(sorted(told), file)


atexit.register(write)
MODULES = {MODULES!r}
"""
WRAPT = """
import wrapt

for name in MODULES:
    wrapt.register_post_import_hook(tell, name)
"""
# As ddtrace does: every import passes by, and the hook is looked up by the name that the module has.
WATCHDOG = """
class Loader:
    def __init__(self, loader):
        self.loader = loader

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        module.__loader__ = self.loader
        if module.__name__ in MODULES:
            tell(module)


class Watchdog:
    @staticmethod
    def find_spec(name, path=None, target=None):
        for finder in sys.meta_path:
            if finder is not Watchdog and (spec := finder.find_spec(name, path, target)) is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = Loader(spec.loader)
                return spec


sys.meta_path.insert(0, Watchdog)
"""
# As New Relic does, with the agent's own code.
NEWRELIC = """
from newrelic.api.import_hook import enable_import_hook_finder, register_import_hook

for name in MODULES:
    register_import_hook(name, tell)
enable_import_hook_finder()
"""
APPLICATION = "import fastapi, fastapi.testclient\napp = fastapi.FastAPI()\n"
TEST = APPLICATION + "def test_alias(): assert fastapi.FastAPI.__module__ == 'fastapi.applications'\n"

WAYS = {
    "variable": (["main.py"], {"FERROAPI_ALIAS": "1"}),
    "variable, ferroapi imported": (["ours.py"], {"FERROAPI_ALIAS": "1"}),
    "call": (["call.py"], {}),
    "command line": (["-m", "ferroapi", "explain", "main:app", "--alias"], {}),
    "pytest plugin": (["-m", "pytest", "-q", "-p", "ferroapi.pytest_plugin", "test_main.py"], {}),
}


def told(folder: Path, hooks: str, arguments: list[str], variables: dict[str, str]) -> str:
    """What the hooks were told when Python ran with these arguments, as JSON."""
    (folder / "sitecustomize.py").write_text(TELL + hooks)
    (folder / "main.py").write_text(APPLICATION)
    (folder / "ours.py").write_text(APPLICATION.replace("fastapi", "ferroapi"))
    (folder / "call.py").write_text("import ferroapi.alias\nferroapi.alias.install()\n" + APPLICATION)
    (folder / "test_main.py").write_text(TEST)
    file = folder / "told.json"
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{PACKAGE_ROOT}", "TOLD": str(file), **variables}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return file.read_text()


@pytest.fixture(scope="module", params=["wrapt", "watchdog", pytest.param("newrelic", marks=pytest.mark.gil)])
def hooks(request: pytest.FixtureRequest) -> str:
    return {"wrapt": WRAPT, "watchdog": WATCHDOG, "newrelic": NEWRELIC}[request.param]


@pytest.fixture(scope="module")
def expected(hooks: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is told under FastAPI."""
    text = told(tmp_path_factory.mktemp("fastapi"), hooks, ["main.py"], {})
    assert text.count("[") == len(MODULES) + 1
    return text


@pytest.mark.parametrize("way", WAYS)
def test_alias_import_hooks_are_told_as_under_fastapi(way: str, hooks: str, expected: str, tmp_path: Path) -> None:
    assert told(tmp_path, hooks, *WAYS[way]) == expected
