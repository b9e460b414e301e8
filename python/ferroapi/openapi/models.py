"""The OpenAPI 3.1 document as pydantic models; field names and order are the specification's.

`utils.get_openapi` checks its result with `OpenAPI`; `ferroapi.security` describes schemes with `SecurityBase`'s kin.
The classes have comments, not docstrings: pydantic would publish a docstring as the description of the schema.
"""

from collections.abc import Callable
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union

from pydantic import AnyUrl, BaseModel, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import with_info_plain_validator_function
from typing_extensions import TypedDict, deprecated

from ferroapi.logger import logger


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # It is in `sys.modules` as None: somebody hides it.
        return False


if TYPE_CHECKING or _is_installed("email_validator"):
    # pydantic imports the package itself, once a model that holds an address is used.
    from pydantic import EmailStr
else:

    class EmailStr(str):
        """Text that stands for an e-mail address when nothing is installed to check it."""

        __slots__ = ()

        @classmethod
        def validate(cls, v: Any) -> str:
            """Accept anything, with a log line that says what is missing."""
            logger.warning(
                "email-validator not installed, email fields will be treated as str.\n"
                "To install, run: pip install email-validator"
            )
            return str(v)

        @classmethod
        def _validate(cls, value: Any, _info: Any) -> str:
            return cls.validate(value)

        @classmethod
        def __get_pydantic_core_schema__(cls, source: type[Any], handler: Callable[[Any], CoreSchema]) -> CoreSchema:
            return with_info_plain_validator_function(cls._validate)

        @classmethod
        def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
            return {"type": "string", "format": "email"}


SchemaType = Literal["array", "boolean", "integer", "null", "number", "object", "string"]

# Field types that recur below. "SchemaOrBool" can only be named after Schema exists, hence the quotes.
_Text = str | None
_Flag = bool | None
_Number = float | None
_Count = Annotated[int | None, Field(ge=0)]
_Values = list[Any] | None
_DeprecatedValue = Annotated[
    Any | None,
    deprecated(
        "Deprecated in OpenAPI 3.1.0 that now uses JSON Schema 2020-12, although still supported. Use examples instead."
    ),
]
_Subschema = Optional["SchemaOrBool"]
_SubschemaList = list["SchemaOrBool"] | None
_SubschemaMap = dict[str, "SchemaOrBool"] | None


# The signature of a class that pydantic has not built yet; being asked for it is a reason to build it.
class _SignatureOnDemand:
    def __get__(self, instance: Any, owner: type[BaseModel]) -> Any:
        if instance is not None:
            raise AttributeError("__signature__")
        owner.model_rebuild()
        return owner.__signature__


# An object of the document that keeps the keys it does not know.
class BaseModelWithConfig(BaseModel):
    # Most processes use few of these classes, and none before the document is asked for.
    model_config = {"extra": "allow", "defer_build": True}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not cls.__pydantic_complete__:
            cls.__signature__ = _SignatureOnDemand()  # type: ignore[assignment]


BaseModelWithConfig.__signature__ = _SignatureOnDemand()  # type: ignore[assignment]


# What the API is: info, servers, links out.


# Whom to ask about the API.
class Contact(BaseModelWithConfig):
    name: _Text = None
    url: AnyUrl | None = None
    email: EmailStr | None = None


# Under which terms the API may be used.
class License(BaseModelWithConfig):
    name: str
    identifier: _Text = None
    url: AnyUrl | None = None


# Title, version and people of the API.
class Info(BaseModelWithConfig):
    title: str
    summary: _Text = None
    description: _Text = None
    termsOfService: _Text = None
    contact: Contact | None = None
    license: License | None = None
    version: str


# One placeholder in a server's URL.
class ServerVariable(BaseModelWithConfig):
    enum: Annotated[list[str] | None, Field(min_length=1)] = None
    default: str
    description: _Text = None


# One place the API is served from.
class Server(BaseModelWithConfig):
    url: AnyUrl | str
    description: _Text = None
    variables: dict[str, ServerVariable] | None = None


# A page that says more.
class ExternalDocumentation(BaseModelWithConfig):
    description: _Text = None
    url: AnyUrl


# A name that groups operations.
class Tag(BaseModelWithConfig):
    name: str
    description: _Text = None
    externalDocs: ExternalDocumentation | None = None


# What the data looks like: JSON Schema 2020-12 with OpenAPI's additions.


# A pointer to an object under `components`.
class Reference(BaseModel):
    ref: str = Field(alias="$ref")


# Which property tells the members of a union apart.
class Discriminator(BaseModel):
    propertyName: str
    mapping: dict[str, str] | None = None


# How a property is written as XML.
class XML(BaseModelWithConfig):
    name: _Text = None
    namespace: _Text = None
    prefix: _Text = None
    attribute: _Flag = None
    wrapped: _Flag = None


# A JSON Schema, vocabulary by vocabulary.
class Schema(BaseModelWithConfig):
    # core
    schema_: _Text = Field(default=None, alias="$schema")
    vocabulary: _Text = Field(default=None, alias="$vocabulary")
    id: _Text = Field(default=None, alias="$id")
    anchor: _Text = Field(default=None, alias="$anchor")
    dynamicAnchor: _Text = Field(default=None, alias="$dynamicAnchor")
    ref: _Text = Field(default=None, alias="$ref")
    dynamicRef: _Text = Field(default=None, alias="$dynamicRef")
    defs: _SubschemaMap = Field(default=None, alias="$defs")
    comment: _Text = Field(default=None, alias="$comment")
    # schemas made of schemas
    allOf: _SubschemaList = None
    anyOf: _SubschemaList = None
    oneOf: _SubschemaList = None
    not_: _Subschema = Field(default=None, alias="not")
    if_: _Subschema = Field(default=None, alias="if")
    then: _Subschema = None
    else_: _Subschema = Field(default=None, alias="else")
    dependentSchemas: _SubschemaMap = None
    prefixItems: _SubschemaList = None
    items: _Subschema = None
    contains: _Subschema = None
    properties: _SubschemaMap = None
    patternProperties: _SubschemaMap = None
    additionalProperties: _Subschema = None
    propertyNames: _Subschema = None
    unevaluatedItems: _Subschema = None
    unevaluatedProperties: _Subschema = None
    # constraints
    type: SchemaType | list[SchemaType] | None = None
    enum: _Values = None
    const: Any | None = None
    multipleOf: _Number = Field(default=None, gt=0)
    maximum: _Number = None
    exclusiveMaximum: _Number = None
    minimum: _Number = None
    exclusiveMinimum: _Number = None
    maxLength: _Count = None
    minLength: _Count = None
    pattern: _Text = None
    maxItems: _Count = None
    minItems: _Count = None
    uniqueItems: _Flag = None
    maxContains: _Count = None
    minContains: _Count = None
    maxProperties: _Count = None
    minProperties: _Count = None
    required: list[str] | None = None
    dependentRequired: dict[str, set[str]] | None = None
    # what text means
    format: _Text = None
    contentEncoding: _Text = None
    contentMediaType: _Text = None
    contentSchema: _Subschema = None
    # annotations
    title: _Text = None
    description: _Text = None
    default: Any | None = None
    deprecated: _Flag = None
    readOnly: _Flag = None
    writeOnly: _Flag = None
    examples: _Values = None
    # OpenAPI's own
    discriminator: Discriminator | None = None
    xml: XML | None = None
    externalDocs: ExternalDocumentation | None = None
    example: _DeprecatedValue = None


# JSON Schema lets `true` and `false` stand for "anything" and "nothing".
SchemaOrBool = Schema | bool


# A named example of a value; a TypedDict, because users write it as a dict.
class Example(TypedDict, total=False):
    summary: _Text
    description: _Text
    value: Any | None
    externalValue: AnyUrl | None

    __pydantic_config__ = {"extra": "allow"}  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]  # noqa: RUF012


# What a request and a response are made of.


# Where a parameter travels.
class ParameterInType(Enum):
    query = "query"
    header = "header"
    path = "path"
    cookie = "cookie"


# How one property of a form is sent.
class Encoding(BaseModelWithConfig):
    contentType: _Text = None
    headers: dict[str, Union["Header", Reference]] | None = None
    style: _Text = None
    explode: _Flag = None
    allowReserved: _Flag = None


# A body in one content type.
class MediaType(BaseModelWithConfig):
    schema_: Schema | Reference | None = Field(default=None, alias="schema")
    example: Any | None = None
    examples: dict[str, Example | Reference] | None = None
    encoding: dict[str, Encoding] | None = None


# What a parameter and a response header share.
class ParameterBase(BaseModelWithConfig):
    description: _Text = None
    required: _Flag = None
    deprecated: _Flag = None
    style: _Text = None
    explode: _Flag = None
    allowReserved: _Flag = None
    schema_: Schema | Reference | None = Field(default=None, alias="schema")
    example: Any | None = None
    examples: dict[str, Example | Reference] | None = None
    content: dict[str, MediaType] | None = None


# A value that travels in the path, query, headers or cookies.
class Parameter(ParameterBase):
    name: str
    in_: ParameterInType = Field(alias="in")


# A header of a response.
class Header(ParameterBase):
    pass


# The body an operation reads, by content type.
class RequestBody(BaseModelWithConfig):
    description: _Text = None
    content: dict[str, MediaType]
    required: _Flag = None


# An operation that can follow a response.
class Link(BaseModelWithConfig):
    operationRef: _Text = None
    operationId: _Text = None
    parameters: dict[str, Any | str] | None = None
    requestBody: Any | str | None = None
    description: _Text = None
    server: Server | None = None


# One answer of an operation.
class Response(BaseModelWithConfig):
    description: str
    headers: dict[str, Header | Reference] | None = None
    content: dict[str, MediaType] | None = None
    links: dict[str, Link | Reference] | None = None


# What one method of one path does.
class Operation(BaseModelWithConfig):
    tags: list[str] | None = None
    summary: _Text = None
    description: _Text = None
    externalDocs: ExternalDocumentation | None = None
    operationId: _Text = None
    parameters: list[Parameter | Reference] | None = None
    requestBody: RequestBody | Reference | None = None
    # `Any` keeps extension keys, which may hold anything.
    responses: dict[str, Response | Any] | None = None
    callbacks: dict[str, dict[str, "PathItem"] | Reference] | None = None
    deprecated: _Flag = None
    security: list[dict[str, list[str]]] | None = None
    servers: list[Server] | None = None


# The operations of one path, by method.
class PathItem(BaseModelWithConfig):
    ref: _Text = Field(default=None, alias="$ref")
    summary: _Text = None
    description: _Text = None
    get: Operation | None = None
    put: Operation | None = None
    post: Operation | None = None
    delete: Operation | None = None
    options: Operation | None = None
    head: Operation | None = None
    patch: Operation | None = None
    trace: Operation | None = None
    servers: list[Server] | None = None
    parameters: list[Parameter | Reference] | None = None


# How callers prove who they are.


# The kinds of security scheme.
class SecuritySchemeType(Enum):
    apiKey = "apiKey"
    http = "http"
    oauth2 = "oauth2"
    openIdConnect = "openIdConnect"


# What every security scheme says.
class SecurityBase(BaseModelWithConfig):
    type_: SecuritySchemeType = Field(alias="type")
    description: _Text = None


# Where an API key travels.
class APIKeyIn(Enum):
    query = "query"
    header = "header"
    cookie = "cookie"


# A key in the query, a header or a cookie.
class APIKey(SecurityBase):
    type_: SecuritySchemeType = Field(default=SecuritySchemeType.apiKey, alias="type")
    in_: APIKeyIn = Field(alias="in")
    name: str


# A scheme of the `Authorization` header.
class HTTPBase(SecurityBase):
    type_: SecuritySchemeType = Field(default=SecuritySchemeType.http, alias="type")
    scheme: str


# A bearer token in the `Authorization` header.
class HTTPBearer(HTTPBase):
    scheme: Literal["bearer"] = "bearer"  # pyright: ignore[reportIncompatibleVariableOverride]
    bearerFormat: _Text = None


# What every OAuth2 flow says.
class OAuthFlow(BaseModelWithConfig):
    refreshUrl: _Text = None
    scopes: dict[str, str] = {}


# The token comes straight from the authorization page.
class OAuthFlowImplicit(OAuthFlow):
    authorizationUrl: str


# The user's password is traded for a token.
class OAuthFlowPassword(OAuthFlow):
    tokenUrl: str


# The client's own secret is traded for a token.
class OAuthFlowClientCredentials(OAuthFlow):
    tokenUrl: str


# A code from the authorization page is traded for a token.
class OAuthFlowAuthorizationCode(OAuthFlow):
    authorizationUrl: str
    tokenUrl: str


# The flows an OAuth2 scheme offers.
class OAuthFlows(BaseModelWithConfig):
    implicit: OAuthFlowImplicit | None = None
    password: OAuthFlowPassword | None = None
    clientCredentials: OAuthFlowClientCredentials | None = None
    authorizationCode: OAuthFlowAuthorizationCode | None = None


# OAuth2, by its flows.
class OAuth2(SecurityBase):
    type_: SecuritySchemeType = Field(default=SecuritySchemeType.oauth2, alias="type")
    flows: OAuthFlows


# OpenID Connect, by the address of its discovery document.
class OpenIdConnect(SecurityBase):
    type_: SecuritySchemeType = Field(default=SecuritySchemeType.openIdConnect, alias="type")
    openIdConnectUrl: str


SecurityScheme = APIKey | HTTPBase | OAuth2 | OpenIdConnect | HTTPBearer


# The whole.


# The objects that references point to.
class Components(BaseModelWithConfig):
    schemas: dict[str, Schema | Reference] | None = None
    responses: dict[str, Response | Reference] | None = None
    parameters: dict[str, Parameter | Reference] | None = None
    examples: dict[str, Example | Reference] | None = None
    requestBodies: dict[str, RequestBody | Reference] | None = None
    headers: dict[str, Header | Reference] | None = None
    securitySchemes: dict[str, SecurityScheme | Reference] | None = None
    links: dict[str, Link | Reference] | None = None
    callbacks: dict[str, dict[str, PathItem] | Reference | Any] | None = None
    pathItems: dict[str, PathItem | Reference] | None = None


# An OpenAPI document.
class OpenAPI(BaseModelWithConfig):
    openapi: str
    info: Info
    jsonSchemaDialect: _Text = None
    servers: list[Server] | None = None
    # `Any` keeps extension keys, which may hold anything.
    paths: dict[str, PathItem | Any] | None = None
    webhooks: dict[str, PathItem | Reference] | None = None
    components: Components | None = None
    security: list[dict[str, list[str]]] | None = None
    tags: list[Tag] | None = None
    externalDocs: ExternalDocumentation | None = None
