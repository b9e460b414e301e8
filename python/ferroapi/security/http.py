"""The schemes of the `Authorization` header: basic, bearer, digest and any other by its name."""

from base64 import b64decode

from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.status import HTTP_401_UNAUTHORIZED

from ferroapi.exceptions import HTTPException
from ferroapi.openapi._descriptions import HTTP_AUTHORIZATION_CREDENTIALS, HTTP_BASIC_CREDENTIALS
from ferroapi.openapi.models import HTTPBase as HTTPBaseModel
from ferroapi.openapi.models import HTTPBearer as HTTPBearerModel
from ferroapi.security.base import SecurityBase as SecurityBase
from ferroapi.security.base import _Scheme
from ferroapi.security.utils import get_authorization_scheme_param


class HTTPBasicCredentials(BaseModel):
    """What `HTTPBasic` gives: the user and password that were sent, unchecked."""

    username: str
    password: str


HTTPBasicCredentials.__doc__ = HTTP_BASIC_CREDENTIALS


class HTTPAuthorizationCredentials(BaseModel):
    """What the other schemes give: the header's scheme as it was written, and what follows it, unchecked."""

    scheme: str
    credentials: str


HTTPAuthorizationCredentials.__doc__ = HTTP_AUTHORIZATION_CREDENTIALS


class HTTPBase(_Scheme):
    """Credentials of any scheme; the declared scheme is only described, not demanded."""

    model: HTTPBaseModel  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        *,
        scheme: str,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        self._set_up(HTTPBaseModel(scheme=scheme, description=description), scheme_name, auto_error)

    def make_authenticate_headers(self) -> dict[str, str]:
        """Return the challenge of a refusal."""
        return {"WWW-Authenticate": self.model.scheme.title()}

    def make_not_authenticated_error(self) -> HTTPException:
        """Return the 401 with the scheme's challenge."""
        return HTTPException(HTTP_401_UNAUTHORIZED, "Not authenticated", self.make_authenticate_headers())

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        return self._credentials(request, None)

    def _credentials(self, request: HTTPConnection, demanded: str | None) -> HTTPAuthorizationCredentials | None:
        """Return the credentials of a scheme, in lower case, or of any."""
        authorization = request.headers.get("Authorization")
        scheme, credentials = get_authorization_scheme_param(authorization)
        if authorization and scheme and credentials and demanded in (None, scheme.lower()):
            return HTTPAuthorizationCredentials(scheme=scheme, credentials=credentials)
        self._refuse()
        return None


class HTTPBasic(HTTPBase):
    """A user and password in base64; the challenge names the realm where there is one.

    Credentials that cannot be read are refused even where `auto_error` is off.
    Source: RFC 7617.
    """

    def __init__(
        self,
        *,
        scheme_name: str | None = None,
        realm: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        super().__init__(scheme="basic", scheme_name=scheme_name, description=description, auto_error=auto_error)
        self.realm = realm

    def make_authenticate_headers(self) -> dict[str, str]:
        """Return the challenge of a refusal."""
        return {"WWW-Authenticate": f'Basic realm="{self.realm}"' if self.realm else "Basic"}

    async def __call__(  # type: ignore[override]
        self, request: HTTPConnection
    ) -> HTTPBasicCredentials | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        authorization = request.headers.get("Authorization")
        scheme, encoded = get_authorization_scheme_param(authorization)
        if not authorization or scheme.lower() != "basic":
            self._refuse()
            return None
        try:
            decoded = b64decode(encoded).decode("ascii")
        except ValueError as error:
            raise self.make_not_authenticated_error() from error
        username, colon, password = decoded.partition(":")
        if not colon:
            raise self.make_not_authenticated_error()
        return HTTPBasicCredentials(username=username, password=password)


class HTTPBearer(HTTPBase):
    """A bearer token; `bearerFormat` tells readers of the documentation what it is.

    Source: RFC 6750.
    """

    def __init__(
        self,
        *,
        bearerFormat: str | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        model = HTTPBearerModel(bearerFormat=bearerFormat, description=description)
        self._set_up(model, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        return self._credentials(request, "bearer")


class HTTPDigest(HTTPBase):
    """Digest credentials, handed over unparsed: the protocol itself is left to the application.

    Source: RFC 7616.
    """

    def __init__(
        self,
        *,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        super().__init__(scheme="digest", scheme_name=scheme_name, description=description, auto_error=auto_error)

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        return self._credentials(request, "digest")
