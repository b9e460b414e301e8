"""Lines around the code that name a package and that only a person can change: commands, and settings of tools."""

import re
from collections.abc import Iterator
from pathlib import Path

from ferroapi._cli.rewrite import Remark, Renaming

_SCRIPTS = re.compile(
    r"(?i)(?:.*\.)?(?:docker|container)file(?:\..*)?|procfile.*|makefile|justfile|jenkinsfile|setup\.py|"
    r".*\.(?:ya?ml|sh|bash|ps1|bat|cmd|service|conf|ipynb)|fly\.toml|railway\.(?:json|toml)|package\.json|devcontainer\.json"
)
HIDDEN_FOLDERS = (".github", ".circleci", ".buildkite", ".devcontainer", ".vscode")
"""Those in which a code base says how it is built."""

_SETTINGS = frozenset(
    {
        *("pyproject.toml", "setup.cfg", "tox.ini", "mypy.ini", ".mypy.ini", "pytest.ini", ".isort.cfg", ".flake8"),
        *("ruff.toml", ".ruff.toml", "pyrightconfig.json", ".coveragerc", "noxfile.py", ".pre-commit-config.yaml"),
        "pylintrc",
        ".pylintrc",
    }
)
_REQUIREMENT_SECTION = re.compile(
    r"project(?:\.optional-dependencies)?|dependency-groups|tool\.poetry\..*dependencies|tool\.uv(?:\.sources)?|"
    r"tool\.pdm\.dev-dependencies|tool\.hatch\.envs.*|options(?:\.extras_require)?|build-system"
)


def is_surrounding(path: Path) -> bool:
    """Whether a file may hold such lines."""
    is_in_folder = path.suffix == ".json" and any(folder in path.parts for folder in HIDDEN_FOLDERS)
    return is_in_folder or path.name in _SETTINGS or _SCRIPTS.fullmatch(path.name) is not None


def remarks_on(path: Path, source: bytes, names: Renaming) -> Iterator[Remark]:
    """The lines of a file that name the old package in a command or in a setting, each with a proposal."""
    text = source.decode("utf-8", "replace")
    if names.old not in text:
        return
    old = re.escape(names.old)
    # As a shell has it, or as a list: `CMD ["fastapi", "run"]`; the program may be named with its folder.
    command = re.compile(
        rf"""(?<![\w.-]){old}(?:\s+|["']\s*,\s*["']|["']?\s+-\s*["']?)(?:run|dev)\b|"module":\s*"{old}\""""
    )
    word = rf"(?<![\w./-]){old}(?![\w.-])"
    install = re.compile(rf"\b(?:install|add|requires?|packages)\b.*{word}")
    setting = re.compile(rf"(?:(?<=mypy-)|(?<![\w-])){old}(?![\w-])")
    pattern = {
        ".py": re.compile(rf"""["']{old}(?:\s*[\[<>=!~;@ (]|["'])"""),
        ".ipynb": re.compile(rf"\b(?:from|import)\s+{old}\b"),
    }.get(path.suffix)
    if pattern is None:
        # A list of packages, of conda or in a compose file's command.
        item = rf"^\s*-\s*(?:[\w-]+::)?{word}(?!\s*:)"
        pattern = re.compile(f"{command.pattern}|{install.pattern}|{item}")
    section = ""
    for number, line in _joined(text):
        if header := re.match(r"\[+([^\]]+)\]", line):
            section = header[1].strip()
        content = " ".join(line.split())
        # `ferroapi run` reads this table, too.
        if content.startswith(("#", "[tool.fastapi]")):
            continue
        is_setting = path.name in _SETTINGS and not _REQUIREMENT_SECTION.fullmatch(section) and setting.search(content)
        if pattern.search(line) or is_setting:
            yield Remark(number, f"{content}  ->  {setting.sub(names.new, content)}")


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers; one that ends with a backslash is joined with those that it goes on in."""
    started, joined = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        started = started or number
        if line.endswith("\\"):
            joined += f"{line[:-1]} "
            continue
        yield started, joined + line
        started, joined = 0, ""
    if joined:
        yield started, joined
