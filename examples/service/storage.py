"""Where the bytes of attachments lie: one file each, named by the attachment's id, never by what a client said."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from .config import settings
from .models import Attachment


def path_of(attachment: Attachment) -> Path:
    """Return where the attachment's bytes are."""
    return settings.data / "files" / str(attachment.id)


def store(attachment: Attachment, content: BinaryIO) -> None:
    """Copy the content to the attachment's place."""
    path = path_of(attachment)
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as stored:
        shutil.copyfileobj(content, stored)


def remove(paths: Iterable[Path]) -> None:
    """Delete the files, those that are there."""
    for path in paths:
        path.unlink(missing_ok=True)
