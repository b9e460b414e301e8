"""A file that is read while it is sent."""

import hashlib
from typing import Annotated

from ferroapi import FastAPI, Form
from ferroapi.uploads import UploadStream

app = FastAPI()


@app.post("/backups")
async def backup(title: Annotated[str, Form(max_length=50)], file: UploadStream) -> dict[str, str | int | None]:
    digest = hashlib.sha256()
    async for piece in file:
        digest.update(piece)
    return {"title": title, "name": file.filename, "size": file.size, "sha256": digest.hexdigest()}
