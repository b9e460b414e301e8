"""OpenID Connect, described by its discovery URL."""

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.status import HTTP_401_UNAUTHORIZED

from ferroapi.openapi.models import OpenIdConnect as OpenIdConnectModel
from ferroapi.security.base import SecurityBase as SecurityBase
from ferroapi.security.base import _Scheme


class OpenIdConnect(_Scheme):
    """The whole `Authorization` header; the protocol itself is left to the application."""

    def __init__(
        self,
        *,
        openIdConnectUrl: str,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        model = OpenIdConnectModel(openIdConnectUrl=openIdConnectUrl, description=description)
        self._set_up(model, scheme_name, auto_error)

    def make_not_authenticated_error(self) -> HTTPException:
        """Return the 401 with a bearer challenge."""
        return HTTPException(HTTP_401_UNAUTHORIZED, "Not authenticated", {"WWW-Authenticate": "Bearer"})

    async def __call__(self, request: HTTPConnection) -> str | None:
        authorization = request.headers.get("Authorization")
        if authorization:
            return authorization
        self._refuse()
        return None
