"""Errors that are declared at their class: documented by `raises=` and by the return annotation."""

from typing import Annotated

from pydantic import BaseModel

from ferroapi import Depends, FastAPI
from ferroapi.errors import DeclaredHTTPException


class Shortage(BaseModel):
    wanted: int
    left: int


class ItemNotFound(DeclaredHTTPException):
    """There is no such item."""

    status_code = 404
    detail = "Item not found"


class OutOfStock(DeclaredHTTPException):
    """There are not as many left."""

    status_code = 409
    model = Shortage


class NotLoggedIn(DeclaredHTTPException):
    status_code = 401
    detail = "Log in first"
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012


def user(token: str = "") -> str:
    if not token:
        raise NotLoggedIn
    return token


User = Annotated[str, Depends(user, raises=[NotLoggedIn])]
app = FastAPI()
stock = {1: 5}


@app.get("/items/{item}", raises=[ItemNotFound])
async def read(item: int, user: User) -> int:
    if item not in stock:
        raise ItemNotFound
    return stock[item]


@app.post("/items/{item}/order")
async def order(item: int, wanted: int) -> int | ItemNotFound | OutOfStock:
    if item not in stock:
        return ItemNotFound()
    if wanted > stock[item]:
        return OutOfStock(Shortage(wanted=wanted, left=stock[item]))
    return stock[item] - wanted
