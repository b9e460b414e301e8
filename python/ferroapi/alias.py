"""The alias: `fastapi` and `fastapi.*` become ferroapi's modules, for packages that were written for FastAPI.
It stands before everything, as an import hook; it changes names only, never behaviour.
The hook is in `_ferroapi_alias`, outside the package: `FERROAPI_ALIAS=1` installs it before this package is imported.
"""

from _ferroapi_alias import FASTAPI_VERSION as FASTAPI_VERSION
from _ferroapi_alias import OURS as OURS
from _ferroapi_alias import THEIRS as THEIRS
from _ferroapi_alias import RealFastAPIImportedError as RealFastAPIImportedError
from _ferroapi_alias import install as install
from _ferroapi_alias import install_if_requested as install_if_requested
from _ferroapi_alias import is_installed as is_installed
