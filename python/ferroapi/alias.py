"""The alias: `fastapi` and `fastapi.*` become ferroapi's modules, for packages that were written for FastAPI.
It stands before everything, as an import hook; it changes names only, never behaviour.
`FERROAPI_ALIAS=1` acts when `ferroapi` is first imported: Python offers no hook before that without a start-up file.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

OURS = __name__.partition(".")[0]
THEIRS = "fastapi"

FASTAPI_VERSION = "0.165.0"
"""The FastAPI release whose behaviour ferroapi implements; `fastapi.__version__` under the alias."""

# FastAPI has one module where we have a folder of private ones: what the module exports is named after it.
_SPEAKS_FOR: dict[str, tuple[str, ...]] = {
    "fastapi.applications": ("fastapi._operations",),
    "fastapi.dependencies.utils": ("fastapi.dependencies._",),
    "fastapi.openapi.utils": ("fastapi.openapi._",),
    "fastapi.routing": ("fastapi._routing.", "fastapi._request.", "fastapi._operations"),
}

# Attributes the face keeps for itself; every other one is read from, and written to, ferroapi.
_FACE_OWN = frozenset(
    {"__class__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__", "__version__"}
)


class RealFastAPIImportedError(ImportError):
    """Raised by `install` when the real `fastapi` was imported first, so that both would be in use at once."""

    def __init__(self, name: str, origin: str | None) -> None:
        super().__init__(
            f"cannot install the ferroapi alias: the real {name!r} is already imported (from {origin or 'unknown'}). "
            "Call ferroapi.alias.install() before anything imports fastapi, or start with `ferroapi run --alias`.",
            name=name,
            path=origin,
        )


class _Face(ModuleType):
    """The module object `fastapi`: every attribute is ferroapi's, read and written there, except its identity."""

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(THEIRS)
        own = _namespace_of(self)
        own.update(
            __doc__=_target.__doc__,
            __file__=spec.origin,
            __loader__=spec.loader,
            __package__=THEIRS,
            __path__=spec.submodule_search_locations,
            __spec__=spec,
            __version__=FASTAPI_VERSION,
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(_target, name)
        except AttributeError:
            raise AttributeError(f"module {THEIRS!r} has no attribute {name!r}", name=name, obj=self) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FACE_OWN:
            super().__setattr__(name, value)
        else:
            setattr(_target, name, value)

    def __delattr__(self, name: str) -> None:
        if name in _FACE_OWN:
            super().__delattr__(name)
        else:
            delattr(_target, name)

    def __dir__(self) -> list[str]:
        return dir(_target)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """A copy, for `vars()` and `import *`: two modules cannot share one namespace and differ in a version."""
        return {**vars(_target), **_namespace_of(self)}


def _namespace_of(module: ModuleType) -> dict[str, Any]:
    """The dictionary every module object has, behind whatever its class says `__dict__` is."""
    return cast("dict[str, Any]", vars(ModuleType)["__dict__"].__get__(module))


class _AliasLoader(InspectLoader):
    """Answers `import fastapi.x` with the module object of `ferroapi.x`."""

    def __init__(self, original: ModuleSpec) -> None:
        self._original = original
        self._identity: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if spec.name == THEIRS:
            return _face
        module = importlib.import_module(self._original.name)
        self._identity = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module is _face:  # Only a reload comes here: `install` places the face itself.
            importlib.reload(_target)
        else:
            # The import system has just overwritten it; reload and pickling need the true one.
            module.__spec__ = self._identity

    def is_package(self, fullname: str) -> bool:
        return self._original.submodule_search_locations is not None

    def get_filename(self, fullname: str) -> str | None:
        return self._original.origin

    def get_code(self, fullname: str) -> CodeType | None:
        return self._source_loader().get_code(self._original.name)

    def get_source(self, fullname: str) -> str | None:
        return self._source_loader().get_source(self._original.name)

    def _source_loader(self) -> InspectLoader:
        if not isinstance(self._original.loader, InspectLoader):
            raise ImportError(f"no source for {self._original.name!r}", name=self._original.name)
        return self._original.loader


class _RenamingLoader(SourceFileLoader):
    """Loads a module of ferroapi under the alias, so that what it defines carries FastAPI's module name at once."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _adopt(module)


class _Distribution(importlib.metadata.Distribution):
    """What `importlib.metadata` says of `fastapi`: packages compare its version before they instrument anything."""

    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: {THEIRS}\nVersion: {FASTAPI_VERSION}\n"

    def locate_file(self, path: Any) -> Any:
        return importlib.metadata.distribution(OURS).locate_file(path)


class _AliasFinder(MetaPathFinder):
    """Finds `fastapi.*` in ferroapi, and ferroapi's own late modules so that they are renamed too."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        if package == THEIRS:
            return _alias_spec(fullname, f"{OURS}.{rest}" if rest else OURS)
        if package == OURS and rest:
            return _renaming_spec(fullname, path, target)
        return None

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterator[importlib.metadata.Distribution]:
        name = context.name if context is not None else None
        if name is not None and re.sub(r"[-_.]+", "-", name).lower() == THEIRS:
            yield _Distribution()


def install() -> None:
    """Make `fastapi` and `fastapi.*` ferroapi's modules for this process; calling it again does nothing.

    Raises:
        RealFastAPIImportedError: the real `fastapi`, or a module of it, is already imported.
    """
    if is_installed():
        return
    _refuse_real_fastapi(list(sys.modules))
    sys.meta_path.insert(0, _finder)
    sys.modules[THEIRS] = _face
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{OURS}."):
            _adopt(module)


def install_if_requested() -> bool:
    """Install the alias if the environment has `FERROAPI_ALIAS` set to 1, true, yes or on; say whether it did.

    Raises:
        RealFastAPIImportedError: as `install`.
    """
    if os.environ.get("FERROAPI_ALIAS", "").strip().lower() not in {"1", "true", "yes", "on"}:
        return False
    install()
    return True


def is_installed() -> bool:
    """Whether `fastapi` is ferroapi in this process."""
    return _finder in sys.meta_path


def _refuse_real_fastapi(loaded: list[str]) -> None:
    # The shortest name is the package itself, where it is still there.
    theirs = sorted(name for name in loaded if name == THEIRS or name.startswith(f"{THEIRS}."))
    if theirs:
        raise RealFastAPIImportedError(theirs[0], getattr(sys.modules[theirs[0]], "__file__", None))


def _alias_spec(alias: str, name: str) -> ModuleSpec | None:
    original = importlib.util.find_spec(name)
    if original is None:
        return None
    is_package = original.submodule_search_locations is not None
    spec = ModuleSpec(alias, _AliasLoader(original), origin=original.origin, is_package=is_package)
    spec.has_location = original.has_location
    if is_package:
        spec.submodule_search_locations = original.submodule_search_locations
    return spec


def _renaming_spec(name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    spec = PathFinder.find_spec(name, path, target)
    if spec is not None and type(spec.loader) is SourceFileLoader:
        spec.loader = _RenamingLoader(name, spec.loader.path)
    return spec


def _adopt(module: ModuleType) -> None:
    """Give `module` its second name, and the classes and functions in it FastAPI's module name."""
    alias = _alias_name(module.__name__)
    sys.modules[alias] = module
    private = _SPEAKS_FOR.get(alias, ())
    for name, value in list(vars(module).items()):
        if not isinstance(value, type | FunctionType):
            continue
        home = _alias_name(value.__module__ or "")
        if home.startswith(private) and value.__name__ == name:
            home = alias
        if home != value.__module__:
            _set_module(value, home)


def _set_module(value: type | FunctionType, home: str) -> None:
    first_line = vars(value).get("__firstlineno__")
    try:
        value.__module__ = home
    except (AttributeError, TypeError):
        # Classes of the extension are immutable, and private.
        return
    if isinstance(value, type) and first_line is not None:
        # Python 3.13 forgets where a class begins when it is said to be of another module, and `inspect` asks.
        type.__setattr__(value, "__firstlineno__", first_line)


def _alias_name(name: str) -> str:
    return THEIRS + name.removeprefix(OURS) if name == OURS or name.startswith(f"{OURS}.") else name


_target = sys.modules[OURS]
_finder = _AliasFinder()
_face_spec = _alias_spec(THEIRS, OURS)
if _face_spec is None:  # pragma: no cover - this module is part of that package
    raise ImportError(f"{OURS} is not importable", name=OURS)
_face = _Face(_face_spec)
