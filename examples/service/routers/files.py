"""The files of a tool: manuals, photos. Uploading needs the owner's token; anyone may download."""

import os
from typing import Annotated

from ferroapi import APIRouter, File, UploadFile, status
from ferroapi.responses import FileResponse

from ..config import settings
from ..database import OpenSession
from ..dependencies import OwnItem, RowId, StoredItem
from ..errors import NotFound, TooLarge
from ..models import Attachment, AttachmentPublic, Problem
from ..storage import path_of, store

router = APIRouter(
    prefix="/items/{item_id}/files", tags=["files"], responses={404: {"model": Problem, "description": "No such file"}}
)


@router.post("", response_model=AttachmentPublic, status_code=status.HTTP_201_CREATED)
def upload_file(
    file: Annotated[UploadFile, File(description="A manual or a photo.")], item: OwnItem, session: OpenSession
) -> Attachment:
    """Attach a file to a tool of your own."""
    if file.size is not None and file.size > settings.largest_file:
        raise TooLarge(f"a file has at most {settings.largest_file} bytes")
    attachment = Attachment(
        filename=os.path.basename(file.filename or "file"),
        content_type=file.content_type or "application/octet-stream",
        item=item,
    )
    session.add(attachment)
    session.commit()
    store(attachment, file.file)
    return attachment


@router.get("/{file_id}", response_class=FileResponse)
def download_file(file_id: RowId, item: StoredItem, session: OpenSession) -> FileResponse:
    """Send a file; a `Range` header gets a part of it."""
    attachment = session.get(Attachment, file_id)
    if attachment is None or attachment.item_id != item.id:
        raise NotFound(f"item {item.id} has no file {file_id}")
    return FileResponse(path_of(attachment), media_type=attachment.content_type, filename=attachment.filename)
