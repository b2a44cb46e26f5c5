"""Share links: somebody outside is shown one verdict, plan, board or capsule, for a while, and nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import DELETE, GET, POST, Command, Event, Model, Open, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.names import Line, Subject, Version
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

PATH = "/s"  # the page; what follows after `#` never leaves the browser in an address
ACTOR = "share:"  # before a share's number: who opens one. No user's name has a colon.
MAX_HOURS, MAX_USES = 720, 1_000
Kind = Literal["run", "plan", "board", "capsule"]
OF_A_RUN = frozenset({"run", "capsule"})
_SHA256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ShareCreate(Model):
    """A verdict and a capsule are named by gate and run, a plan and a board by what they are about."""

    kind: Kind = Field(description="What is shown: a verdict (`run`), a plan, a board, or the capsule of a decision")
    gate: Token = Field(description="The gate's name, such as release")
    run_id: int | None = Field(None, ge=1, le=2**63 - 1, description="The run's number, for `run` and `capsule`")
    subject: Subject | None = Field(None, description="The software, for `plan` and `board`")
    version: Version | None = Field(None, description="Its version, for `plan`")
    line: Line | None = Field(None, description="Its line, for `plan` and `board`")
    expires_in_hours: int = Field(168, ge=1, le=MAX_HOURS, description="How long the link works")
    max_uses: int = Field(20, ge=1, le=MAX_USES, description="How often it may be opened")
    label: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="Whom it is for; who opens it does not see that"
    )


class ShareSealed(ShareCreate):
    """What travels on the bus: the edge made the secret and sends its SHA-256, with what the caller may."""

    secret_sha256: _SHA256
    caller_permissions: list[str]


class ShareKey(Model):
    share_id: int = Field(ge=1, le=2**63 - 1, description="The share's number")


class ShareFilter(Model):
    active_only: bool = Field(False, description="Only those that still open something")


class ShareOpen(Model):
    """What travels on the bus when a link is opened."""

    secret_sha256: _SHA256
    address: Annotated[str, StringConstraints(max_length=60)]
    agent: Annotated[str, StringConstraints(max_length=200)] = ""


class ShareView(Open):
    """``use_count``: how often it was opened. ``fingerprint`` tells links apart and opens nothing."""

    share_id: int
    site: str
    kind: Kind
    gate: str
    run_id: int | None = None
    subject: str | None = None
    version: str | None = None
    line: str | None = None
    label: str | None = None
    fingerprint: str
    created_at: Time
    created_by: str
    expires_at: Time
    max_uses: int
    use_count: int
    revoked_at: Time | None = None
    revoked_by: str | None = None


class ShareIssued(ShareView):
    """``token`` is shown in this one answer and never again. The link is the public URL, ``path`` and ``token``."""

    path: str = f"{PATH}#"
    token: str | None = None
    note: str = ""


class ShareOpened(Open):
    """``use``: the how manieth time it was."""

    share_id: int
    use: int


class ShareUsed(ShareOpened, Changed):
    """That a link was opened; from where is in its list of uses."""


class ShareChanged(ShareView, Changed):
    """A share after a change."""


class ShareUse(Open):
    """``address``: of IPv6 the network of 64 bits."""

    use: int
    at: Time
    address: str
    agent: str


create_share = Command(
    "gateway.share.create",
    about="{share_id}",
    body=ShareSealed,
    result=ShareIssued,
    permission="share:write",
    http=POST("/api/shares", status=201, seal="share"),
    errors=(NotFound, Forbidden, Conflict, Invalid),
    summary="Make a link by which somebody outside is shown one thing; it is shown once",
)
revoke_share = Command(
    "gateway.share.revoke",
    body=ShareKey,
    result=ShareView,
    permission="share:write",
    http=DELETE("/api/shares/{share_id}"),
    errors=(NotFound,),
    summary="Revoke a share link; it opens nothing any more, on any gateway",
)
list_shares = Query(
    "gateway.shares.list",
    params=ShareFilter,
    result=list[ShareView],
    permission="share:read",
    http=GET("/api/shares"),
    summary="List the site's share links, the newest first (never what opens them)",
)
list_uses = Query(
    "gateway.shares.uses",
    params=ShareKey,
    result=list[ShareUse],
    permission="share:read",
    http=GET("/api/shares/{share_id}/uses"),
    errors=(NotFound,),
    summary="List when and from where a share link was opened, the newest first",
)
# Without a route of its own: the edge's `POST /s` shows the thing.
use_share = Command(
    "gateway.share.use",
    about="{share_id}",
    body=ShareOpen,
    result=ShareOpened,
    permission="share:read",
    errors=(NotFound,),
    summary="Count that a share link is opened, if it may be",
)
share_created = Event("gateway.share.created", data=ShareView, summary="A share link was made (without its secret)")
share_used = Event("gateway.share.used", data=ShareUsed, summary="A share link was opened")
share_revoked = Event("gateway.share.revoked", data=ShareChanged, summary="A share link was revoked")
