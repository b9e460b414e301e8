"""Applications in the style of FastAPI 0.110 to 0.115 answer, document themselves and warn as under FastAPI 0.165.

Each is a source text; the framework it imports is the only difference between the two runs.
"""

import json
import sys
import warnings
from types import ModuleType
from typing import Any

import pytest
from fastapi.exceptions import FastAPIDeprecationWarning
from starlette.testclient import TestClient

from ferroapi.exceptions import FastAPIDeprecationWarning as OurDeprecationWarning

Request = tuple[str, str, dict[str, Any]]


def get(*urls: str) -> list[Request]:
    return [("GET", url, {}) for url in urls]


def post(url: str, **options: Any) -> Request:
    return ("POST", url, options)


EVENTS = """
from typing import Optional

from fastapi import APIRouter, FastAPI, Request

app = FastAPI(title="Events")
router = APIRouter(prefix="/router", tags=["router"])
events = []


@app.on_event("startup")
async def start():
    events.append("start")
    app.state.pool = {"size": 3}


@app.on_event("shutdown")
def stop():
    events.append("stop")


@router.on_event("startup")
def start_router():
    events.append("start router")


def started():
    events.append("added")


app.router.add_event_handler("startup", started)
router.add_event_handler("shutdown", stop)


@router.get("/")
async def read(request: Request, name: Optional[str] = None):
    request.state.name = name or "nobody"
    return {"pool": request.app.state.pool, "name": request.state.name, "events": list(events)}


app.include_router(router)
"""

PARAMETERS = """
from datetime import date, datetime
from enum import Enum
from typing import Dict, List, Optional, Set, Tuple, Union
from uuid import UUID

from fastapi import Body, Cookie, FastAPI, Form, Header, Path, Query

app = FastAPI()


class Kind(str, Enum):
    new = "new"
    old = "old"


@app.get("/items/{item_id}")
def read_item(
    item_id: int = Path(..., title="The ID", ge=1, le=1000, example=7),
    q: Optional[str] = Query(None, min_length=2, max_length=5, regex="^[a-z]+$", deprecated=True, example="abc"),
    kinds: List[Kind] = Query([], alias="kind", description="Kinds"),
    tags: Optional[Set[str]] = Query(default=None),
    when: Union[date, None] = None,
    limit: int = Query(default=10, gt=0, lt=100),
    flag: bool = False,
    user_agent: Optional[str] = Header(None),
    x_token: List[str] = Header(["none"], convert_underscores=True),
    plain_name: str = Header("-", convert_underscores=False),
    session: Optional[str] = Cookie(None, examples=["abc"]),
):
    return {
        "item_id": item_id, "q": q, "kinds": kinds, "tags": sorted(tags or []), "when": when, "limit": limit,
        "flag": flag, "user_agent": user_agent, "x_token": x_token, "plain_name": plain_name, "session": session,
    }


@app.put("/body/{key}")
async def put_body(
    key: UUID,
    start: Optional[datetime] = Body(None),
    pair: Tuple[int, str] = Body(...),
    weights: Dict[int, float] = Body({}, embed=True, example={"1": 0.5}),
    note: str = Body("none", regex="^n", max_length=10),
):
    return {"key": key, "start": start, "pair": pair, "weights": weights, "note": note}


@app.post("/form")
async def post_form(username: str = Form(..., regex="^[a-z]+$"), ages: List[int] = Form([]), keep: bool = Form(True)):
    return {"username": username, "ages": ages, "keep": keep}
"""

MODELS = '''
from decimal import Decimal
from typing import Any, Generic, List, Optional, TypeVar, Union

from fastapi import BackgroundTasks, Body, FastAPI, HTTPException, Response, status
from pydantic import BaseModel, Field, HttpUrl

app = FastAPI(description="Models", version="1.2.3", openapi_tags=[{"name": "items", "description": "Things"}])
T = TypeVar("T")
log = []


class Image(BaseModel):
    url: HttpUrl
    name: str


class Item(BaseModel):
    name: str = Field(..., examples=["Foo"])
    description: Optional[str] = Field(None, title="What it is", max_length=300)
    price: float = Field(..., gt=0)
    tax: Optional[Decimal] = None
    tags: List[str] = []
    images: Union[List[Image], None] = None

    model_config = {"json_schema_extra": {"example": {"name": "Foo", "price": 35.4}}}


class ItemOut(BaseModel):
    name: str
    price: float
    tags: List[str] = ["none"]


class Page(BaseModel, Generic[T]):
    items: List[T]
    total: int


class Car(BaseModel):
    type: str = "car"
    wheels: int = 4


class Plane(BaseModel):
    type: str = "plane"
    engines: int


def write(text: str):
    log.append(text)


@app.post("/items/", response_model=ItemOut, status_code=status.HTTP_201_CREATED, tags=["items"], summary="Add",
          response_description="The item", response_model_exclude_unset=True)
async def add_item(item: Item, tasks: BackgroundTasks, response: Response):
    tasks.add_task(write, item.name)
    response.headers["X-Name"] = item.name
    response.set_cookie("last", item.name)
    return item


@app.get("/items/", response_model=List[ItemOut], tags=["items"], operation_id="list_items")
def list_items():
    """List them.

    More text.\\f
    Not this.
    """
    return [{"name": "a", "price": "1.5", "secret": 1}]


@app.get("/page", response_model=Page[ItemOut], response_model_exclude={"total"})
def page():
    return {"items": [{"name": "a", "price": 1}], "total": 1}


@app.get("/vehicle/{kind}", response_model=Union[Plane, Car], responses={404: {"description": "No such vehicle"}})
async def vehicle(kind: str):
    if kind == "none":
        raise HTTPException(status_code=404, detail={"kind": kind}, headers={"X-Error": "kind"})
    return {"engines": 2} if kind == "plane" else {"wheels": 3}


@app.delete("/items/{name}", status_code=204)
def delete_item(name: str) -> None:
    log.append("deleted " + name)


@app.post("/many")
async def many(item: Item, user: Image, importance: int = Body(..., gt=0), q: Optional[str] = None):
    return {"item": item, "user": user, "importance": importance, "q": q}


@app.get("/log", include_in_schema=False)
def read_log() -> Any:
    return log
'''

DEPENDENCIES = """
from typing import Optional

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Security
from fastapi.security import APIKeyHeader, HTTPBasic, HTTPBasicCredentials, HTTPBearer, OAuth2PasswordBearer
from fastapi.security import OAuth2PasswordRequestForm, SecurityScopes

events = []


class Common:
    def __init__(self, q: Optional[str] = None, skip: int = 0, limit: int = Query(100, le=200)):
        self.q = q
        self.skip = skip
        self.limit = limit


class Checker:
    def __init__(self, word):
        self.word = word

    def __call__(self, q: str = ""):
        return self.word in q


async def verify(x_token: str = Header(...)):
    if x_token != "secret":
        raise HTTPException(status_code=400, detail="X-Token header invalid")


def connection():
    events.append("open")
    try:
        yield {"connected": True}
    except HTTPException:
        events.append("failed")
        raise
    finally:
        events.append("close")


scheme = OAuth2PasswordBearer(tokenUrl="token", scopes={"me": "Read me", "items": "Read items"}, auto_error=True)
basic = HTTPBasic(realm="home")
key = APIKeyHeader(name="X-Key", auto_error=False)


async def current_user(security_scopes: SecurityScopes, token: str = Depends(scheme)):
    return {"token": token, "scopes": security_scopes.scopes, "text": security_scopes.scope_str}


app = FastAPI(dependencies=[Depends(Checker("global"))])
router = APIRouter(
    prefix="/guarded", tags=["guarded"], dependencies=[Depends(verify)], responses={404: {"description": "Not found"}}
)


@app.get("/common")
async def common(commons: Common = Depends(), again: Common = Depends(Common), found=Depends(Checker("bar"))):
    return {"commons": vars(commons), "same": commons is again, "found": found}


@app.get("/connection/{ok}")
def use(ok: bool, db: dict = Depends(connection), other: dict = Depends(connection, use_cache=False)):
    if not ok:
        raise HTTPException(418)
    return {"db": db, "same": db is other, "events": list(events)}


@router.get("/me")
async def me(user=Security(current_user, scopes=["me"])):
    return user


@router.get("/basic")
def who(credentials: HTTPBasicCredentials = Depends(basic), api_key: Optional[str] = Security(key)):
    return {"username": credentials.username, "key": api_key}


@router.get("/bearer")
def bearer(credentials=Depends(HTTPBearer(bearerFormat="JWT", scheme_name="Token"))):
    return credentials


@app.post("/token")
async def login(form: OAuth2PasswordRequestForm = Depends()):
    return {"username": form.username, "scopes": form.scopes, "grant": form.grant_type}


app.include_router(router, prefix="/v1")
app.include_router(router, prefix="/v2", include_in_schema=False)
"""

RESPONSES = """
import datetime

from fastapi import FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, ORJSONResponse, PlainTextResponse
from fastapi.responses import RedirectResponse, StreamingResponse, UJSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

app = FastAPI(default_response_class=ORJSONResponse)


class Unicorn(Exception):
    def __init__(self, name: str):
        self.name = name


@app.exception_handler(Unicorn)
async def on_unicorn(request: Request, exc: Unicorn):
    return JSONResponse(status_code=418, content={"message": f"{exc.name} at {request.url.path}"})


@app.exception_handler(StarletteHTTPException)
async def on_http(request, exc):
    response = await http_exception_handler(request, exc)
    response.headers["X-Handled"] = "yes"
    return response


@app.exception_handler(RequestValidationError)
async def on_validation(request: Request, exc: RequestValidationError):
    if request.url.path == "/default":
        return await request_validation_exception_handler(request, exc)
    return JSONResponse(status_code=400, content=jsonable_encoder({"detail": exc.errors(), "body": exc.body}))


@app.get("/")
async def root():
    return {"when": datetime.date(2024, 2, 29), "price": 1.50, "text": "naïve"}


@app.get("/ujson", response_class=UJSONResponse)
def ujson():
    return [1, 2]


@app.get("/orjson", response_class=ORJSONResponse)
def orjson():
    return ORJSONResponse({"a": None})


@app.get("/html", response_class=HTMLResponse)
async def html():
    return "<p>hello</p>"


@app.get("/text", response_class=PlainTextResponse)
def text():
    return "hello"


@app.get("/redirect", response_class=RedirectResponse, status_code=302)
async def redirect():
    return "https://example.com/?a=b c"


@app.get("/stream")
def stream():
    return StreamingResponse((str(i) for i in range(3)), media_type="text/plain")


@app.get("/direct")
def direct():
    return Response(content=b"<a/>", media_type="application/xml", headers={"X-Direct": "1"})


@app.get("/unicorn/{name}")
async def unicorn(name: str):
    raise Unicorn(name=name)


@app.get("/default")
@app.get("/number")
async def number(n: int):
    return n
"""

COMPOSED = """
import time

from fastapi import FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute


def unique(route: APIRoute):
    return f"{route.tags[0] if route.tags else 'none'}-{route.name}"


app = FastAPI(docs_url=None, redoc_url=None, root_path="/proxy", generate_unique_id_function=unique)
app.add_middleware(CORSMiddleware, allow_origins=["https://example.com"], allow_credentials=True, allow_methods=["*"])
app.add_middleware(GZipMiddleware, minimum_size=50)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["testserver", "*.example.com"])
sub = FastAPI(title="Sub")


@app.middleware("http")
async def add_header(request: Request, call_next):
    start = time.perf_counter()
    request.state.from_middleware = "yes"
    response = await call_next(request)
    response.headers["X-Seen"] = request.scope["path"]
    return response


@sub.get("/hello")
def hello(request: Request):
    return {"root_path": request.scope.get("root_path"), "url": str(request.url_for("hello"))}


@app.get("/docs", include_in_schema=False)
async def docs():
    return get_swagger_ui_html(openapi_url=app.openapi_url, title="Docs")


@app.get("/state", tags=["one"])
async def state(request: Request):
    return {"state": request.state.from_middleware, "text": "x" * 100}


@app.api_route("/both", methods=["GET", "POST"], name="both ways")
def both(request: Request):
    return request.method


app.add_api_route("/added", lambda: "added", methods=["PUT"], name="added")


@app.websocket("/ws/{room}")
async def chat(websocket: WebSocket, room: str, q: int = 0):
    await websocket.accept()
    await websocket.send_json({"room": room, "q": q, "said": await websocket.receive_text()})
    await websocket.close()


def old(request):
    from starlette.responses import PlainTextResponse

    return PlainTextResponse("old " + request.url.path)


app.add_route("/old", old, methods=["GET"])
app.mount("/sub", sub)


def custom_openapi():
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(title="Custom", version="2.5.0", description="Mine", routes=app.routes, tags=[{"name": "one"}])
    schema["info"]["x-logo"] = {"url": "https://example.com/logo.png"}
    app.openapi_schema = schema
    return app.openapi_schema


app.openapi = custom_openapi
"""

UPLOADS = """
import shutil
from typing import List, Optional

from fastapi import FastAPI, File, Form, UploadFile

app = FastAPI()


@app.post("/files/")
async def create_file(file: bytes = File(..., description="A file"), token: str = Form(...)):
    return {"size": len(file), "token": token}


@app.post("/upload/")
async def upload(file: UploadFile = File(...), other: Optional[UploadFile] = None):
    content = await file.read()
    await file.seek(0)
    return {"name": file.filename, "type": file.content_type, "size": len(content), "again": len(file.file.read()),
            "other": other and other.filename}


@app.post("/many/")
def many(files: List[UploadFile], notes: List[str] = Form([])):
    return [[file.filename, file.size] for file in files] + notes


@app.post("/optional/")
async def optional(file: Optional[bytes] = File(None)):
    return {"size": None if file is None else len(file)}
"""

FILE = ("a.txt", b"hello", "text/plain")
KEY = "123e4567-e89b-12d3-a456-426614174000"
BEARER = {"Authorization": "Bearer abc"}
ITEM = {"name": "saw", "price": 2, "images": [{"url": "https://example.com/a", "name": "a"}]}
TOKEN = {"X-Token": "secret"}

APPLICATIONS: dict[str, tuple[str, list[Request]]] = {
    "events": (EVENTS, get("/router/", "/router/?name=ada", "/router")),
    "parameters": (
        PARAMETERS,
        [
            *get("/items/7", "/items/0?limit=0&q=A", "/items/x?kind=new&kind=bad&flag=maybe&when=today"),
            ("GET", "/items/9?q=abc&kind=new&kind=old&tags=a&tags=b&when=2024-02-29&flag=on", {"headers": BEARER}),
            ("GET", "/items/9", {"headers": [("x-token", "a"), ("x-token", "b"), ("plain_name", "p")]}),
            ("PUT", f"/body/{KEY}", {"json": {"pair": [1, "a"], "weights": {"1": 2}, "start": "2024-01-01T00:00:00Z"}}),
            ("PUT", "/body/x", {"json": {"pair": [1], "weights": {"a": 2}, "note": "yes, and far too long"}}),
            ("PUT", f"/body/{KEY}", {"content": b"[1]"}),
            post("/form", data={"username": "ada", "ages": ["1", "2"], "keep": "no"}),
            post("/form", data={"username": "ADA", "ages": "x"}),
            post("/form"),
        ],
    ),
    "models": (
        MODELS,
        [
            post("/items/", json=ITEM),
            post("/items/", json={"name": "saw", "price": -1, "images": [{"url": "no"}], "tax": "much"}),
            post("/items/", json={**ITEM, "tags": ["a"]}),
            *get("/items/", "/page", "/vehicle/car", "/vehicle/plane", "/vehicle/none", "/log"),
            ("DELETE", "/items/saw", {}),
            post("/many?q=a", json={"item": ITEM, "user": ITEM["images"][0], "importance": 3}),  # type: ignore[index]
            post("/many", json={"item": ITEM, "importance": 0}),
        ],
    ),
    "dependencies": (
        DEPENDENCIES,
        [
            *get("/common?q=foobar&skip=2", "/common?limit=300&skip=x", "/connection/true", "/connection/false"),
            *get("/connection/maybe", "/connection/true", "/v1/guarded/me", "/v2/guarded/basic", "/v3/guarded/me"),
            ("GET", "/v1/guarded/me", {"headers": TOKEN | BEARER}),
            ("GET", "/v2/guarded/me", {"headers": {"X-Token": "no"} | BEARER}),
            ("GET", "/v1/guarded/basic", {"headers": TOKEN}),
            ("GET", "/v1/guarded/basic", {"headers": TOKEN | {"X-Key": "k"}, "auth": ("ada", "pw")}),
            ("GET", "/v1/guarded/bearer", {"headers": TOKEN | BEARER}),
            ("GET", "/v1/guarded/bearer", {"headers": TOKEN | {"Authorization": "Basic abc"}}),
            post("/token", data={"username": "ada", "password": "pw", "grant_type": "password", "scope": "a b"}),
            post("/token", data={"username": "ada", "grant_type": "code"}),
        ],
    ),
    "responses": (
        RESPONSES,
        [
            *get("/", "/ujson", "/orjson", "/html", "/text", "/redirect", "/stream", "/direct", "/unicorn/ada"),
            *get("/default?n=x", "/number?n=x", "/number", "/number?n=3", "/nothing"),
            post("/text"),
        ],
    ),
    "composed": (
        COMPOSED,
        [
            *get("/docs", "/state", "/both", "/old", "/sub/hello", "/sub/nothing", "/sub/openapi.json", "/nothing"),
            post("/both"),
            ("PUT", "/added", {}),
            ("GET", "/state", {"headers": {"Origin": "https://example.com", "Accept-Encoding": "gzip"}}),
            ("GET", "/state", {"headers": {"Host": "elsewhere.org"}}),
            (
                "OPTIONS",
                "/state",
                {"headers": {"Origin": "https://example.com", "Access-Control-Request-Method": "GET"}},
            ),
            ("WEBSOCKET", "/ws/a?q=3", {}),
        ],
    ),
    "uploads": (
        UPLOADS,
        [
            post("/files/", files={"file": FILE}, data={"token": "t"}),
            post("/files/", data={"token": "t"}),
            post("/files/", files={"file": FILE}),
            post("/upload/", files={"file": FILE, "other": FILE}),
            post("/upload/", files={"file": FILE}),
            post("/upload/", data={"file": "text"}),
            post("/many/", files=[("files", FILE), ("files", FILE)], data={"notes": ["a", "b"]}),
            post("/many/"),
            post("/optional/"),
            post("/optional/", files={"file": FILE}),
        ],
    ),
}


def ask(client: TestClient, request: Request) -> list[Any]:
    method, url, options = request
    if method == "WEBSOCKET":
        with client.websocket_connect(url) as websocket:
            websocket.send_text("hello")
            return [method, url, websocket.receive_json()]
    response = client.request(method, url, **options)
    return [method, url, response.status_code, sorted(response.headers.items()), response.text]


def run(name: str, framework: str) -> dict[str, Any]:
    """Run an application twice through its requests; return answers, the document's text, and the warnings."""
    source, requests = APPLICATIONS[name]
    module = ModuleType(f"older_{name}")
    namespace = vars(module)
    # Where annotations and generic models are looked up.
    sys.modules[module.__name__] = module
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        code = compile(source.replace("from fastapi", f"from {framework}"), f"older_{name}.py", "exec")
        exec(code, namespace)
        app = namespace["app"]
        with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
            answers = [ask(client, request) for request in requests * 2]
            document = client.get("/openapi.json").text
    told = [
        (each.category.__name__, str(each.message), each.lineno if each.filename.startswith("older_") else None)
        for each in caught
        if each.filename.startswith("older_")
        or issubclass(each.category, FastAPIDeprecationWarning | OurDeprecationWarning)
    ]
    return {
        "answers": answers,
        "document": document,
        "events": namespace.get("events"),
        "warnings": sorted((category, text) for category, text, _ in told),
        "places": {(text, line) for _, text, line in told if line is not None},
    }


@pytest.mark.parametrize("name", APPLICATIONS)
def test_older_application_behaves_as_under_fastapi(name: str) -> None:
    ours, theirs = run(name, "ferroapi"), run(name, "fastapi")
    for one, other in zip(ours["answers"], theirs["answers"], strict=True):
        assert one == other
    assert ours["document"] == theirs["document"]
    assert json.loads(ours["document"])["paths"]
    # A warning about `Body` names a line that is not the user's under FastAPI.
    assert ours.pop("places") >= theirs.pop("places")
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "text"),
    [("events", "on_event"), ("parameters", "regex"), ("parameters", "example"), ("responses", "ORJSON")],
)
def test_older_application_is_told_what_is_deprecated(name: str, text: str) -> None:
    assert any(text in message for _, message in run(name, "ferroapi")["warnings"])
