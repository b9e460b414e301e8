import io
from typing import Any

import fastapi.datastructures
import pytest
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile as StarletteUploadFile

from ferroapi.datastructures import Default, DefaultPlaceholder, UploadFile, _Unset


class Model(BaseModel):
    file: UploadFile


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_upload_file_reads_what_was_written() -> None:
    upload = UploadFile(io.BytesIO())
    await upload.write(b"one two")
    await upload.seek(4)
    assert await upload.read(2) == b"tw"
    assert await upload.read() == b"o"
    await upload.close()
    assert upload.file.closed


@pytest.mark.parametrize("upload", [UploadFile(io.BytesIO()), StarletteUploadFile(io.BytesIO())])
def test_upload_file_validates_any_starlette_upload_unchanged(upload: Any) -> None:
    assert Model(file=upload).file is upload


def test_upload_file_refuses_other_values_as_fastapi_does() -> None:
    class Theirs(BaseModel):
        file: fastapi.datastructures.UploadFile

    with pytest.raises(ValidationError) as ours:
        Model.model_validate({"file": "text"})
    with pytest.raises(ValidationError) as theirs:
        Theirs.model_validate({"file": "text"})
    assert ours.value.errors()[0]["msg"] == theirs.value.errors()[0]["msg"]
    assert ours.value.errors()[0]["msg"] == "Value error, Expected UploadFile, received: <class 'str'>"


def test_upload_file_is_binary_in_the_schema() -> None:
    schema = Model.model_json_schema()["properties"]["file"]
    assert schema == {"type": "string", "contentMediaType": "application/octet-stream", "title": "File"}


@pytest.mark.parametrize("value", [None, 0, "", "text", [1]])
def test_default_placeholder_is_as_true_as_its_value(value: object) -> None:
    assert bool(Default(value)) is bool(value)


def test_default_placeholder_equals_only_a_placeholder_of_an_equal_value() -> None:
    assert DefaultPlaceholder([1]) == DefaultPlaceholder([1])
    assert DefaultPlaceholder(1) != DefaultPlaceholder(2)
    assert DefaultPlaceholder(None) != None  # noqa: E711
    assert _Unset == Default(None)
