"""Whether forms can be parsed: python-multipart is installed, and not the package `multipart` in its place."""

from ferroapi.logger import logger

multipart_not_installed_error = (
    'Form data requires "python-multipart" to be installed. \n'
    'You can install "python-multipart" with: \n\n'
    "pip install python-multipart\n"
)
multipart_incorrect_install_error = (
    'Form data requires "python-multipart" to be installed. '
    'It seems you installed "multipart" instead. \n'
    'You can remove "multipart" with: \n\n'
    "pip uninstall multipart\n\n"
    'And then install "python-multipart" with: \n\n'
    "pip install python-multipart\n"
)


def ensure_multipart_is_installed() -> None:
    """Check that forms can be parsed.

    Raises: RuntimeError that says what to install, and whether the unrelated package `multipart` is in the way.
    """
    message = None if _has_python_multipart() else _multipart_problem()
    if message is not None:
        logger.error(message)
        raise RuntimeError(message)


def _has_python_multipart() -> bool:
    try:
        from python_multipart import __version__
    except ImportError:
        return False
    # Up to 0.0.12 it was imported as `multipart`.
    return __version__ > "0.0.12"


def _multipart_problem() -> str | None:
    """Return what is wrong with the package `multipart`, None if it is an old python-multipart."""
    try:
        from multipart import __version__

        assert __version__
    except ImportError:
        return multipart_not_installed_error
    try:
        from multipart.multipart import parse_options_header

        assert parse_options_header
    except ImportError:
        return multipart_incorrect_install_error
    return None
