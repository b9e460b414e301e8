"""`FastAPI(docs_assets=...)`: documentation pages with a content security policy, ETags and files of the extra `docs`.

Their text is our own, and all that is placed in it is escaped. Without the option, `openapi.docs` has the pages.
"""

import hashlib
import html
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlsplit

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ferroapi.encoders import jsonable_encoder
from ferroapi.exceptions import FastAPIError
from ferroapi.openapi.docs import (
    _html_safe_json,
    _root_path,
    get_swagger_ui_oauth2_redirect_html,
    swagger_ui_default_parameters,
)

Source = Literal["bundled", "cdn"]

_PACKAGE = "drf_spectacular_sidecar"
_CDN = "https://cdn.jsdelivr.net"
_FOLDER = "/assets"

_SWAGGER_UI_FOLDER = "swagger-ui-dist"
_REDOC_FOLDER = "redoc"
_SCRIPT = "text/javascript; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_FILES: Mapping[str, tuple[str, str]] = {
    "swagger-ui-bundle.js": (f"{_SWAGGER_UI_FOLDER}/swagger-ui-bundle.js", _SCRIPT),
    "swagger-ui-bundle.js.LICENSE.txt": (f"{_SWAGGER_UI_FOLDER}/swagger-ui-bundle.js.LICENSE.txt", _TEXT),
    "swagger-ui.css": (f"{_SWAGGER_UI_FOLDER}/swagger-ui.css", "text/css; charset=utf-8"),
    "swagger-ui.LICENSE.txt": (f"{_SWAGGER_UI_FOLDER}/LICENSE", _TEXT),
    "favicon.png": (f"{_SWAGGER_UI_FOLDER}/favicon-32x32.png", "image/png"),
    "redoc.standalone.js": (f"{_REDOC_FOLDER}/bundles/redoc.standalone.js", _SCRIPT),
    "redoc.standalone.js.LICENSE.txt": (f"{_REDOC_FOLDER}/bundles/redoc.standalone.js.LICENSE.txt", _TEXT),
    "redoc.LICENSE.txt": (f"{_REDOC_FOLDER}/LICENSE", _TEXT),
}
"""What is served beside the pages: the path in the package, and the media type."""

_CDN_URLS: Mapping[str, str] = {
    "swagger-ui-bundle.js": f"{_CDN}/npm/swagger-ui-dist@5/swagger-ui-bundle.js",
    "swagger-ui.css": f"{_CDN}/npm/swagger-ui-dist@5/swagger-ui.css",
    "favicon.png": f"{_CDN}/npm/swagger-ui-dist@5/favicon-32x32.png",
    "redoc.standalone.js": f"{_CDN}/npm/redoc@2/bundles/redoc.standalone.js",
}

_REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
_NO_IMAGE = b"data:,"
"""What stands for the one file that ReDoc takes from another host: it leaves out a logo that is no image."""

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="$icon">
$head</head>
<body>
<div id="$container"></div>
<p id="unavailable" hidden>This page could not load the script <code>$script</code>, which shows the documentation.
The OpenAPI document itself is at <a href="$document">$document</a>.</p>
<noscript><p>This page needs JavaScript.
The OpenAPI document itself is at <a href="$document">$document</a>.</p></noscript>
<script src="$script"></script>
<script>$start</script>
</body>
</html>
""")

_SWAGGER_UI_START = Template("""
if (typeof SwaggerUIBundle === "undefined") {
  document.getElementById("unavailable").hidden = false;
} else {
  const settings = $settings;
  settings.presets = [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset];
  if (settings.oauth2RedirectUrl) {
    settings.oauth2RedirectUrl = window.location.origin + settings.oauth2RedirectUrl;
  }
  const ui = SwaggerUIBundle(settings);
  const oauth = $oauth;
  if (oauth) {
    ui.initOAuth(oauth);
  }
}
""")

_REDOC_START = Template("""
if (typeof Redoc === "undefined") {
  document.getElementById("unavailable").hidden = false;
} else {
  Redoc.init($document, {}, document.getElementById("redoc"));
}
""")

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


class Application(Protocol):
    """What the pages ask of an application when they are asked for."""

    title: str
    openapi_url: str | None
    docs_url: str | None
    redoc_url: str | None
    swagger_ui_oauth2_redirect_url: str | None
    swagger_ui_init_oauth: dict[str, Any] | None
    swagger_ui_parameters: dict[str, Any] | None
    docs_assets: Source | None

    def openapi(self) -> dict[str, Any]: ...
    def add_route(self, path: str, route: Any, *, include_in_schema: bool = True) -> None: ...


def add_pages(app: Application) -> None:
    """Add the documentation pages that have a URL to an application, and what they load.

    Raises:
        FastAPIError: the extra `docs` is not installed, or the option has another value.
    """
    if app.docs_assets not in ("bundled", "cdn"):
        raise FastAPIError(f'docs_assets must be "bundled", "cdn" or None, not {app.docs_assets!r}')
    bundled = app.docs_assets == "bundled"
    if bundled and not _package_folder():
        raise FastAPIError(
            'docs_assets="bundled" needs the package with the scripts: pip install "ferroapi[docs]"; '
            'docs_assets="cdn" loads them from the network'
        )
    folder = ((app.docs_url or app.redoc_url or "").rstrip("/") + _FOLDER) if bundled else ""

    # The names of the functions are the names of the routes, as without the option.
    async def swagger_ui_html(request: Request) -> Response:
        return _swagger_ui(app, request, _urls(request, folder))

    async def swagger_ui_redirect(request: Request) -> Response:
        page = bytes(get_swagger_ui_oauth2_redirect_html().body)
        return _answer(request, page, {"content-security-policy": _policy(page)})

    async def redoc_html(request: Request) -> Response:
        return _redoc(app, request, _urls(request, folder))

    if app.docs_url:
        app.add_route(app.docs_url, swagger_ui_html, include_in_schema=False)
        if app.swagger_ui_oauth2_redirect_url:
            app.add_route(app.swagger_ui_oauth2_redirect_url, swagger_ui_redirect, include_in_schema=False)
    if app.redoc_url:
        app.add_route(app.redoc_url, redoc_html, include_in_schema=False)
    if bundled and (app.docs_url or app.redoc_url):
        app.add_route(folder + "/{name}", docs_asset, include_in_schema=False)


async def docs_asset(request: Request) -> Response:
    """Answer with a script, a style sheet or a licence of the pages.

    Raises:
        HTTPException: 404, it is none of these.
    """
    name = request.path_params["name"]
    if name not in _FILES:
        raise HTTPException(404)
    # Megabytes that are read once in a process.
    content = await run_sync(_content, name)
    return _answer(request, content, {}, _FILES[name][1])


@cache
def _package_folder() -> Path | None:
    # The package is found and not imported: importing it takes Django, which serves nothing here.
    spec = find_spec(_PACKAGE)
    locations = spec.submodule_search_locations if spec else None
    return Path(locations[0], "static", _PACKAGE) if locations else None


@cache
def _content(name: str) -> bytes:
    folder = _package_folder()
    assert folder is not None, "pages are added where the package is installed only"
    return (folder / _FILES[name][0]).read_bytes().replace(_REDOC_LOGO, _NO_IMAGE)


def _urls(request: Request, folder: str) -> Mapping[str, str]:
    """Return where the browser finds the files of the pages: in a folder of the application, or elsewhere."""
    return {name: quote(f"{_root_path(request)}{folder}/{name}") for name in _FILES} if folder else _CDN_URLS


def _json(value: Any) -> str:
    return _html_safe_json(jsonable_encoder(value))


def _swagger_ui(app: Application, request: Request, urls: Mapping[str, str]) -> Response:
    root_path = _root_path(request)
    redirect = app.swagger_ui_oauth2_redirect_url
    settings = {
        "url": quote(f"{root_path}{app.openapi_url}"),
        **swagger_ui_default_parameters,
        **(app.swagger_ui_parameters or {}),
        **({"oauth2RedirectUrl": root_path + redirect} if redirect else {}),
    }
    return _page(
        app,
        request,
        urls,
        title=f"{app.title} - Swagger UI",
        head=f'<link rel="stylesheet" href="{html.escape(urls["swagger-ui.css"])}">\n',
        container="swagger-ui",
        script=urls["swagger-ui-bundle.js"],
        start=_SWAGGER_UI_START.substitute(settings=_json(settings), oauth=_json(app.swagger_ui_init_oauth)),
    )


def _redoc(app: Application, request: Request, urls: Mapping[str, str]) -> Response:
    document = quote(f"{_root_path(request)}{app.openapi_url}")
    return _page(
        app,
        request,
        urls,
        title=f"{app.title} - ReDoc",
        head="<style>body { margin: 0; }</style>\n",
        container="redoc",
        script=urls["redoc.standalone.js"],
        start=_REDOC_START.substitute(document=_json(document)),
    )


def _page(app: Application, request: Request, urls: Mapping[str, str], *, start: str, **texts: str) -> Response:
    escaped = {name: text if name == "head" else html.escape(text) for name, text in texts.items()}
    document = html.escape(quote(f"{_root_path(request)}{app.openapi_url}"))
    page = _PAGE.substitute(escaped, document=document, icon=html.escape(urls["favicon.png"]), start=start).encode()
    policy = _page_policy(app, page, redoc=texts["container"] == "redoc")
    return _answer(request, page, {"content-security-policy": policy})


def _page_policy(app: Application, page: bytes, *, redoc: bool) -> str:
    """Return what a page may load: the files that show the documentation, and answers of the API for "Try it out"."""
    cdn = app.docs_assets == "cdn"
    files = _CDN if cdn else "'self'"
    return _policy(
        page,
        {
            "script-src": files,
            # ReDoc writes style elements as it runs, and searches in a worker that it makes from its own text.
            "style-src": f"{files} 'unsafe-inline'" if redoc else files,
            **({"worker-src": "blob:"} if redoc else {}),
            "img-src": "'self' data: https:" if cdn else "'self' data:",
            "connect-src": " ".join(["'self'", *sorted(_origins(app.openapi()))]),
        },
    )


def _policy(page: bytes, sources: Mapping[str, str] | None = None) -> str:
    """Return the policy of a page: its own scripts, named by what they hash to, and what else it may load."""
    directives = {"default-src": "'none'", "script-src": "", **(sources or {})}
    for script in _INLINE_SCRIPT.findall(page.decode()):
        digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
        directives["script-src"] = f"{directives['script-src']} 'sha256-{digest}'".lstrip()
    directives |= {"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'self'"}
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _origins(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the origins that the document says requests go to: of servers, and of OAuth2 tokens."""
    urls = {server.get("url", "") for server in document.get("servers", ())}
    for scheme in document.get("components", {}).get("securitySchemes", {}).values():
        urls.add(scheme.get("openIdConnectUrl", ""))
        for flow in scheme.get("flows", {}).values():
            urls |= {flow.get("tokenUrl", ""), flow.get("refreshUrl", "")}
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc):
            yield f"{parts.scheme}://{parts.netloc}"


def _answer(
    request: Request, content: bytes, headers: Mapping[str, str], media_type: str = "text/html; charset=utf-8"
) -> Response:
    """Return the content, or 304 where the client has it.

    Source: RFC 9110, 13.1.2.
    """
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**headers, "etag": tag, "cache-control": "no-cache", "x-content-type-options": "nosniff"}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
