"""Files of a form that are read while they are sent. See docs/arriving-uploads.md."""

from ferroapi._beyond.upload_stream import UploadInterrupted as UploadInterrupted
from ferroapi._beyond.upload_stream import UploadStream as UploadStream
