"""Pages by fastapi-pagination, which adds a dependency to every route once all are declared."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi_pagination import LimitOffsetPage, Page, add_pagination, paginate
from pydantic import BaseModel

from service import ask_all, count_modes, report


class User(BaseModel):
    id: int


USERS = [User(id=number) for number in range(120)]
modes = count_modes()
app = FastAPI()
router = APIRouter(prefix="/router")


@app.get("/users")
async def users() -> Page[User]:
    return paginate(USERS)


@app.get("/slice", response_model=LimitOffsetPage[User])
def slice_() -> Any:
    return paginate(USERS)


@router.get("/users", response_model=Page[User])
async def users_of_router() -> Any:
    return paginate(USERS)


app.include_router(router)
add_pagination(app)
urls = ["/users", "/users?page=3&size=2", "/users?size=0", "/slice?limit=2&offset=5", "/router/users?size=1"]
report(ask_all(app, [*urls, *urls, "/openapi.json"]), None, modes)
