"""API keys in a query parameter, a header or a cookie."""

from typing import ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.status import HTTP_401_UNAUTHORIZED

from ferroapi._received import read_cookies
from ferroapi.openapi.models import APIKey, APIKeyIn
from ferroapi.security.base import SecurityBase as SecurityBase
from ferroapi.security.base import _Scheme


class APIKeyBase(_Scheme):
    """An API key, whose place the subclasses fix."""

    model: APIKey  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        location: APIKeyIn,
        name: str,
        description: str | None,
        scheme_name: str | None,
        auto_error: bool,
    ) -> None:
        # `in` is a keyword of Python, so the model's field can only be given by its alias.
        model = APIKey(**{"in": location}, name=name, description=description)  # pyright: ignore[reportArgumentType]
        self._set_up(model, scheme_name, auto_error)

    def make_not_authenticated_error(self) -> HTTPException:
        """Return the 401 for a request without a key.

        The challenge `APIKey` is no registered scheme; HTTP requires one with a 401.
        """
        return HTTPException(HTTP_401_UNAUTHORIZED, "Not authenticated", {"WWW-Authenticate": "APIKey"})

    def check_api_key(self, api_key: str | None) -> str | None:
        """Return the key; an empty one counts as missing.

        Raises:
            HTTPException: there is none and `auto_error` is on.
        """
        if api_key:
            return api_key
        self._refuse()
        return None


class _APIKeyInPlace(APIKeyBase):
    _place: ClassVar[APIKeyIn]

    def __init__(
        self,
        *,
        name: str,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        super().__init__(self._place, name, description, scheme_name, auto_error)


class APIKeyQuery(_APIKeyInPlace):
    """An API key in the query parameter `name`."""

    _place = APIKeyIn.query

    async def __call__(self, request: HTTPConnection) -> str | None:
        return self.check_api_key(request.query_params.get(self.model.name))


class APIKeyHeader(_APIKeyInPlace):
    """An API key in the header `name`."""

    _place = APIKeyIn.header

    async def __call__(self, request: HTTPConnection) -> str | None:
        return self.check_api_key(request.headers.get(self.model.name))


class APIKeyCookie(_APIKeyInPlace):
    """An API key in the cookie `name`."""

    _place = APIKeyIn.cookie

    async def __call__(self, request: HTTPConnection) -> str | None:
        return self.check_api_key(read_cookies(request).get(self.model.name))
