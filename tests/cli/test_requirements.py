"""`ferroapi migrate` around the code: requirements that are rewritten, commands and settings that are listed."""

import codecs
import json
import tomllib
from pathlib import Path

import pytest
import typer.testing

from ferroapi._cli import commands
from ferroapi._cli.requirements import is_declaration, rewrite_declaration
from ferroapi._cli.rewrite import FORWARD, REVERSE, CannotRewriteError, Renaming, rewrite
from ferroapi._cli.surroundings import is_surrounding, remarks_on


def rewritten(name: str, text: str, names: Renaming = FORWARD) -> str:
    return rewrite_declaration(Path(name), text.encode(), names).source.decode()


def remarks(name: str, text: str) -> list[str]:
    return [remark.text for remark in rewrite_declaration(Path(name), text.encode(), FORWARD).remarks]


PYPROJECT = """\
# The service.
[project]
name = "service"
dependencies = [
    "fastapi[standard-no-fastapi-cloud-cli]>=0.115,<1",  # the framework
    "fastapi-users>=13",
    'uvicorn; python_version < "4"',
]

[project.optional-dependencies]
web = ["FastAPI == 0.115.0 ; python_version > '3.9'"]

[dependency-groups]
dev = ["fastapi", { include-group = "test" }]

[tool.uv]
constraint-dependencies = ["fastapi<1"]
"""

PYPROJECT_AFTER = """\
# The service.
[project]
name = "service"
dependencies = [
    "ferroapi[standard]",  # the framework
    "fastapi-users>=13",
    'uvicorn; python_version < "4"',
]

[project.optional-dependencies]
web = ["ferroapi ; python_version > '3.9'"]

[dependency-groups]
dev = ["ferroapi", { include-group = "test" }]

[tool.uv]
constraint-dependencies = ["ferroapi"]
"""

POETRY = """\
[tool.poetry.dependencies]
python = "^3.11"
# Pinned.
fastapi = {version = "^0.115", extras = ["all"]}  # why
starlette = "*"

[tool.poetry.group.dev.dependencies]
fastapi = "^0.115"

[tool.poetry.group.web.dependencies.fastapi]
version = "0.115"
optional = true
"""


def test_project_requirements_are_renamed_in_place() -> None:
    assert rewritten("pyproject.toml", PYPROJECT) == PYPROJECT_AFTER
    found = rewrite_declaration(Path("pyproject.toml"), PYPROJECT.encode(), FORWARD).remarks
    assert [(remark.line, remark.text) for remark in found] == [
        (line, f"the bounds {bounds} of fastapi are gone; give ferroapi its own if you want some")
        for line, bounds in ((5, ">=0.115,<1"), (11, "== 0.115.0"), (17, "<1"))
    ]


def test_poetry_tables_are_renamed_in_place() -> None:
    text = rewritten("pyproject.toml", POETRY)
    poetry = tomllib.loads(text)["tool"]["poetry"]
    assert list(poetry["dependencies"]) == ["python", "ferroapi", "starlette"]
    assert poetry["dependencies"]["ferroapi"] == {"version": "*", "extras": ["all"]}
    assert poetry["group"]["dev"]["dependencies"] == {"ferroapi": "*"}
    assert poetry["group"]["web"]["dependencies"] == {"ferroapi": {"version": "*", "optional": True}}
    assert "# Pinned.\nferroapi = " in text and "# why" in text


def test_poetry_bounds_are_named_with_the_line_of_their_key() -> None:
    text = POETRY.replace("[tool", '[project]\nname = "a-fastapi-service"\n\n[tool', 1)
    found = rewrite_declaration(Path("pyproject.toml"), text.encode(), FORWARD).remarks
    assert [(remark.line, remark.text.split()[2]) for remark in found] == [(7, "^0.115"), (11, "^0.115"), (13, "0.115")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'fastapi = [{version = "^0.1", python = "<3.9"}, {version = "^0.2", python = ">=3.9"}]\n',
            'ferroapi = [{version = "*", python = "<3.9"}, {version = "*", python = ">=3.9"}]\n',
        ),
        ('fastapi.version = "^0.3"\nfastapi.extras = ["all"]\n', 'ferroapi.version = "*"\nferroapi.extras = ["all"]\n'),
        ('"fastapi" = "^0.3"\n', '"ferroapi" = "*"\n'),
    ],
)
def test_poetry_writes_a_requirement_in_several_ways(before: str, after: str) -> None:
    header = "[tool.poetry.dependencies]\n"
    assert rewritten("pyproject.toml", header + before) == header + after


def test_pipfile_packages_are_renamed() -> None:
    assert rewritten("Pipfile", '[packages]\nfastapi = "==0.115"\nflask = "*"\n') == (
        '[packages]\nferroapi = "*"\nflask = "*"\n'
    )


def test_uv_source_of_the_old_package_is_left_to_a_person() -> None:
    text = '[project]\ndependencies = ["fastapi"]\n\n[tool.uv.sources]\nfastapi = { git = "https://example.com/x" }\n'
    assert 'fastapi = { git = "https://example.com/x" }' in rewritten("pyproject.toml", text)
    assert remarks("pyproject.toml", text) == ["tool.uv.sources says where fastapi comes from"]
    commented = f"# As in [tool.uv.sources] below.\n{text}"
    (remark,) = rewrite_declaration(Path("pyproject.toml"), commented.encode(), FORWARD).remarks
    assert remark.line == 5


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("fastapi\n", "ferroapi\n"),
        ("  fastapi==0.115.0\r\n", "  ferroapi\r\n"),
        ("FastAPI[all]>=0.1 # comment\n", "ferroapi[all] # comment\n"),
        ('fastapi~=0.115 ; python_version<"4"\n', 'ferroapi ; python_version<"4"\n'),
        ("fastapi-users==13\n", "fastapi-users==13\n"),
        ("# fastapi\n", "# fastapi\n"),
        ("-r fastapi.txt\n", "-r fastapi.txt\n"),
        ("prometheus-fastapi-instrumentator\n", "prometheus-fastapi-instrumentator\n"),
    ],
)
def test_requirement_file_lines(line: str, after: str) -> None:
    text = f"{line}pydantic\n"
    assert rewritten("requirements.txt", text) == f"{after}pydantic\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")],
)
def test_requirement_file_keeps_its_encoding(mark: bytes, encoding: str) -> None:
    before = mark + "fastapi==0.1\r\nuvicorn\r\n".encode(encoding)
    after = rewrite_declaration(Path("requirements.txt"), before, FORWARD).source
    assert after == mark + "ferroapi\r\nuvicorn\r\n".encode(encoding)


def test_requirement_that_goes_on_in_the_next_line_is_left_to_a_person() -> None:
    text = "fastapi>=0.1, \\\n  <1\n"
    assert rewritten("requirements.txt", text) == text
    assert remarks("requirements.txt", text) == [
        "fastapi>=0.1, \\: it goes on in the next line; put ferroapi there by hand"
    ]


def test_requirement_file_with_hashes_is_left_to_a_person() -> None:
    text = "fastapi==0.115.0 \\\n    --hash=sha256:00\n"
    assert rewritten("requirements.txt", text) == text
    assert "has hashes" in remarks("requirements.txt", text)[0]


SETUP_CFG = """\
[metadata]
name = fastapi
[options]
install_requires =
    {}
    x
[options.extras_require]
a = {}
"""


def test_setup_cfg_lists() -> None:
    assert rewritten("setup.cfg", SETUP_CFG.format("fastapi>=0.1", "fastapi")) == SETUP_CFG.format(
        "ferroapi", "ferroapi"
    )


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("pyproject.toml", True),
        ("dev-requirements.txt", True),
        ("requirements-dev.in", True),
        ("requirements/base.txt", True),
        ("constraints.txt", True),
        ("notes.txt", False),
        ("requirements.md", False),
    ],
)
def test_which_files_declare_requirements(path: str, is_one: bool) -> None:
    assert is_declaration(Path(path)) is is_one


def test_what_is_no_toml_is_refused() -> None:
    with pytest.raises(CannotRewriteError, match="it is no TOML"):
        rewritten("pyproject.toml", "[project\nfastapi")


def listed(path: str, text: str) -> list[tuple[int, str]]:
    assert is_surrounding(Path(path))
    return [(remark.line, remark.text) for remark in remarks_on(Path(path), text.encode(), FORWARD)]


@pytest.mark.parametrize(
    ("path", "line", "proposal"),
    [
        ("Dockerfile", 'CMD ["sh", "-c", "fastapi run app/main.py"]', 'CMD ["sh", "-c", "ferroapi run app/main.py"]'),
        ("Dockerfile", 'CMD ["fastapi", "run", "--workers", "4"]', 'CMD ["ferroapi", "run", "--workers", "4"]'),
        ("Dockerfile", "CMD ['python', '-m', 'fastapi', 'dev']", "CMD ['python', '-m', 'ferroapi', 'dev']"),
        ("Dockerfile.dev", "RUN pip install fastapi uvicorn", "RUN pip install ferroapi uvicorn"),
        ("docker-compose.override.yml", "command: fastapi dev main.py", "command: ferroapi dev main.py"),
        ("Dockerfile", 'ENTRYPOINT ["/app/bin/fastapi", "run"]', 'ENTRYPOINT ["/app/bin/ferroapi", "run"]'),
        ("deploy/app.service", "ExecStart=/srv/bin/fastapi run", "ExecStart=/srv/bin/ferroapi run"),
        ("k8s/web.yaml", 'command: ["fastapi", "run"]', 'command: ["ferroapi", "run"]'),
        ("supervisord.conf", "command=fastapi run", "command=ferroapi run"),
        ("environment.yml", "- conda-forge::fastapi>=0.1", "- conda-forge::ferroapi>=0.1"),
        (".vscode/launch.json", '"module": "fastapi",', '"module": "ferroapi",'),
        ("setup.py", 'install_requires=["fastapi>=0.1"],', 'install_requires=["ferroapi>=0.1"],'),
        ("notes.ipynb", '"from fastapi import FastAPI"', '"from ferroapi import FastAPI"'),
        ("Procfile", "web: python -m fastapi run", "web: python -m ferroapi run"),
        (".github/workflows/test.yml", "- run: fastapi run &", "- run: ferroapi run &"),
        ("scripts/start.sh", "exec fastapi run", "exec ferroapi run"),
        ("mypy.ini", "[mypy-fastapi.*]", "[mypy-ferroapi.*]"),
        (".isort.cfg", "known_third_party = fastapi,pydantic", "known_third_party = ferroapi,pydantic"),
    ],
)
def test_commands_and_settings_are_listed_with_a_proposal(path: str, line: str, proposal: str) -> None:
    assert listed(path, f"first\n{line}\n") == [(2, f"{line}  ->  {proposal}")]


def test_commands_that_go_on_in_the_next_line_are_listed_whole() -> None:
    text = "RUN pip install \\\n    uvicorn \\\n    fastapi\nCMD fastapi \\\n  run app.py\n"
    assert listed("Dockerfile", text) == [
        (1, "RUN pip install uvicorn fastapi  ->  RUN pip install uvicorn ferroapi"),
        (4, "CMD fastapi run app.py  ->  CMD ferroapi run app.py"),
    ]


@pytest.mark.parametrize(
    "line", ["# fastapi run", "name: my-fastapi-service", "image: tiangolo/fastapi", "see fastapi"]
)
def test_other_lines_are_not_listed(line: str) -> None:
    assert listed("compose.yaml", f"{line}\n") == []


def test_settings_of_tools_are_told_from_requirements() -> None:
    text = '[project]\ndependencies = ["fastapi"]\n[tool.ruff.lint.isort]\nknown-third-party = ["fastapi"]\n'
    assert [line for line, _ in listed("pyproject.toml", text + '[tool.fastapi]\nentrypoint = "main:app"\n')] == [4]


@pytest.mark.parametrize(
    "source",
    [
        "import fastapi\nprint(fastapi.__version__, fastapi.FastAPI)\n",
        "from fastapi import FastAPI\nfrom fastapi.routing import APIRoute\n",
        "from fastapi import __version__ as v\n",
        "import fastapi.routing as r\npatch('fastapi.routing.x')\n",
    ],
)
def test_reverse_undoes_what_migrate_does(source: str) -> None:
    assert rewrite(rewrite(source.encode()).source, REVERSE).source.decode() == source


def test_reverse_leaves_what_fastapi_has_not() -> None:
    back = rewrite(b"from ferroapi import alias\nfrom ferroapi.server import HTTPProtocol\nimport ferroapi\n", REVERSE)
    assert back.source == b"from ferroapi import alias\nfrom ferroapi.server import HTTPProtocol\nimport fastapi\n"
    assert [remark.line for remark in back.remarks] == [1, 2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "main.py": "import fastapi, helper, not_installed_anywhere\n",
        "helper.py": "import json\n",
        "pyproject.toml": PYPROJECT,
        "uv.lock": '[[package]]\nname = "fastapi"\n',
        "Dockerfile": "CMD fastapi run\n",
        ".github/workflows/ci.yml": "run: fastapi dev\n",
        "README.md": "fastapi run\n",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    return tmp_path


def migrate(*arguments: str) -> typer.testing.Result:
    return typer.testing.CliRunner().invoke(commands.commands, ["migrate", *arguments])


def test_check_ends_with_one_as_long_as_something_would_change(project: Path) -> None:
    assert migrate(".", "--check").exit_code == 1
    assert migrate(".", "--write").exit_code == 0
    assert migrate(".", "--check").exit_code == 0
    assert Path("pyproject.toml").read_text() == PYPROJECT_AFTER
    assert migrate(".", "--write", "--check").exit_code == 2


def test_summary_names_what_is_left_for_a_person(project: Path) -> None:
    report = migrate(".").stderr
    assert "6 files read, 2 would change (--write to do it)" in report
    assert "uv.lock:1: make it anew: uv lock" in report
    assert "Dockerfile:1: CMD fastapi run  ->  CMD ferroapi run" in report
    assert ".github/workflows/ci.yml:1: run: fastapi dev  ->  run: ferroapi dev" in report
    assert "1 imported package is not installed here and was not checked: not_installed_anywhere" in report


def test_json_has_the_whole_report(project: Path) -> None:
    result = migrate(".", "--json")
    report = json.loads(result.stdout)
    assert report["changed"] == ["main.py", "pyproject.toml"]
    assert report["not_installed"] == ["not_installed_anywhere"]
    assert {"path": "Dockerfile", "line": 1, "text": "CMD fastapi run  ->  CMD ferroapi run"} in report["surroundings"]


def test_reverse_gives_back_the_bytes(project: Path) -> None:
    Path("requirements.txt").write_bytes(b"\xef\xbb\xbffastapi >= 0.1 # why\r\n")
    before = {path: path.read_bytes() for path in sorted(project.rglob("*")) if path.is_file()}
    result = migrate(".", "--write")
    assert ".ferroapi-migrate.json keeps the requirements as they were" in result.stderr
    assert all(path.read_bytes() != before[path] for path in (project / "main.py", project / "requirements.txt"))
    # Another run finds nothing to do, and forgets nothing.
    migrate(".", "--write")
    migrate(".", "--write", "--reverse")
    assert {path: path.read_bytes() for path in sorted(project.rglob("*")) if path.is_file()} == before


def test_reverse_says_where_bounds_are_when_a_file_was_changed_since(project: Path) -> None:
    migrate(".", "--write")
    file = Path("pyproject.toml")
    file.write_text(file.read_text().replace("uvicorn", "granian"))
    report = migrate(".", "--write", "--reverse").stderr
    assert "pyproject.toml:1: it was changed since the migration; .ferroapi-migrate.json has it" in report
    assert '"fastapi[standard]",  # the framework' in file.read_text() and "granian" in file.read_text()
    assert json.loads(Path(".ferroapi-migrate.json").read_text())["pyproject.toml"]["before"] == PYPROJECT


def test_one_file_is_brought_back_as_well(project: Path) -> None:
    assert "1 file read, 1 changed" in migrate("pyproject.toml", "--write").stderr
    migrate("pyproject.toml", "--reverse", "--write")
    assert Path("pyproject.toml").read_text() == PYPROJECT
    assert not Path(".ferroapi-migrate.json").exists()


@pytest.mark.parametrize("text", ["no json", "[]", '{"pyproject.toml": 1}', '{"pyproject.toml": {}}', "[1]"])
def test_a_record_that_cannot_be_read_is_an_error(project: Path, text: str) -> None:
    Path(".ferroapi-migrate.json").write_text(text)
    result = migrate(".", "--reverse")
    assert result.exit_code == 2
    assert ".ferroapi-migrate.json is no record of an earlier run: delete it" in result.stderr


def test_a_file_of_another_kind_is_an_error(project: Path) -> None:
    result = migrate("README.md")
    assert (result.exit_code, "README.md is no Python file" in result.stderr) == (2, True)
