"""The HTML pages that show the document: Swagger UI, its OAuth2 landing page, and ReDoc.

`applications.FastAPI` serves them at `docs_url`, `swagger_ui_oauth2_redirect_url` and `redoc_url`; here is their text.
Every byte, indentation included, is FastAPI's: applications compare and patch these pages as text.
"""

import json
import textwrap
from string import Template
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse

from ferroapi.encoders import jsonable_encoder

swagger_ui_default_parameters: dict[str, Any] = {
    "dom_id": "#swagger-ui",
    "layout": "BaseLayout",
    "deepLinking": True,
    "showExtensions": True,
    "showCommonExtensions": True,
}
"""Swagger UI's settings unless `swagger_ui_parameters` says otherwise."""

# In JSON these three stand only inside strings, where the escape means the same: a <script> element cannot end early.
_SCRIPT_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&"})

_FAVICON_URL = "https://fastapi.tiangolo.com/img/favicon.png"

_SWAGGER_UI_PAGE = Template("""
    <!DOCTYPE html>
    <html>
    <head>
    <meta name="viewport" content="width=device-width, initial-scale=1.0">
    <link type="text/css" rel="stylesheet" href="$css_url">
    <link rel="shortcut icon" href="$favicon_url">
    <title>$title</title>
    </head>
    <body>
    <div id="swagger-ui">
    </div>
    <script src="$script_url"></script>
    <!-- `SwaggerUIBundle` is now available on the page -->
    <script>
    const ui = SwaggerUIBundle({
        url: '$openapi_url',
    $settings
    presets: [
        SwaggerUIBundle.presets.apis,
        SwaggerUIBundle.SwaggerUIStandalonePreset
        ],
    })$initialization
    </script>
    </body>
    </html>
    """)

_OAUTH_INITIALIZATION = Template("""
        ui.initOAuth($settings)
        """)

_REDOC_PAGE = Template("""
    <!DOCTYPE html>
    <html>
    <head>
    <title>$title</title>
    <!-- needed for adaptive design -->
    <meta charset="utf-8"/>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    $fonts
    <link rel="shortcut icon" href="$favicon_url">
    <!--
    ReDoc doesn't change outer page styles
    -->
    <style>
      body {
        margin: 0;
        padding: 0;
      }
    </style>
    </head>
    <body>
    <noscript>
        ReDoc requires Javascript to function. Please enable it to browse the documentation.
    </noscript>
    <redoc spec-url="$openapi_url"></redoc>
    <script src="$script_url"> </script>
    </body>
    </html>
    """)

_REDOC_FONTS = """
    <link href="https://fonts.googleapis.com/css?family=Montserrat:300,400,700|Roboto:300,400,700" rel="stylesheet">
    """

# Swagger UI's own page, not ours: https://github.com/swagger-api/swagger-ui/blob/v4.14.0/dist/oauth2-redirect.html,
# Copyright 2020-2022 SmartBear Software Inc., Apache License 2.0. Swagger UI opens it, so it must stay in step with it.
_OAUTH2_REDIRECT_PAGE = """\
<!doctype html>
<html lang="en-US">
<head>
    <title>Swagger UI: OAuth2 Redirect</title>
</head>
<body>
<script>
    'use strict';
    function run () {
        var oauth2 = window.opener.swaggerUIRedirectOauth2;
        var sentState = oauth2.state;
        var redirectUrl = oauth2.redirectUrl;
        var isValid, qp, arr;

        if (/code|token|error/.test(window.location.hash)) {
            qp = window.location.hash.substring(1).replace('?', '&');
        } else {
            qp = location.search.substring(1);
        }

        arr = qp.split("&");
        arr.forEach(function (v,i,_arr) { _arr[i] = '"' + v.replace('=', '":"') + '"';});
        qp = qp ? JSON.parse('{' + arr.join() + '}',
                function (key, value) {
                    return key === "" ? value : decodeURIComponent(value);
                }
        ) : {};

        isValid = qp.state === sentState;

        if ((
          oauth2.auth.schema.get("flow") === "accessCode" ||
          oauth2.auth.schema.get("flow") === "authorizationCode" ||
          oauth2.auth.schema.get("flow") === "authorization_code"
        ) && !oauth2.auth.code) {
            if (!isValid) {
                oauth2.errCb({
                    authId: oauth2.auth.name,
                    source: "auth",
                    level: "warning",
                    message: "Authorization may be unsafe, passed state was changed in server. The passed state wasn't returned from auth server."
                });
            }

            if (qp.code) {
                delete oauth2.state;
                oauth2.auth.code = qp.code;
                oauth2.callback({auth: oauth2.auth, redirectUrl: redirectUrl});
            } else {
                let oauthErrorMsg;
                if (qp.error) {
                    oauthErrorMsg = "["+qp.error+"]: " +
                        (qp.error_description ? qp.error_description+ ". " : "no accessCode received from the server. ") +
                        (qp.error_uri ? "More info: "+qp.error_uri : "");
                }

                oauth2.errCb({
                    authId: oauth2.auth.name,
                    source: "auth",
                    level: "error",
                    message: oauthErrorMsg || "[Authorization failed]: no accessCode received from the server."
                });
            }
        } else {
            oauth2.callback({auth: oauth2.auth, token: qp, isValid: isValid, redirectUrl: redirectUrl});
        }
        window.close();
    }

    if (document.readyState !== 'loading') {
        run();
    } else {
        document.addEventListener('DOMContentLoaded', function () {
            run();
        });
    }
</script>
</body>
</html>
"""  # noqa: E501


def _html_safe_json(value: Any) -> str:
    """The value as JSON that may stand inside a `<script>` element."""
    return json.dumps(value).translate(_SCRIPT_ESCAPES)


def _root_path(request: Request) -> str:
    """Return the path under which the application is served, without a slash at its end."""
    root_path: str = request.scope.get("root_path", "").rstrip("/")
    return root_path


def get_swagger_ui_html(
    *,
    openapi_url: str,
    title: str,
    swagger_js_url: str = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js",
    swagger_css_url: str = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css",
    swagger_favicon_url: str = _FAVICON_URL,
    oauth2_redirect_url: str | None = None,
    init_oauth: dict[str, Any] | None = None,
    swagger_ui_parameters: dict[str, Any] | None = None,
) -> HTMLResponse:
    """The page that loads Swagger UI for the document at `openapi_url`.

    URLs and title are placed as they are: the caller vouches for them. Settings are escaped.
    `oauth2_redirect_url` is a path on the page's own origin. `swagger_ui_parameters` win over
    `swagger_ui_default_parameters`. `init_oauth` holds the arguments of Swagger UI's `initOAuth`.

    Source: FastAPI behaviour, `openapi.docs.get_swagger_ui_html`.
    """
    parameters = swagger_ui_default_parameters | (swagger_ui_parameters or {})
    settings = [
        f"{_html_safe_json(key)}: {_html_safe_json(jsonable_encoder(value))},\n" for key, value in parameters.items()
    ]
    if oauth2_redirect_url:
        settings.append(f"oauth2RedirectUrl: window.location.origin + '{oauth2_redirect_url}',")
    initialization = ""
    if init_oauth:
        initialization = _OAUTH_INITIALIZATION.substitute(settings=_html_safe_json(jsonable_encoder(init_oauth)))
    return HTMLResponse(
        _SWAGGER_UI_PAGE.substitute(
            css_url=swagger_css_url,
            favicon_url=swagger_favicon_url,
            title=title,
            script_url=swagger_js_url,
            openapi_url=openapi_url,
            settings="".join(settings),
            initialization=initialization,
        )
    )


def get_redoc_html(
    *,
    openapi_url: str,
    title: str,
    redoc_js_url: str = "https://cdn.jsdelivr.net/npm/redoc@2/bundles/redoc.standalone.js",
    redoc_favicon_url: str = _FAVICON_URL,
    with_google_fonts: bool = True,
) -> HTMLResponse:
    """The page that loads ReDoc for the document at `openapi_url`.

    URLs and title are placed as they are: the caller vouches for them.

    Source: FastAPI behaviour, `openapi.docs.get_redoc_html`.
    """
    return HTMLResponse(
        _REDOC_PAGE.substitute(
            title=title,
            fonts=_REDOC_FONTS if with_google_fonts else "",
            favicon_url=redoc_favicon_url,
            openapi_url=openapi_url,
            script_url=redoc_js_url,
        )
    )


def get_swagger_ui_oauth2_redirect_html() -> HTMLResponse:
    """The page an OAuth2 provider sends the user back to; it hands the answer to the Swagger UI that opened it."""
    return HTMLResponse("\n" + textwrap.indent(_OAUTH2_REDIRECT_PAGE, "    ") + " " * 8)
