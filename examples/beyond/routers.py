"""A router with middleware and an exception handler of its own."""

from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.responses import Response

from ferroapi import APIRouter, FastAPI, Request
from ferroapi.responses import JSONResponse


async def mark(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["x-area"] = "admin"
    return response


async def missing(request: Request, error: KeyError) -> JSONResponse:
    return JSONResponse({"missing": str(error)}, status_code=404)


admin = APIRouter(
    prefix="/admin",
    middleware=[Middleware(BaseHTTPMiddleware, dispatch=mark)],
    exception_handlers={KeyError: missing},
)
users = {"ada": 1}


@admin.get("/users/{name}")
async def user(name: str) -> int:
    return users[name]


app = FastAPI()
app.include_router(admin)


@app.get("/public")
async def public() -> str:
    return "public"
