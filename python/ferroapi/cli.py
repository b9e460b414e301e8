"""The command line's entry point: `ferroapi`, `python -m ferroapi`, and under the alias `python -m fastapi`.
It says what to install where the `standard` extra is missing; the commands themselves are in `_cli`.
"""

from collections.abc import Callable

from ferroapi import alias

cli_main: Callable[[], None] | None
try:
    from ferroapi._cli.commands import commands as cli_main
except ImportError:  # pragma: no cover - the environment of the tests has typer
    cli_main = None


def _what_to_install() -> str:
    command = alias.THEIRS if alias.is_installed() else alias.OURS
    extra = f"{alias.OURS}[standard]"
    return f'To use the {command} command, please install "{extra}":\n\n\tpip install "{extra}"\n'


def main() -> None:
    """Run the command line.

    Raises:
        RuntimeError: typer is not installed.
    """
    if cli_main is None:
        message = _what_to_install()
        print(message)
        raise RuntimeError(message)
    cli_main()


def command() -> None:
    """Run the command line for a shell, in which a missing extra is a message without a traceback."""
    if cli_main is None:
        raise SystemExit(_what_to_install())
    cli_main()
