"""OAuth2: the schemes that read a bearer token, the password form and the scopes a request needs."""

from typing import Annotated, Any

from starlette.requests import HTTPConnection
from starlette.status import HTTP_401_UNAUTHORIZED

from ferroapi.exceptions import HTTPException
from ferroapi.openapi.models import OAuth2 as OAuth2Model
from ferroapi.openapi.models import OAuthFlows as OAuthFlowsModel
from ferroapi.param_functions import Form
from ferroapi.security.base import SecurityBase as SecurityBase
from ferroapi.security.base import _Scheme
from ferroapi.security.utils import get_authorization_scheme_param


class OAuth2PasswordRequestForm:
    """The form of the password flow, to depend on in the route that gives out tokens.

    `scope` is one string, its scopes separated by spaces; `scopes` is the list of them. The grant type may be absent.
    Source: RFC 6749, 4.3.2 Access Token Request.
    """

    def __init__(
        self,
        *,
        grant_type: Annotated[str | None, Form(pattern="^password$")] = None,
        username: Annotated[str, Form()],
        password: Annotated[str, Form(json_schema_extra={"format": "password"})],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form(json_schema_extra={"format": "password"})] = None,
    ) -> None:
        self.grant_type = grant_type
        self.username = username
        self.password = password
        self.scopes = scope.split()
        self.client_id = client_id
        self.client_secret = client_secret


class OAuth2PasswordRequestFormStrict(OAuth2PasswordRequestForm):
    """The form of the password flow with the grant type required, as the standard has it."""

    def __init__(
        self,
        grant_type: Annotated[str, Form(pattern="^password$")],
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form()] = None,
    ) -> None:
        super().__init__(
            grant_type=grant_type,
            username=username,
            password=password,
            scope=scope,
            client_id=client_id,
            client_secret=client_secret,
        )


class OAuth2(_Scheme):
    """The whole `Authorization` header, for any flows; the base of the schemes for one flow."""

    def __init__(
        self,
        *,
        flows: OAuthFlowsModel | dict[str, dict[str, Any]] = OAuthFlowsModel(),
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        # The model validates a dictionary into flows.
        model = OAuth2Model(flows=flows, description=description)  # pyright: ignore[reportArgumentType]
        self._set_up(model, scheme_name, auto_error)

    def make_not_authenticated_error(self) -> HTTPException:
        """Return the 401 with a bearer challenge.

        OAuth2 does not demand that tokens are bearer tokens, but they nearly always are, and HTTP demands a challenge.
        """
        return HTTPException(HTTP_401_UNAUTHORIZED, "Not authenticated", {"WWW-Authenticate": "Bearer"})

    async def __call__(self, request: HTTPConnection) -> str | None:
        authorization = request.headers.get("Authorization")
        if authorization:
            return authorization
        self._refuse()
        return None


class _OAuth2Bearer(OAuth2):
    """A flow whose token comes as `Authorization: Bearer`."""

    async def __call__(self, request: HTTPConnection) -> str | None:
        authorization = request.headers.get("Authorization")
        scheme, token = get_authorization_scheme_param(authorization)
        if authorization and scheme.lower() == "bearer":
            return token
        self._refuse()
        return None


class OAuth2PasswordBearer(_OAuth2Bearer):
    """A bearer token that `tokenUrl` gives for a user's password."""

    def __init__(
        self,
        tokenUrl: str,
        scheme_name: str | None = None,
        scopes: dict[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
        refreshUrl: str | None = None,
    ) -> None:
        flow = {"tokenUrl": tokenUrl, "refreshUrl": refreshUrl, "scopes": scopes or {}}
        super().__init__(
            flows={"password": flow}, scheme_name=scheme_name, description=description, auto_error=auto_error
        )


class OAuth2AuthorizationCodeBearer(_OAuth2Bearer):
    """A bearer token that `tokenUrl` gives for the code a user gets from `authorizationUrl`."""

    def __init__(
        self,
        authorizationUrl: str,
        tokenUrl: str,
        refreshUrl: str | None = None,
        scheme_name: str | None = None,
        scopes: dict[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        flow = {
            "authorizationUrl": authorizationUrl,
            "tokenUrl": tokenUrl,
            "refreshUrl": refreshUrl,
            "scopes": scopes or {},
        }
        super().__init__(
            flows={"authorizationCode": flow}, scheme_name=scheme_name, description=description, auto_error=auto_error
        )


class SecurityScopes:
    """The scopes that `Security` asked for on the way to a dependency, which takes them as a parameter of this type."""

    def __init__(self, scopes: list[str] | None = None) -> None:
        self.scopes: list[str] = scopes or []
        self.scope_str: str = " ".join(self.scopes)
        """The scopes separated by spaces, as a challenge names them."""
