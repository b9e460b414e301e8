"""Error answers as problem details, RFC 9457."""

from ferroapi import FastAPI
from ferroapi.errors import DeclaredHTTPException

app = FastAPI(problem_details=True)


class OutOfCredit(DeclaredHTTPException):
    """There is not enough credit."""

    status_code = 403
    detail = "Your balance does not suffice"


@app.get("/orders/{price}", raises=[OutOfCredit])
async def order(price: int) -> int:
    if price > 30:
        raise OutOfCredit
    return price
