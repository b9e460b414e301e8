"""Arrows point down: which of the project's modules each module may import, as data.
A new arrow is a line here, so that somebody decides it; `imports.py` beside this file reads the sources.
"""

import importlib.util
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

# Loaded by path: the tests are not a package.
_spec = importlib.util.spec_from_file_location("house_imports", Path(__file__).with_name("imports.py"))
assert _spec is not None and _spec.loader is not None
imports = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(imports)

SMALL = "_compat.starlette _foreign types datastructures exceptions concurrency logger"
FIELDS = "_compat _compat.v2 params types exceptions concurrency logger utils"
DEPENDENCIES = "dependencies.* background security.oauth2 _foreign"

# Top to bottom in the order a request meets them; patterns as in fnmatch, the package itself is `(package)`.
PYTHON = {
    "(package)": "_wings applications background datastructures exceptions param_functions requests responses routing "
    "websockets alias",
    "__main__": "cli",
    "cli": "_cli.* alias",
    "_cli.commands": "_cli.record _cli.report _cli.serving _cli.doctor _cli.migrate _cli.rewrite _cli.target "
    "_cli.discovery alias",
    "_cli.serving": "_cli.report _cli.target _cli.discovery alias",
    "_cli.doctor": "_cli.report _cli.serving alias",
    "_cli.target": "_cli.discovery alias",
    "_cli.report": "",
    "_cli.record": "",
    "_cli.migrate": "_cli.record _cli.rewrite _cli.requirements _cli.surroundings _cli.third_party",
    "_cli.requirements": "_cli.rewrite",
    "_cli.surroundings": "_cli.rewrite",
    "_cli.rewrite": "",
    "_cli.third_party": "",
    "_cli.discovery": "alias",
    "server": "_core _middleware.texts _wings",
    "testclient": "_beyond.testing.client _beyond.testing.async_client",
    "_beyond.testing.*": "_core _beyond.jobs _beyond.testing _beyond.testing.* _threads.anyio_pool _wings",
    "_beyond.lifespan_scope": f"_beyond.jobs _engine.reference.solve _routing.include {DEPENDENCIES} "
    "exceptions concurrency",
    "_beyond.resolve": "_core _engine.compile _engine.context _engine.reference.solve dependencies.utils params "
    f"_beyond.lifespan_scope {DEPENDENCIES} exceptions",
    "pytest_plugin": "alias",
    "alias": "",
    "applications": "_beyond _beyond.problem_details "
    "_core _witness _stack routing _engine.stand_ins _routing.dispatch _routing.explanation "
    f"openapi.* middleware.* _operations _option_defaults _options _signature _imported _body_limit exception_handlers "
    f"params telemetry._* requests responses {SMALL}",
    "_stack": "_core _definitions _witness _engine.entrance _engine.stand_ins _body_limit middleware.* telemetry._*",
    "routing": "_beyond.first_item _beyond.upload_stream _beyond.router_layers _beyond.declared_errors "
    "_witness _routing.* _engine.* dependencies.* _operations _option_defaults _options "
    "_signature _body_limit "
    f"_form_limits _core _imported sse requests responses websockets encoders telemetry._* {FIELDS} {SMALL}",
    "_middleware": "_core _engine.stand_ins _middleware.*",
    "_middleware.*": "_middleware.* _engine.stand_ins _core _definitions _witness",
    "_witness": "_core _definitions _imported",
    "_definitions": "",
    "_routing.entries": "_core _foreign _body_limit _form_limits _routing.* _engine.compile _witness",
    "_routing.explanation": "_beyond.router_layers _core _witness _routing.entries _routing.include",
    "_routing.response_shape": f"_beyond.declared_errors datastructures dependencies.utils sse {FIELDS}",
    "_routing.state": "_beyond.declared_errors _body_limit _core _option_defaults _routing.changes _witness sse "
    "_routing.response_shape "
    f"dependencies.* {FIELDS} {SMALL}",
    "_routing.table": "_core _witness _body_limit _routing.* telemetry._*",
    "_routing.dispatch": "_beyond.router_layers "
    "_compat.starlette _core _body_limit _definitions _witness _routing.* _engine.connection _engine.failure "
    "_form_limits telemetry._*",
    "_routing.*": "_beyond.declared_errors _beyond.router_layers "
    "_routing.* dependencies.* _option_defaults _body_limit _form_limits telemetry._* sse "
    "_core "
    f"{FIELDS} {SMALL}",
    "_engine.entrance": "_core",
    "_engine.known_values": "",
    "_engine.stand_ins": f"_core _witness {FIELDS}",
    "_wings": "_middleware _models _threads",
    "_threads": "_core",
    "_threads.workers": "_engine.offload _threads.anyio_pool",
    "_threads.anyio_pool": "_core",
    "_models": "_models.* _engine.stand_ins",
    "_models.*": f"_core _models.* _engine.known_values {FIELDS}",
    "_engine.*": "_beyond.first_item _beyond.upload_stream _beyond.declared_errors _beyond _beyond.problem_details "
    f"_engine.* _tracebacks _received _shown_errors {DEPENDENCIES} security.* exception_handlers "
    f"_routing.scope _witness _body_limit _form_limits telemetry._* sse encoders responses _core "
    f"{FIELDS} {SMALL}",
    "_operations": "_option_defaults _options _signature params types",
    "sse": "openapi._descriptions",
    "openapi._descriptions": "",
    "openapi.docs": "encoders",
    "openapi.models": "logger",
    "openapi.constants": "",
    "openapi.utils": "_core _witness _imported _routing.include _routing.state _compat.plain_annotations openapi.* "
    f"encoders {FIELDS}",
    "openapi.*": "routing _beyond.declared_errors _routing.include _routing.state _signature "
    "_imported _compat.plain_annotations openapi.* dependencies.models dependencies._field dependencies.utils encoders "
    "sse "
    f"{FIELDS} {SMALL}",
    "dependencies.models": "_compat security.base types concurrency",
    "dependencies._field": f"_core _witness {DEPENDENCIES} {FIELDS}",
    "dependencies._signature": f"_core _witness {FIELDS}",
    "dependencies._analyze": f"_core _witness _beyond.declared_errors _beyond.unresolved {DEPENDENCIES} {FIELDS}",
    "dependencies.utils": f"_imported _engine.reference.solve {DEPENDENCIES} {FIELDS}",
    "dependencies.*": f"_beyond.unresolved _imported _received {DEPENDENCIES} {FIELDS}",
    "security": "security.*",
    "_received": "_core _witness",
    "security.*": "_received security.base security.utils openapi.models openapi._descriptions params param_functions "
    "exceptions",
    "param_functions": "_imported params _option_defaults _options _signature _compat",
    "params": "_imported _option_defaults _options _signature _compat datastructures concurrency",
    "_options": "types",
    "_option_defaults": "_options datastructures utils",
    "_signature": "_tracebacks exceptions",
    "_shown_errors": "_core",
    "exception_handlers": "_shown_errors exceptions encoders utils websockets types _core _witness",
    "_body_limit": "_beyond.problem_details exception_handlers exceptions",
    "_foreign": "exceptions _signature",
    "encoders": "_compat exceptions types",
    "responses": "exceptions sse encoders",
    "background": "telemetry._api",
    "utils": "_compat _compat.shared _compat.v2 datastructures exceptions types",
    "_compat": "_compat.*",
    "_compat.v2": "_compat.shared _compat.declared _compat.plain_annotations _compat.plain_schemas openapi.constants "
    "types",
    "_compat.declared": "",
    "_compat.starlette": "",
    "_compat.plain_schemas": "openapi.constants types",
    "_compat.plain_annotations": "types",
    "_compat.shared": "types",
    "telemetry": "telemetry.*",
    "telemetry._*": "telemetry._* exceptions logger _core _witness",
    "exceptions": "types",
    "_beyond.unresolved": "_signature logger",
    "_beyond.declared_errors": "dependencies.models exceptions utils",
    "_beyond.documentation_pages": "encoders exceptions openapi.docs",
    "_beyond.problem_details": "_beyond.declared_errors _shown_errors _core encoders exceptions utils",
    "errors": "_beyond.declared_errors",
    "_beyond.upload_stream": "_engine.whole_form _compat datastructures dependencies._field "
    "dependencies.models exceptions",
    "uploads": "_beyond.upload_stream",
    "_beyond.first_item": "_compat datastructures dependencies.models exceptions",
    "_beyond.router_layers": "exceptions",
    "streams": "_beyond.first_item",
    "*": "",
}

# Imports inside a function, against the direction of the table: each was decided, and says why.
PYTHON_DEFERRED = {
    ("_cli.*", "(package)"): "the command must load, and print its help, before any application does",
    ("pytest_plugin", "(package)"): "only for the version in the report's header",
    ("_compat.v2", "params"): "params imports it; needed for the rare field that is a parameter class",
    ("_options", "*"): "the quoted annotations of the options are resolved for inspect.signature only",
    ("applications", "_beyond.resolve"): "what FastAPI has not is loaded where it is used",
    ("applications", "_beyond.documentation_pages"): "what FastAPI has not is loaded where it is used",
    ("dependencies._analyze", "_beyond.lifespan_scope"): "likewise",
}

# Imports inside a function or for type checkers only, without which no module would lead to itself.
PYTHON_CIRCULAR = {
    ("_compat.v2", "params"): "it asks whether a field was declared with a class that is derived from its own fields",
    ("_middleware.downstream", "_middleware.call_next"): "a call tells the middleware function that has made it",
    ("_options", "params"): "options are of classes that are declared with options",
    ("_options", "routing"): "likewise",
    ("_routing.include", "routing"): "what is included is a router",
    ("_routing.table", "_routing.dispatch"): "a table is of a router's routes",
    ("_routing.views", "_routing.include"): "a view is made through an inclusion",
    ("_routing.views", "routing"): "a view is on a route",
    ("dependencies._analyze", "_beyond.lifespan_scope"): "what FastAPI has not is loaded where it is used",
    ("telemetry._asgi", "telemetry._observation"): "opentelemetry is imported where a request is recorded",
    ("utils", "routing"): "`generate_unique_id` is given a route",
}

# Files of a layer do not import each other; those of a folder may, below its `mod.rs`.
RUST_CORE = (
    ("error",),
    ("names", "ffi"),
    ("awaitable", "class_dicts", "place", "snapshot", "watched"),
    ("witness",),
    ("scope", "attribute"),
    ("serialize", "worker_thread", "teardown"),
    ("plan",),
    ("extract", "body", "entry", "observer", "response"),
    ("connection", "grouped"),
    ("validate", "credentials"),
    ("solve",),
    ("call",),
    ("answer", "stream"),
    ("offload", "send"),
    ("drive",),
    ("table",),
    ("entrance",),
    ("wings",),
    ("lib",),
)
RUST_HTTP = (
    ("limits", "refusal", "response"),
    ("target", "chunked"),
    ("head",),
    ("body", "request_head"),
    ("connection",),
    ("lib",),
)
RUST_WIRE = (
    ("percent", "latin1", "convertor", "captures", "scalar"),
    ("query",),
    ("authorization", "cookie", "form", "media_type", "multipart", "json", "pattern"),
    ("arriving",),
    ("template",),
    ("node",),
    ("routes",),
    ("lib",),
)

_modules = imports.python_modules()


def _allowed(name: str) -> list[str]:
    exact = PYTHON.get(name)
    patterns = exact if exact is not None else next(rule for key, rule in PYTHON.items() if fnmatchcase(name, key))
    return patterns.split()


@pytest.mark.parametrize("name", [name or "(package)" for name in _modules])
def test_layers_python_module_imports_only_what_stands_below_it(name: str) -> None:
    key = "" if name == "(package)" else name
    found = imports.imports_of(key, _modules[key], _modules)

    direct = {target or "(package)" for target in found.direct}
    above = sorted(target for target in direct if not any(fnmatchcase(target, rule) for rule in _allowed(name)))
    assert not above, f"{name} may not import {above}: it may import {_allowed(name)}"

    deferred = {target or "(package)" for target in found.deferred} - direct
    undecided = sorted(
        target
        for target in deferred
        if not any(fnmatchcase(target, rule) for rule in _allowed(name))
        and not any(fnmatchcase(name, source) and fnmatchcase(target, rule) for source, rule in PYTHON_DEFERRED)
    )
    assert not undecided, f"{name} imports {undecided} inside a function, against the table"


def test_layers_deferred_imports_that_were_decided_are_there() -> None:
    needed = set()
    for name, file in _modules.items():
        deferred = {target or "(package)" for target in imports.imports_of(name, file, _modules).deferred}
        needed |= {
            (source, rule)
            for source, rule in PYTHON_DEFERRED
            if fnmatchcase(name, source) and any(fnmatchcase(target, rule) for target in deferred)
        }
    unused = sorted(PYTHON_DEFERRED.keys() - needed)
    assert not unused, f"nobody imports these inside a function: remove {unused} from the table"


def test_layers_python_modules_have_no_import_cycle() -> None:
    waiting: dict[str, set[str]] = {}
    for name, file in _modules.items():
        found = imports.imports_of(name, file, _modules)
        decided = {target for source, target in PYTHON_CIRCULAR if source == name}
        unused = decided - (found.deferred | found.typed)
        assert not unused, f"{name} does not import {unused}: remove it from the table"
        waiting[name] = (found.direct | ((found.deferred | found.typed) - decided)) & _modules.keys() - {"", name}
    waiting.pop("")
    while waiting:
        ready = {name for name, targets in waiting.items() if not targets & waiting.keys()}
        assert ready, f"these import each other: {sorted(waiting)}"
        waiting = {name: targets for name, targets in waiting.items() if name not in ready}


@pytest.mark.parametrize("crate", ["core", "http", "wire"])
def test_layers_rust_files_have_no_import_cycle(crate: str) -> None:
    modules = imports.rust_modules(imports.ROOT / "rust" / crate)
    waiting = {
        name: {
            target
            for target in imports.rust_imports_of(name, file, modules)
            # A folder's own file lists the others, and has what they share.
            if not name.startswith(f"{target}/")
        }
        for name, file in modules.items()
    }
    while waiting:
        ready = {name for name, targets in waiting.items() if not targets & waiting.keys()}
        assert ready, f"these import each other: {sorted(waiting)}"
        waiting = {name: targets for name, targets in waiting.items() if name not in ready}


@pytest.mark.parametrize(("crate", "layers"), [("core", RUST_CORE), ("http", RUST_HTTP), ("wire", RUST_WIRE)])
def test_layers_rust_file_imports_only_lower_layers(crate: str, layers: tuple[tuple[str, ...], ...]) -> None:
    height = {name: level for level, names in enumerate(layers) for name in names}
    modules = imports.rust_modules(imports.ROOT / "rust" / crate)
    violations = []
    for name, file in modules.items():
        folder = name.partition("/")[0]
        assert folder in height, f"rust/{crate}/src/{folder} has no layer in this table"
        for target in imports.rust_imports_of(name, file, modules):
            other = target.partition("/")[0]
            if other != folder and height[other] >= height[folder]:
                violations.append(f"{name} imports {target}")
    assert not violations, f"arrows that do not point down: {violations}"


@pytest.mark.parametrize("crate", ["http", "wire"])
def test_layers_pure_crate_knows_no_python(crate: str) -> None:
    manifest = (imports.ROOT / "rust" / crate / "Cargo.toml").read_text(encoding="utf-8")
    assert "pyo3" not in manifest


def test_layers_unsafe_code_is_in_one_place() -> None:
    users = sorted(
        str(file.relative_to(imports.ROOT))
        for file in (imports.ROOT / "rust").rglob("*.rs")
        if "target" not in file.parts
        and any(_uses_unsafe(line) for line in file.read_text(encoding="utf-8").splitlines())
    )
    assert [user for user in users if not user.startswith("rust/core/src/ffi")] == []


def _uses_unsafe(line: str) -> bool:
    code = line.partition("//")[0]
    return "unsafe {" in code or "unsafe fn" in code or "unsafe impl" in code or 'unsafe extern "C"' in code
