"""pytest plugin: `pytest -p ferroapi.pytest_plugin` runs a suite written for FastAPI on ferroapi.
It installs the alias before the first conftest is imported, also in xdist's workers.
It is not registered as an entry point: that would import ferroapi into every pytest run on the machine.
"""

import pytest

from ferroapi import alias


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--ferroapi-alias` (the default) and `--no-ferroapi-alias`."""
    group = parser.getgroup("ferroapi")
    group.addoption(
        "--ferroapi-alias",
        action="store_true",
        dest="ferroapi_alias",
        default=True,
        help="import fastapi as ferroapi in this run (the default once the plugin is loaded)",
    )
    group.addoption(
        "--no-ferroapi-alias",
        action="store_false",
        dest="ferroapi_alias",
        help="leave fastapi alone in this run",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Install the alias.

    Raises:
        pytest.UsageError: another plugin has already imported the real `fastapi`.
    """
    if not early_config.known_args_namespace.ferroapi_alias:
        return
    try:
        alias.install()
    except alias.RealFastAPIImportedError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header() -> str | None:
    """Say in the first lines of the run what `fastapi` is."""
    if not alias.is_installed():
        return None
    from ferroapi import __version__

    return f"alias: fastapi {alias.FASTAPI_VERSION} is ferroapi {__version__}"
