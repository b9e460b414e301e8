"""`frontend()`: a directory of built static files with an index or 404 fallback, served when no other route matches.

The router asks a `_FrontendRouteGroup` last; the most specific path wins.
"""

import errno
import os
import re
import stat
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, URLPath
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from ferroapi import params
from ferroapi._compat.starlette import get_route_path
from ferroapi._routing.include import _RouterIncludeContext
from ferroapi._routing.matching import Candidate, Selection, redirect_url
from ferroapi._routing.scope import (
    _FASTAPI_FRONTEND_PATH_KEY,
    _FASTAPI_FRONTEND_SPECIFICITY_KEY,
    _FASTAPI_SCOPE_KEY,
    _get_scope_effective_route_context,
    _update_scope,
    read_fastapi_scope,
    scope_keys_restored,
)
from ferroapi._routing.state import _build_dependant_with_parameterless_dependencies
from ferroapi._routing.views import _EffectiveRouteContext, view_through
from ferroapi.dependencies.utils import SolvedDependency, solve_dependencies
from ferroapi.exceptions import RequestValidationError
from ferroapi.telemetry._api import _route_selected

StrPath = str | os.PathLike[str]
Fallback = Literal["auto", "index.html", "404.html"] | None

_FALLBACKS = ("auto", "index.html", "404.html", None)
_NAVIGATION_TYPES = frozenset({"text/html", "application/xhtml+xml"})
# Nothing is matched twice, so that the time is linear in the header's length.
_MEDIA_TYPE_PARAMETER = re.compile(r';\s*+([^=;\s]*+)\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^;]*+)')


def _frontend_dependency_endpoint() -> None:
    """Stand for an endpoint: a frontend has dependencies but calls nothing."""


# Paths.


def _normalize_frontend_path(path: str) -> str:
    """Return the path without trailing slashes.

    Raises:
        AssertionError: the path is empty or does not start with a slash.
    """
    if not path:
        raise AssertionError("A frontend path cannot be empty")
    if not path.startswith("/"):
        raise AssertionError("A frontend path must start with '/'")
    return path if path == "/" else path.rstrip("/")


def _join_frontend_paths(prefix: str, path: str) -> str:
    """Return the path below a prefix; the root path is the prefix itself."""
    return prefix if prefix and path == "/" else prefix + path


def _frontend_path_specificity(path: str) -> int:
    """Return how much of a URL the path claims; the root claims nothing."""
    return 0 if path == "/" else len(path)


def _path_below(path: str, route_path: str) -> str | None:
    """Return what follows a frontend's path in a URL, or `None` when the URL is elsewhere."""
    if path == "/":
        return route_path.lstrip("/")
    if route_path == path:
        return ""
    return route_path[len(path) + 1 :] if route_path.startswith(path + "/") else None


def _get_resolved_absolute_path(path: StrPath) -> str:
    """Return the real path, as error messages show it."""
    return os.path.realpath(os.fspath(path))


def _missing_directory_message(directory: StrPath) -> str:
    resolved = _get_resolved_absolute_path(directory)
    return f"Frontend directory '{directory}' does not exist. Resolved absolute path: '{resolved}'"


def _resolve_frontend_check_dir(*, directory: StrPath, check_dir: bool | Literal["auto"]) -> bool:
    """Turn `"auto"` into a decision: in development a missing directory is a warning, as it may be built later."""
    if check_dir != "auto":
        return check_dir
    if os.environ.get("FASTAPI_ENV") != "development":
        return True
    if not os.path.isdir(directory):
        warnings.warn(_missing_directory_message(directory), stacklevel=3)
    return False


# Files.


class StaticResource(NamedTuple):
    """A file found for a URL."""

    full_path: str
    stat_result: os.stat_result
    is_directory_index: bool


def _is_file(stat_result: os.stat_result | None) -> bool:
    return stat_result is not None and stat.S_ISREG(stat_result.st_mode)


class _FrontendStaticFiles(StaticFiles):
    """The files of one frontend, with its fallback for URLs that name no file."""

    def __init__(self, *, directory: StrPath, fallback: Fallback, check_dir: bool) -> None:
        self.fallback = fallback
        if check_dir and not os.path.isdir(directory):
            raise RuntimeError(_missing_directory_message(directory))
        super().__init__(directory=directory, html=True, check_dir=check_dir, follow_symlink=False)
        if check_dir and fallback in ("index.html", "404.html"):
            self._fallback_file(fallback)

    def _fallback_file(self, name: str) -> tuple[str, os.stat_result]:
        """Find a fallback file that has to be there.

        Raises:
            RuntimeError: it is not there.
        """
        full_path, stat_result = self.lookup_path(name)
        if stat_result is None or not _is_file(stat_result):
            assert self.directory is not None
            raise RuntimeError(
                f"Frontend fallback file '{name}' does not exist in directory '{self.directory}'. "
                f"Resolved absolute directory: '{_get_resolved_absolute_path(self.directory)}'"
            )
        return full_path, stat_result

    def get_path(self, scope: Scope) -> str:
        """Return the file path that the frontend's match left in the scope."""
        path = read_fastapi_scope(scope, _FASTAPI_FRONTEND_PATH_KEY) or ""
        assert isinstance(path, str)
        parts = path.split("/")
        # What `join` makes of parts without a separator; it copies the path once for each of them.
        return os.path.normpath("/".join(filter(None, parts)) if os.sep == "/" else os.path.join(*parts))

    async def get_response_for_scope(self, scope: Scope) -> Response:
        """Return the response for a matched request."""
        if not self.config_checked:
            await self.check_config()
            self.config_checked = True
        return await self.get_response(self.get_path(scope), scope)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file, a redirect to a directory's slash, or the fallback.

        Raises:
            HTTPException: 404 for nothing there, 405 for a file requested with another method than GET or HEAD.
        """
        resource = await self._lookup_static_resource(path)
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(status_code=404 if resource is None else 405)
        if resource is None:
            return await self._fallback_response(scope)
        if resource.is_directory_index and not scope["path"].endswith("/"):
            url = redirect_url(scope)
            return RedirectResponse(url=url.replace(path=url.path + "/"))
        return self.file_response(resource.full_path, resource.stat_result, scope)

    async def _lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        try:
            return await run_in_threadpool(self.lookup_path, path)
        except PermissionError:
            raise HTTPException(status_code=401) from None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise HTTPException(status_code=404) from None
            raise
        except ValueError:
            # A null byte in the path.
            raise HTTPException(status_code=404) from None

    async def _lookup_static_resource(self, path: str) -> StaticResource | None:
        full_path, stat_result = await self._lookup_path(path)
        if stat_result is None:
            return None
        is_directory = stat.S_ISDIR(stat_result.st_mode)
        if is_directory:
            full_path, stat_result = await self._lookup_path(os.path.join(path, "index.html"))
        if stat_result is None or not _is_file(stat_result):
            return None
        return StaticResource(full_path, stat_result, is_directory)

    async def _has_fallback(self, name: str) -> bool:
        if self.fallback != "auto":
            return self.fallback == name
        _, stat_result = await run_in_threadpool(self.lookup_path, name)
        return _is_file(stat_result)

    async def _fallback_response(self, scope: Scope) -> Response:
        if await self._has_fallback("404.html"):
            name, status_code = "404.html", 404
        elif await self._has_fallback("index.html") and _is_frontend_navigation_request(scope):
            name, status_code = "index.html", 200
        else:
            raise HTTPException(status_code=404)
        full_path, stat_result = await run_in_threadpool(self._fallback_file, name)
        return self.file_response(full_path, stat_result, scope, status_code=status_code)


def _quality(parameters: str) -> float:
    for parameter in _MEDIA_TYPE_PARAMETER.finditer(parameters):
        if parameter[1].lower() == "q":
            try:
                return float(parameter[2].strip().strip('"'))
            except ValueError:
                return 1.0
    return 1.0


def _iter_accept_media_types(accept: str) -> Iterator[tuple[str, float]]:
    """Yield the media types of an Accept header with their quality; one that cannot be read is 1."""
    for item in accept.split(","):
        media_type, semicolon, parameters = item.partition(";")
        yield media_type.strip().lower(), _quality(semicolon + parameters) if semicolon else 1.0


def _is_frontend_navigation_request(scope: Scope) -> bool:
    """Tell whether a browser asks for a page, not a script or an image."""
    accepted = _iter_accept_media_types(Headers(scope=scope).get("accept", ""))
    return any(media_type in _NAVIGATION_TYPES and quality != 0 for media_type, quality in accepted)


# Routes.


class _FrontendRoute(BaseRoute):
    """One frontend: a path and its files."""

    def __init__(self, path: str, *, directory: StrPath, fallback: Fallback = "auto", check_dir: bool) -> None:
        if fallback not in _FALLBACKS:
            raise AssertionError("fallback must be 'auto', 'index.html', '404.html', or None")
        self.path = _normalize_frontend_path(path)
        self.methods = {"GET", "HEAD"}
        self.app = _FrontendStaticFiles(directory=directory, fallback=fallback, check_dir=check_dir)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the frontend's own path."""
        return self.matches_with_path(scope, self.path)

    def matches_with_path(self, scope: Scope, path: str) -> tuple[Match, Scope]:
        """Match as if the frontend's path were another: the one it has through an include."""
        below = _path_below(path, get_route_path(scope)) if scope["type"] == "http" else None
        if below is None:
            return Match.NONE, {}
        fastapi_scope = {
            _FASTAPI_FRONTEND_PATH_KEY: below,
            _FASTAPI_FRONTEND_SPECIFICITY_KEY: _frontend_path_specificity(path),
        }
        is_full = scope["method"] in self.methods
        return (Match.FULL if is_full else Match.PARTIAL), {_FASTAPI_SCOPE_KEY: fastapi_scope}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file or the fallback."""
        response = await self.app.get_response_for_scope(scope)
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """A frontend has no name.

        Raises:
            NoMatchFound: always.
        """
        raise NoMatchFound(name, path_params)


def most_specific_match(
    candidates: Iterable[Candidate], scope: Scope, match: Callable[[Candidate, Scope], tuple[Match, Scope]]
) -> Selection[Candidate] | None:
    """Return the full match that claims most of the URL, else such a partial match; the earlier one wins a tie.

    Routes other than frontends claim nothing, and stay where they are the first.
    """
    best: dict[Match, Selection[Candidate]] = {}
    for candidate in candidates:
        result, child_scope = match(candidate, scope)
        found = Selection(result, child_scope, candidate)
        # What a route that does not match adds to the scope is not looked at.
        if result != Match.NONE and (result not in best or _is_more_specific(found, best[result])):
            best[result] = found
    return best.get(Match.FULL) or best.get(Match.PARTIAL)


def _is_more_specific(found: Selection[Any], other: Selection[Any]) -> bool:
    new, old = (read_fastapi_scope(each.child_scope, _FASTAPI_FRONTEND_SPECIFICITY_KEY) for each in (found, other))
    return isinstance(new, int) and isinstance(old, int) and new > old


class _FrontendRouteGroup(BaseRoute):
    """All frontends of one router, which share the router's dependencies."""

    frontend_prefix = ""

    def __init__(
        self,
        *,
        dependencies: Sequence[params.Depends] | None = None,
        dependency_overrides_provider: Any | None = None,
    ) -> None:
        self.routes: list[_FrontendRoute] = []
        self.dependencies = list(dependencies or [])
        self.dependency_overrides_provider = dependency_overrides_provider
        self.dependant, _, self._embed_body_fields = _build_dependant_with_parameterless_dependencies(
            path="", call=_frontend_dependency_endpoint, dependencies=self.dependencies
        )

    def add_frontend_route(
        self, path: str, *, directory: StrPath, fallback: Fallback = "auto", check_dir: bool
    ) -> None:
        """Add a frontend.

        Raises:
            AssertionError: for a path or a fallback that is none.
            RuntimeError: the directory or the fallback file is missing and `check_dir` is set.
        """
        self.routes.append(_FrontendRoute(path, directory=directory, fallback=fallback, check_dir=check_dir))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the most specific frontend."""
        return self.matches_with_prefix(scope, "")

    def matches_with_prefix(self, scope: Scope, prefix: str) -> tuple[Match, Scope]:
        """Match the most specific frontend below the prefix of an include."""
        selection = self._match(scope, prefix=prefix)
        return (selection.match, selection.child_scope) if selection else (Match.NONE, {})

    def _match(self, scope: Scope, *, prefix: str) -> Selection[_FrontendRoute] | None:
        return most_specific_match(
            self.routes,
            scope,
            match=lambda route, scope: route.matches_with_path(scope, _join_frontend_paths(prefix, route.path)),
        )

    def _seen_through(self, scope: Scope) -> "_FrontendRouteGroup | _EffectiveFrontendContext":
        """Return the view on this group through which a request came, else the group itself."""
        view = _get_scope_effective_route_context(scope)
        return view if isinstance(view, _EffectiveFrontendContext) and view.original_route is self else self

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Solve the dependencies around the frontend and send its response.

        Raises:
            HTTPException: 404 for nothing there, 405 for another method than GET or HEAD.
            RequestValidationError: the parameters of a dependency do not validate.
        """
        group = self._seen_through(scope)
        selection = self._match(scope, prefix=group.frontend_prefix)
        if selection is None:
            raise HTTPException(status_code=404)
        route = selection.candidate
        _update_scope(scope, selection.child_scope)
        template = _join_frontend_paths(group.frontend_prefix, route.path).rstrip("/") + "/{path}"
        _route_selected(scope=scope, path=template)
        if selection.match != Match.FULL or not group.dependant.dependencies:
            await route.handle(scope, receive, send)
            return
        async with _solved(Request(scope, receive, send), group) as solved:
            response = await route.app.get_response_for_scope(scope)
            if response.background is None:
                response.background = solved.background_tasks
            response.headers.raw.extend(solved.response.headers.raw)
            await response(scope, receive, send)

    url_path_for = _FrontendRoute.url_path_for


class _EffectiveFrontendContext(_EffectiveRouteContext):
    """The frontends of a router as seen through an include: below its prefix, inside its dependencies."""

    original_route: _FrontendRouteGroup

    def __init__(self, original_route: _FrontendRouteGroup, include_context: _RouterIncludeContext) -> None:
        super().__init__(original_route)
        self.frontend_prefix = include_context.prefix
        self.dependencies = [*include_context.dependencies, *original_route.dependencies]
        self.dependency_overrides_provider = include_context.dependency_overrides_provider
        self.dependant, _, self._embed_body_fields = _build_dependant_with_parameterless_dependencies(
            path="", call=_frontend_dependency_endpoint, dependencies=self.dependencies
        )

    def _match_path(self, scope: Scope) -> tuple[Match, Scope]:
        return self.original_route.matches_with_prefix(scope, self.frontend_prefix)


@asynccontextmanager
async def _solved(
    request: Request, group: _FrontendRouteGroup | _EffectiveFrontendContext
) -> AsyncIterator[SolvedDependency]:
    scope = request.scope
    with scope_keys_restored(scope, "fastapi_inner_astack", "fastapi_function_astack"):
        async with AsyncExitStack() as request_stack, AsyncExitStack() as function_stack:
            scope["fastapi_inner_astack"] = request_stack
            scope["fastapi_function_astack"] = function_stack
            solved = await solve_dependencies(
                request=request,
                dependant=group.dependant,
                dependency_overrides_provider=group.dependency_overrides_provider,
                async_exit_stack=request_stack,
                embed_body_fields=group._embed_body_fields,
            )
            if solved.errors:
                raise RequestValidationError(solved.errors)
            yield solved


view_through.register(_FrontendRouteGroup, _EffectiveFrontendContext)
