"""Every example of the site: Python blocks and console sessions are run, server commands are started and asked once.
Blocks that install or build (pip, make, Dockerfile) are not run here: `make wheel` does what they say. Settings of
other programs are read, where Python can: JSON, YAML and unit files.
"""

import ast
import configparser
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
# `py` is a copy of code of this repository, which has tests of its own.
LANGUAGES = {"", "console", "dockerfile", "ini", "json", "nginx", "py", "python", "sh", "yaml"}
INSTALLS = ("make ", "pip ")

# Where a page gives a program, it runs with the interpreter of the tests.
PROGRAMS = {"ferroapi": (sys.executable, "-m", "ferroapi"), "python": (sys.executable,)}


def variables() -> dict[str, str]:
    """The environment of an example: the package from this tree, the example's folder, no setting of ours."""
    # Pages say what is so by default; `explain` and `doctor` print what `FERROAPI_PLAIN` switches off.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FERROAPI_")}
    # Without warnings of other packages, which a reader does not see either.
    return inherited | {"PYTHONPATH": os.pathsep.join([str(ROOT / "python"), "."]), "TERM": "dumb", "NO_COLOR": "1"}


def write_if_named(source: str) -> bool:
    """Write a block that starts with `# name.py` to that file."""
    match = re.match(r"# (\w+\.py)\n", source)
    if match:
        Path(match[1]).write_text(source)
    return match is not None


def run_python(example: Example) -> None:
    """Write a named block, keep any other for the page's program."""
    if not write_if_named(example.parsed):
        example.namespace.setdefault("program", []).append(example.parsed)


def run_console(example: Example) -> None:
    """Run each `$ command` and compare what it prints; `...` stands for any text."""
    for session in re.split(r"(?m)^\$ ", example.parsed)[1:]:
        line, _, expected = session.partition("\n")
        words = shlex.split(line)
        command = [*PROGRAMS[words[0]], *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, env=variables(), check=False)
        printed = done.stdout + done.stderr
        # Columns are as wide as the page's text wants them.
        pattern = r"\s*".join(".*" if word == "..." else re.escape(word) for word in expected.split())
        assert re.fullmatch(f"(?s){pattern}", printed.strip()), f"$ {line}\n{printed}"
        assert done.returncode == 0, printed


def start_servers(example: Example) -> None:
    """Start each server that is installed, ask it once, end it."""
    for line in example.parsed.strip().splitlines():
        if line.startswith(INSTALLS):
            continue
        program, *arguments = shlex.split(line)
        found = shutil.which(program, path=str(Path(sys.executable).parent))
        if program not in PROGRAMS and found is None:
            continue
        port = free_port()
        command = [*PROGRAMS.get(program, (found,)), *(word.replace("8001", str(port)) for word in arguments)]
        with subprocess.Popen(command, env=variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
            try:
                assert fetch(port, server) == b'{"ready":true}', line
            finally:
                server.send_signal(signal.SIGTERM)
                server.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(port: int, server: "subprocess.Popen[bytes]") -> bytes:
    """The answer of `/`, once the server is up."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as response:
                return bytes(response.read())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"no answer: {server.stdout.read().decode() if server.stdout and server.poll() else ''}")


SITE = Sybil(
    parsers=[
        CodeBlockParser(language="python", evaluator=run_python),
        CodeBlockParser(language="console", evaluator=run_console),
        CodeBlockParser(language="sh", evaluator=start_servers),
    ],
    pattern="*.md",
)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield


@pytest.mark.parametrize("page", PAGES)
def test_docs_examples_hold(page: str) -> None:
    document = SITE.parse(DOCS / page)
    for example in document.examples():
        example.evaluate()
    program = "\n".join(document.namespace.get("program", []))
    if program:
        # A process of its own: the page on the alias changes what `fastapi` means.
        imports = "from main import *\n" if Path("main.py").exists() else ""
        command = [sys.executable, "-c", imports + program]
        done = subprocess.run(command, capture_output=True, text=True, env=variables(), check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_docs_blocks_are_of_a_kind_that_is_run(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    fences = re.findall(r"(?m)^```(\w*)", text)
    assert set(fences) <= LANGUAGES
    for language, source in re.findall(r"(?ms)^```(\w+)\n(.*?)^```", text):
        if language in ("py", "python"):
            ast.parse(source)
        elif language == "json":
            json.loads(source)
        elif language == "yaml":
            yaml.safe_load(source)
        elif language == "ini":
            configparser.ConfigParser(interpolation=None).read_string(source)


@pytest.mark.parametrize("page", ["../README.md", *PAGES])
def test_docs_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    targets += re.findall(r'(?m)^--8<-- "(.+)"$', text)
    for target in targets:
        # Included files are named from the root.
        folder = ROOT if f'--8<-- "{target}"' in text else (DOCS / page).parent
        assert (folder / target).is_file(), target


def test_docs_site_names_every_page() -> None:
    configuration = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    assert sorted(re.findall(r'"([\w-]+\.md)"', configuration)) == PAGES
