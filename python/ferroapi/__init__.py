"""FastAPI's API with its engine replaced by a compiled request path. These are the public names, in FastAPI's order."""

__version__ = "0.1.0"
__fastapi_version__ = "0.165.0"

from os import environ as _environ

from starlette import status as status

from . import _wings as _wings
from .applications import FastAPI as FastAPI
from .background import BackgroundTasks as BackgroundTasks
from .datastructures import UploadFile as UploadFile
from .exceptions import HTTPException as HTTPException
from .exceptions import WebSocketException as WebSocketException
from .param_functions import Body as Body
from .param_functions import Cookie as Cookie
from .param_functions import Depends as Depends
from .param_functions import File as File
from .param_functions import Form as Form
from .param_functions import Header as Header
from .param_functions import Path as Path
from .param_functions import Query as Query
from .param_functions import Security as Security
from .requests import Request as Request
from .responses import Response as Response
from .routing import APIRouter as APIRouter
from .websockets import WebSocket as WebSocket
from .websockets import WebSocketDisconnect as WebSocketDisconnect

if "FERROAPI_ALIAS" in _environ:
    from .alias import install_if_requested as _install_if_requested

    _install_if_requested()
