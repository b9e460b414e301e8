"""How `import fastapi` finds ferroapi: the import hook behind `ferroapi.alias`, which has the public names.
`ferroapi_alias.pth` imports this file when the interpreter starts, if `FERROAPI_ALIAS` is set. So it lies outside the
package, imports a few small modules of Python only, and nothing of ferroapi is loaded before somebody asks for it.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module, reload
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    BuiltinImporter,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import FunctionType, ModuleType

TYPE_CHECKING = False  # `typing` alone takes longer to import than all of this.
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.metadata import Distribution, DistributionFinder
    from typing import Any

OURS = "ferroapi"
THEIRS = "fastapi"
VARIABLE = "FERROAPI_ALIAS"

FASTAPI_VERSION = "0.165.0"
"""The FastAPI release whose behaviour ferroapi implements; `fastapi.__version__` under the alias."""

# FastAPI has one module where we have a folder of private ones: what the module exports is named after it.
_SPEAKS_FOR: dict[str, tuple[str, ...]] = {
    "fastapi.applications": ("fastapi._operations",),
    "fastapi.dependencies.utils": ("fastapi.dependencies._", "fastapi._engine.reference.solve"),
    "fastapi.openapi.utils": ("fastapi.openapi._",),
    "fastapi.routing": (
        "fastapi._routing.",
        "fastapi._engine.body",
        "fastapi._engine.context",
        "fastapi._engine.events",
        "fastapi._engine.items",
        "fastapi._engine.reference.handler",
        "fastapi._engine.response",
        "fastapi._engine.session",
        "fastapi._engine.stream",
        "fastapi._operations",
    ),
}

# Attributes that the face keeps for itself; every other one is read from, and written to, ferroapi.
_FACE_OWN = frozenset(
    {"__class__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__", "__version__"}
)


class RealFastAPIImportedError(ImportError):
    """Raised by `install` when the real `fastapi` was imported first, so that both would be in use at once."""

    def __init__(self, name: str, origin: str | None) -> None:
        if is_requested():
            advice = (
                f"{VARIABLE} is set, but this interpreter has not read ferroapi_alias.pth when it started: install "
                "ferroapi into it with pip (a folder on PYTHONPATH has no start-up files, nor has `python -S`)."
            )
        else:
            advice = (
                f"Start the process with {VARIABLE}=1 in its environment: the alias is then there before a tracer, a "
                "server or pytest imports anything. Or call ferroapi.alias.install() before that import."
            )
        super().__init__(
            f"cannot install the ferroapi alias: the real {name!r} is already imported (from {origin or 'unknown'}). "
            + advice,
            name=name,
            path=origin,
        )


class _Face(ModuleType):
    """The module object `fastapi`: every attribute is ferroapi's, read and written there, except its identity."""

    __slots__ = ("target",)
    target: ModuleType | None

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(THEIRS)
        object.__setattr__(self, "target", None)
        own = _namespace_of(self)
        own.update(
            __file__=spec.origin,
            __loader__=spec.loader,
            __package__=THEIRS,
            __path__=spec.submodule_search_locations,
            __spec__=spec,
            __version__=FASTAPI_VERSION,
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(_target_of(self), name)
        except AttributeError:
            raise AttributeError(f"module {THEIRS!r} has no attribute {name!r}", name=name, obj=self) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FACE_OWN:
            super().__setattr__(name, value)
        else:
            setattr(_target_of(self), name, value)

    def __delattr__(self, name: str) -> None:
        if name in _FACE_OWN:
            super().__delattr__(name)
        else:
            delattr(_target_of(self), name)

    def __dir__(self) -> list[str]:
        return dir(_target_of(self))

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """A copy, for `vars()` and `import *`: two modules cannot share one namespace and differ in a version."""
        return {**vars(_target_of(self)), **_namespace_of(self)}


def _target_of(face: _Face) -> ModuleType | None:
    """The package behind the face, also while its import goes on."""
    return face.target or sys.modules.get(OURS)


def _namespace_of(module: ModuleType) -> dict[str, Any]:
    """The dictionary every module object has, behind whatever its class says `__dict__` is."""
    namespace: dict[str, Any] = vars(ModuleType)["__dict__"].__get__(module)
    return namespace


class _FaceLoader(SourceFileLoader):
    """Loads `fastapi`: the import of it begins before that of `ferroapi`, and ends after it.

    So what waits for the import of `fastapi` is told once, and when everything in it is there.
    """

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Face(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert isinstance(module, _Face)
        if module.target is not None:
            reload(module.target)
        else:
            target = import_module(OURS)
            object.__setattr__(module, "target", target)
            module.__doc__, module.__path__ = target.__doc__, target.__path__
            for name in _loaded_modules():
                import_module(_alias_name(name))


class _NamedModule:
    """Part of a loader: one module with two names, `fastapi.x`, by which it is loaded, and `ferroapi.x`."""

    name: str
    _is_loaded = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        # What was loaded as `ferroapi.x` before the alias was there only gets its other name.
        module = sys.modules.get(_own_name(spec.name))
        self._is_loaded = module is not None
        return module

    def exec_module(self, module: ModuleType) -> None:
        if self._is_loaded:
            self._is_loaded = False
            module.__loader__ = module.__spec__.loader if module.__spec__ is not None else None
            return
        own = _own_name(self.name)
        is_first = own not in sys.modules
        sys.modules[own] = module
        try:
            super().exec_module(module)  # type: ignore[misc]  # the loader that this is a part of
        except BaseException:
            if is_first:
                del sys.modules[own]
            raise
        _adopt(module)


class _NamedSource(_NamedModule, SourceFileLoader):
    """A module of ferroapi from its source."""


class _NamedBytecode(_NamedModule, SourcelessFileLoader):
    """A module of ferroapi that was installed without its source."""


class _OtherName:
    """Answers the import of a name with the module that another name has; what else is asked is the file's loader."""

    def __init__(self, name: str, file_loader: Any) -> None:
        self._name = name
        self._file_loader = file_loader

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make an empty module for the moment: loading the other one here would name it after this one."""

    def exec_module(self, module: ModuleType) -> None:
        # The import system takes what stands in `sys.modules` when a loader is done.
        name = module.__name__
        del sys.modules[name]
        sys.modules[name] = import_module(self._name) if name != OURS else _import_face().target or module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file_loader, name)


def _import_face() -> _Face:
    face = import_module(THEIRS)
    assert isinstance(face, _Face)
    return face


class AliasFinder:
    """Finds `fastapi.*` in ferroapi's files, and gives each of its modules both names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        if package == THEIRS:
            return _module_spec(fullname, path) if rest else _face_spec()
        # As a program, `python -m ferroapi`, and below `import fastapi` the package itself, it is loaded as always.
        if package == OURS and rest != "__main__" and (rest or THEIRS not in sys.modules):
            return _other_name_spec(fullname, path)
        return None

    def find_distributions(self, context: DistributionFinder.Context) -> Iterator[Distribution]:
        # Who looks into a folder is told what is installed there; pip does so.
        if "path" not in vars(context) and (context.name is None or context.name.lower() == THEIRS):
            yield _distribution()


def _face_spec() -> ModuleSpec | None:
    loaded = sys.modules.get(OURS)
    package = PathFinder.find_spec(OURS) if loaded is None else loaded.__spec__
    if package is None or package.origin is None:
        return None
    spec = ModuleSpec(THEIRS, _FaceLoader(THEIRS, package.origin), origin=package.origin, is_package=True)
    spec.has_location = True
    spec.submodule_search_locations = package.submodule_search_locations
    return spec


def _module_spec(fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
    spec = PathFinder.find_spec(fullname, path)
    if spec is None or spec.loader is None:
        return spec
    if type(spec.loader) is SourceFileLoader:
        spec.loader = _NamedSource(fullname, spec.loader.path)
    elif type(spec.loader) is SourcelessFileLoader:
        spec.loader = _NamedBytecode(fullname, spec.loader.path)
    else:
        # The extension: what it defines has its name built in.
        return _redirected(spec, _own_name(fullname))
    return spec


def _other_name_spec(fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
    spec = PathFinder.find_spec(fullname, path)
    if spec is None or not isinstance(spec.loader, SourceFileLoader | SourcelessFileLoader):
        return None
    return _redirected(spec, _alias_name(fullname))


def _redirected(spec: ModuleSpec, name: str) -> ModuleSpec:
    is_package = spec.submodule_search_locations is not None
    loader: Any = _OtherName(name, spec.loader)
    redirected = ModuleSpec(spec.name, loader, is_package=is_package)
    redirected.origin = spec.origin
    redirected.submodule_search_locations = spec.submodule_search_locations
    return redirected


def _distribution() -> Distribution:
    from importlib.metadata import Distribution, distribution

    class AliasDistribution(Distribution):
        """What `importlib.metadata` says of `fastapi`: packages compare its version before they instrument anything."""

        def read_text(self, filename: str) -> str | None:
            if filename == "METADATA":
                return f"Metadata-Version: 2.1\nName: {THEIRS}\nVersion: {FASTAPI_VERSION}\n"
            return f"{THEIRS}\n" if filename == "top_level.txt" else None

        def locate_file(self, path: Any) -> Any:
            return distribution(OURS).locate_file(path)

    return AliasDistribution()


def install() -> None:
    """Make `fastapi` and `fastapi.*` ferroapi's modules for this process; calling it again does nothing.

    Raises:
        RealFastAPIImportedError: the real `fastapi`, or a module of it, is already imported.
    """
    if is_installed():
        return
    _refuse_real_fastapi(list(sys.modules))
    # Behind the finders that tell others of an import, which stand in front, and before all that find a real module.
    finders = list(sys.meta_path)
    place = finders.index(BuiltinImporter) if BuiltinImporter in finders else 0
    sys.meta_path.insert(place, _finder)
    if OURS in sys.modules:
        for name in _loaded_modules():
            module = sys.modules[name]
            if not _is_extension(module):
                module.__name__ = _alias_name(name)
                module.__package__ = _alias_name(module.__package__ or "")
                _adopt(module)
        _import_face()


def install_if_requested() -> bool:
    """Install the alias if the environment has `FERROAPI_ALIAS` set to 1, true, yes or on; say whether it did.

    Raises:
        RealFastAPIImportedError: as `install`.
    """
    if not is_requested():
        return False
    install()
    return True


def is_requested() -> bool:
    """Whether the environment asks for the alias."""
    return os.environ.get(VARIABLE, "").strip().lower() in {"1", "true", "yes", "on"}


def is_installed() -> bool:
    """Whether `fastapi` is ferroapi in this process."""
    return _finder in sys.meta_path


def _refuse_real_fastapi(loaded: list[str]) -> None:
    # The shortest name is the package itself, where it is still there.
    theirs = sorted(name for name in loaded if name == THEIRS or name.startswith(f"{THEIRS}."))
    if theirs:
        raise RealFastAPIImportedError(theirs[0], getattr(sys.modules[theirs[0]], "__file__", None))


def _loaded_modules() -> list[str]:
    """The modules below `ferroapi` that are loaded, the last one first: most of what a module uses comes after it."""
    prefix = f"{OURS}."
    return [name for name, module in reversed(list(sys.modules.items())) if name.startswith(prefix) and module]


def _is_extension(module: ModuleType) -> bool:
    # Its loader would not tell: a finder that watches imports has put its own in between.
    return (module.__file__ or "").endswith(tuple(EXTENSION_SUFFIXES))


def _adopt(module: ModuleType) -> None:
    """Give the classes and functions in `module` FastAPI's module name."""
    alias = module.__name__
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


def _own_name(name: str) -> str:
    return OURS + name.removeprefix(THEIRS)


_finder: Any = AliasFinder()
