"""Limits by slowapi: its decorator around endpoints, its middleware, which looks for the endpoint among the routes."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address

from service import ask_all, count_modes, report

modes = count_modes()
limiter = Limiter(key_func=get_remote_address, default_limits=["4/minute"])
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)  # type: ignore[arg-type]
app.add_middleware(SlowAPIMiddleware)
router = APIRouter(prefix="/router")


@app.get("/home/{number}")
@limiter.limit("2/minute")
async def home(request: Request, number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/exempt")
@limiter.exempt
async def exempt(request: Request) -> str:
    return "exempt"


@router.get("/other")
def other() -> list[Any]:
    return []


app.include_router(router)
urls = ["/home/1"] * 4 + ["/home/x"] * 2 + ["/router/other"] * 6 + ["/exempt"] * 6
report(ask_all(app, urls), None, modes)
