"""Lines around the code that name a package and that only a person can change: commands, and settings of tools."""

import re
from collections.abc import Iterator
from pathlib import Path

from ferroapi._cli.rewrite import Remark, Renaming

_SCRIPTS = re.compile(
    r"(?i)(?:.*\.)?(?:docker|container)file(?:\..*)?|(?:docker-)?compose.*\.ya?ml|procfile.*|makefile|justfile|"
    r"taskfile\.ya?ml|.*\.(?:sh|bash|ps1|bat|cmd|service)|\.gitlab-ci\.ya?ml|\.travis\.ya?ml|azure-pipelines\.ya?ml|"
    r"jenkinsfile|fly\.toml|render\.ya?ml|railway\.(?:json|toml)|package\.json|devcontainer\.json|environment\.ya?ml"
)
_CI_FOLDERS = (".github", ".circleci", ".buildkite", ".devcontainer")
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
    is_in_ci = any(folder in path.parts for folder in _CI_FOLDERS) and path.suffix in (".yml", ".yaml", ".json", ".sh")
    return is_in_ci or path.name in _SETTINGS or _SCRIPTS.fullmatch(path.name) is not None


def remarks_on(path: Path, source: bytes, names: Renaming) -> Iterator[Remark]:
    """The lines of a file that name the old package in a command or in a setting, each with a proposal."""
    text = source.decode("utf-8", "replace")
    if names.old not in text:
        return
    # As a shell has it, or as a list: `CMD ["fastapi", "run"]`.
    command = re.compile(rf"(?<![\w./-]){names.old}(?:\s+|[\"']\s*,\s*[\"'])(?:run|dev)\b")
    install = re.compile(rf"(?:\b(?:install|add|requires?|packages)\b.*|^\s*-\s*)(?<![\w./-]){names.old}(?![\w.-])")
    setting = re.compile(rf"(?:(?<=mypy-)|(?<![\w/-])){names.old}(?![\w-])")
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\[+([^\]]+)\]", line):
            section = header[1].strip()
        content = line.strip()
        # `ferroapi run` reads this table, too.
        if content.startswith(("#", "[tool.fastapi]")):
            continue
        is_setting = path.name in _SETTINGS and not _REQUIREMENT_SECTION.fullmatch(section) and setting.search(content)
        if command.search(content) or install.search(content) or is_setting:
            yield Remark(number, f"{content}  ->  {setting.sub(names.new, content)}")
