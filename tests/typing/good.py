"""Uses of the options that type checkers accept, subclasses with their own signatures included."""

from collections.abc import Callable
from typing import Annotated, Any

from ferroapi import APIRouter, Body, Depends, FastAPI, File, Form, Header, Path, Query, Security
from ferroapi.responses import HTMLResponse, StreamingResponse
from ferroapi.streams import with_first_item
from ferroapi.types import DecoratedCallable
from ferroapi.uploads import UploadStream

app = FastAPI(title="Items", version="2.0", docs_url=None, docs_assets="bundled")
router = APIRouter(prefix="/items", tags=["items"], dependencies=[Depends(print)])


@app.get("/", response_model=int, status_code=201, tags=["a"], response_class=HTMLResponse)
def read(
    limit: Annotated[int, Query(ge=1, alias="max")] = 10, token: str = Header("x", convert_underscores=False)
) -> int:
    return limit


@router.post("/{item}", dependencies=[Security(print, scopes=["a"])])
async def write(
    item: Annotated[int, Path(gt=0)],
    text: Annotated[str, Body(embed=True, min_length=1)],
    name: str = Form(""),
    file: bytes = File(b""),
) -> str:
    return text


@router.api_route("/both", methods=["GET", "POST"], name="both")
def both() -> None: ...


@router.post("/streams", wait_for_first_item=True)
async def stream(file: UploadStream) -> StreamingResponse:
    names: list[str | None] = [each.filename async for each in file.files()]
    pieces: list[bytes] = [piece async for piece in file]
    return with_first_item(StreamingResponse([*pieces, repr(names).encode()]))


app.include_router(router, prefix="/v1", deprecated=True)
app.add_api_route("/read", read, methods=["GET"])
router.add_api_route("/read", read, route_class_override=None)
number: int = read(1)


class OpenRouter(APIRouter):
    def get(self, path: str, **kwargs: Any) -> Callable[[DecoratedCallable], DecoratedCallable]:
        return super().get(path, **kwargs)

    def api_route(self, path: str, **kwargs: Any) -> Callable[[DecoratedCallable], DecoratedCallable]:
        return super().api_route(path, **kwargs)

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        super().add_api_route(path, endpoint, **kwargs)
