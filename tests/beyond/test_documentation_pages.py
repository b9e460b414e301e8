# mypy: disable-error-code="untyped-decorator"
"""Documentation pages with the files of the extra `docs`, also in a browser that finds no other host."""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import uvicorn

from ferroapi import Depends, FastAPI
from ferroapi._beyond import documentation_pages
from ferroapi.exceptions import FastAPIError
from ferroapi.security import OAuth2PasswordBearer
from ferroapi.testclient import TestClient

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/beyond/offline_docs.py"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOST = "api.example.test"
"""A name that only the browser of the test knows: at localhost, browsers and Swagger UI allow more."""

PAGES = ("/docs", "/redoc", "/docs/oauth2-redirect")
LICENCES = {
    "swagger-ui.LICENSE.txt": b"Apache License",
    "swagger-ui-bundle.js.LICENSE.txt": b"Apache License",
    "redoc.LICENSE.txt": b"The MIT License",
    "redoc.standalone.js.LICENSE.txt": b"MIT",
}


def example() -> FastAPI:
    spec = importlib.util.spec_from_file_location("offline_docs", EXAMPLE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app: FastAPI = module.app
    return app


def policy(response: Any) -> dict[str, list[str]]:
    directives = (directive.split() for directive in response.headers["content-security-policy"].split(";"))
    return {name: values for name, *values in directives}


@pytest.mark.parametrize("path", PAGES)
def test_pages_have_an_etag_and_are_not_sent_again(path: str) -> None:
    client = TestClient(example())
    first = client.get(path)
    tag = first.headers["etag"]
    assert first.status_code == 200 and "text/html" in first.headers["content-type"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert policy(again) == policy(first)
    assert client.get(path, headers={"if-none-match": '"other"'}).content == first.content


@pytest.mark.parametrize("path", PAGES)
def test_the_policy_names_each_inline_script_by_its_hash(path: str) -> None:
    page = TestClient(example()).get(path)
    scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    hashes = [f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts]
    assert len(hashes) == 1
    assert policy(page)["default-src"] == ["'none'"]
    assert [source for source in policy(page)["script-src"] if source != "'self'"] == hashes


@pytest.mark.parametrize("path", PAGES[:2])
def test_pages_name_no_other_host_and_their_files_are_served(path: str) -> None:
    client = TestClient(example())
    page = client.get(path)
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) >= 3 and all(file.startswith("/") for file in files)
    for file in files:
        answer = client.get(file)
        assert answer.status_code == 200
        if file.endswith((".js", ".css", ".png")):
            assert client.get(file, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
            assert answer.headers["x-content-type-options"] == "nosniff"
    assert "https://" not in " ".join(" ".join(values) for values in policy(page).values())


def test_redoc_takes_no_logo_from_another_host() -> None:
    folder = documentation_pages._package_folder()
    assert folder
    packaged = (folder / "redoc/bundles/redoc.standalone.js").read_bytes()
    served = TestClient(example()).get("/docs/assets/redoc.standalone.js").content
    assert b"cdn.redoc.ly" in packaged
    assert b"cdn.redoc.ly" not in served
    assert len(packaged) - len(served) == packaged.count(b"https://cdn.redoc.ly/redoc/logo-mini.svg") * 34


@pytest.mark.parametrize("name", LICENCES)
def test_licences_are_served_beside_the_files(name: str) -> None:
    assert LICENCES[name] in TestClient(example()).get(f"/docs/assets/{name}").content


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js.map", "..%2Fapps.py", "LICENSE"])
def test_other_files_of_the_package_are_not_served(name: str) -> None:
    assert TestClient(example()).get(f"/docs/assets/{name}").status_code == 404


@pytest.mark.parametrize("root_path", ["", "/behind/a proxy"])
@pytest.mark.parametrize(
    ("options", "page", "script"),
    [
        ({"docs_url": None}, "/redoc", "/redoc/assets/redoc.standalone.js"),
        ({"redoc_url": None}, "/docs", "/docs/assets/swagger-ui-bundle.js"),
        ({"docs_url": "/"}, "/", "/assets/swagger-ui-bundle.js"),
        ({"docs_url": "/a/b/"}, "/a/b/", "/a/b/assets/swagger-ui-bundle.js"),
    ],
)
def test_files_lie_below_the_first_page(options: dict[str, Any], page: str, script: str, root_path: str) -> None:
    app = FastAPI(docs_assets="bundled", **options)
    text = TestClient(app, root_path=root_path).get(page).text
    assert f'<script src="{root_path.replace(" ", "%20")}{script}">' in text
    assert TestClient(app).get(script).status_code == 200
    for missing in {"/docs", "/redoc"} & {
        "/docs" if "docs_url" in options else "",
        "/redoc" if "redoc_url" in options else "",
    }:
        assert TestClient(app).get(missing).status_code == 404


def test_pages_that_are_off_bring_no_routes() -> None:
    none = FastAPI(docs_assets="bundled", docs_url=None, redoc_url=None)
    assert [getattr(route, "path", None) for route in none.routes] == ["/openapi.json"]
    assert FastAPI(docs_assets="bundled", openapi_url=None).routes == []


def test_what_is_placed_in_a_page_is_escaped() -> None:
    app = FastAPI(
        docs_assets="bundled",
        title="<script>alert(1)</script>",
        swagger_ui_parameters={"filter": "</script><script>alert(2)</script>"},
        swagger_ui_init_oauth={"clientId": "</script>"},
    )
    parent = FastAPI()
    parent.mount("/{tenant}", app)
    for page in (TestClient(app).get("/docs"), TestClient(parent).get("/'+alert(3)+'%22%3E%3Cscript%3E/docs")):
        assert page.text.count("<script") == 2
        assert len(policy(page)["script-src"]) == 2
        settings = re.search(r"const settings = (.*);\n", page.text)
        assert settings and json.loads(settings[1])["filter"] == "</script><script>alert(2)</script>"


def test_settings_and_login_are_those_of_the_application() -> None:
    app = FastAPI(
        docs_assets="bundled",
        swagger_ui_parameters={"docExpansion": "none", "deepLinking": False},
        swagger_ui_init_oauth={"clientId": "me"},
        swagger_ui_oauth2_redirect_url="/back",
    )
    text = TestClient(app, root_path="/r").get("/docs").text
    assert '"docExpansion": "none"' in text and '"deepLinking": false' in text
    assert '"oauth2RedirectUrl": "/r/back"' in text and '{"clientId": "me"}' in text
    assert '"url": "/r/openapi.json"' in text
    assert "swaggerUIRedirectOauth2" in TestClient(app).get("/back").text


def test_requests_may_go_where_the_document_says() -> None:
    servers = [
        "/here",
        "https://api.example.com/v1",
        "https://{region}.example.com",
        "https://bad;script-src *",
        "ftp://f",
    ]
    app = FastAPI(docs_assets="bundled", servers=[{"url": url} for url in servers])

    @app.get("/me")
    async def me(token: Annotated[str, Depends(OAuth2PasswordBearer("https://login.example.com:8443/token"))]) -> str:
        return token

    sources = policy(TestClient(app).get("/docs"))
    assert sources["connect-src"] == ["'self'", "https://api.example.com", "https://login.example.com:8443"]


def test_without_the_extra_the_declaration_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documentation_pages, "_package_folder", lambda: None)
    with pytest.raises(FastAPIError, match=r"pip install \"ferroapi\[docs\]\""):
        FastAPI(docs_assets="bundled")
    FastAPI(docs_assets="cdn")
    FastAPI()


def test_another_value_is_refused() -> None:
    with pytest.raises(FastAPIError, match="docs_assets must be"):
        FastAPI(docs_assets="local")  # type: ignore[arg-type]


def test_the_package_is_not_imported() -> None:
    code = (
        "import sys; from ferroapi import FastAPI; from ferroapi.testclient import TestClient;"
        "client = TestClient(FastAPI(docs_assets='bundled'));"
        "assert client.get('/docs/assets/swagger-ui.css').status_code == 200;"
        "assert not {'django', 'drf_spectacular_sidecar'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# In a browser.


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Serve the example, also mounted, and an application whose scripts cannot be had."""
    app = example()
    opened = FastAPI(docs_assets="bundled", swagger_ui_parameters={"docExpansion": "full", "tryItOutEnabled": True})
    opened.get("/me", summary="Show me")(_me)
    app.mount("/opened", opened)
    app.mount("/cdn", FastAPI(docs_assets="cdn"))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


async def _me(token: Annotated[str, Depends(OAuth2PasswordBearer("token"))]) -> str:
    return token


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(
    ("path", "shown", "hidden"),
    [
        ("/docs", "Show an item", True),
        ("/redoc", "Show an item", True),
        ("/opened/docs", "Show me", True),
        ("/opened/redoc", "Show me", True),
        ("/cdn/docs", "could not load the script", False),
        ("/cdn/redoc", "could not load the script", False),
    ],
)
def test_a_browser_without_network_shows_the_page(
    port: int, path: str, shown: str, hidden: bool, tmp_path: Path
) -> None:
    assert CHROMIUM
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        f"--host-resolver-rules=MAP {HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--enable-logging=stderr",
        "--virtual-time-budget=8000",
        "--dump-dom",
    )
    browser = subprocess.run(
        [CHROMIUM, *options, f"http://{HOST}:{port}{path}"], capture_output=True, text=True, check=True
    )
    console = [line for line in browser.stderr.splitlines() if "CONSOLE" in line]
    if hidden:
        assert console == []
    assert shown in browser.stdout
    assert ('id="unavailable" hidden' in browser.stdout) is hidden
