"""Rollback guides: what a person follows to go back, kept by the server in every version of it."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time
from libs.common.contracts.blobs import Blob
from libs.common.contracts.changes import Changed
from libs.common.contracts.names import printable_name
from libs.common.problems import Invalid, NotFound, TooLarge

MAX_GUIDE_BYTES = 256 * 1024
SHIPPED = "rollback.md"  # the path of the guide that comes with Headgate; its version is 0


def guide_path(text: str) -> str:
    """Return ``text`` if it is a relative path as Git writes it. Raises `PydanticCustomError`."""
    printable_name(text)
    if "\\" in text or any(part in ("", ".", "..") for part in text.split("/")):
        raise PydanticCustomError("no_path", "a guide's path is relative, such as docs/rollback.md, without . or ..")
    return text


@cache
def shipped_guide() -> bytes:
    """The guide that comes with Headgate, wherever the process was started."""
    return (resources.files(__package__) / SHIPPED).read_bytes()


GuidePath = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(guide_path)]


class GuideUpload(Model):
    path: GuidePath = Field(SHIPPED, description="Under which name, such as docs/rollback.md")
    content: str = Field(
        min_length=1, max_length=MAX_GUIDE_BYTES, description="The file's text, exactly; at most 256 KiB in UTF-8"
    )
    reason: str = Field("", max_length=500, description="Why it changes")


class Guide(Open):
    """One version of a guide. ``version`` 0 came with Headgate. ``sha256`` and ``size_bytes`` are of the file."""

    path: str
    version: int
    sha256: str
    size_bytes: int
    reason: str
    uploaded_at: Time | None
    uploaded_by: str


class GuideUploaded(Changed):
    """A guide was uploaded. ``changed`` is false if the server held exactly this already."""

    guide: Guide
    changed: bool


class GuideFilter(Model):
    path: GuidePath | None = Field(None, description="Only of this path")
    limit: int = Field(50, ge=1, le=200, description="How many of the newest")


class GuideKey(Model):
    path: GuidePath = Field(SHIPPED, description="Which guide")
    version: int | None = Field(None, ge=0, le=2**31 - 1, description="Which version (else: the newest)")


upload_guide = Command(
    "operations.guide.upload",
    about="{guide.path}:{guide.version}",
    body=GuideUpload,
    result=GuideUploaded,
    permission="operations:guide",
    http=POST("/api/ops/deploy/guides", status=201),
    errors=(Invalid, TooLarge),
    summary="Upload a rollback guide; what was there stays as an older version",
    sited=False,
)
list_guides = Query(
    "operations.guides.list",
    params=GuideFilter,
    result=list[Guide],
    permission="operations:read",
    http=GET("/api/ops/deploy/guides"),
    summary="The rollback guides that the server holds, newest first",
    sited=False,
)
get_guide = Query(
    "operations.guides.get",
    params=GuideKey,
    result=Blob,
    permission="operations:read",
    http=GET("/api/ops/deploy/guides/content", file="text/markdown"),
    errors=(NotFound,),
    summary="Download a rollback guide, exactly as it was uploaded",
    sited=False,
)
guide_uploaded = Event("operations.guide.uploaded", data=GuideUploaded, summary="A rollback guide was uploaded")
