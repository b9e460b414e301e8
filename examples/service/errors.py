"""What can go wrong in this service, and the answer to it; knows nothing of routes."""

from ferroapi import Request
from ferroapi.responses import JSONResponse

from .models import Problem


class ServiceError(Exception):
    """The base of this service's errors."""

    title = "Something went wrong"
    status = 500

    def __init__(self, detail: str) -> None:
        self.detail = detail


class NotFound(ServiceError):
    title = "Not found"
    status = 404


class NotYours(ServiceError):
    title = "Not yours to change"
    status = 403


class Taken(ServiceError):
    title = "Already taken"
    status = 409


class TooLarge(ServiceError):
    title = "Too large"
    status = 413


async def answer_service_error(request: Request, error: Exception) -> JSONResponse:
    """Answer with a problem document."""
    assert isinstance(error, ServiceError)
    problem = Problem(title=error.title, status=error.status, detail=error.detail)
    return JSONResponse(problem.model_dump(), status_code=error.status, media_type="application/problem+json")
