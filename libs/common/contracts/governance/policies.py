"""Policies: which are in force at a site, their drafts and versions.

They are published as the YAML text that a person wrote, and that text is what is kept and digested. What `global` has
published, else the file, is in force at every site; what a site publishes itself comes beside it and can only tighten.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from libs.common.contracts.base import (
    DELETE,
    GET,
    POST,
    PUT,
    Command,
    Event,
    Model,
    Nothing,
    Open,
    Page,
    Query,
    Time,
    Token,
)
from libs.common.contracts.blobs import Blob
from libs.common.contracts.changes import Changed
from libs.common.contracts.issues import IssueId
from libs.common.contracts.versions import EXPECTED, MAX_VERSION, WHY, Reason
from libs.common.problems import Conflict, Invalid, NotFound

MAX_POLICY_CHARS = 512 * 1024
BASE = "/api/policies"
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_POLICY_CHARS)]
ExpectedDraft = Annotated[
    Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] | None,
    Field(description='Digest of the draft that this is about ("": there is none); another one by then is a conflict'),
]


class PolicyName(Model):
    gate: Token = Field(description="The gate's name, such as release")


class PolicyPublication(Model):
    gate: Token = Field(description="The gate's name; the text must say the same")
    content: Text = Field(description="The whole policy as YAML text")
    reason: Reason = Field(description=WHY)
    issue: IssueId | None = Field(None, description="The issue that asked for it, such as OPS-12")
    expected_version: int | None = Field(None, ge=0, le=MAX_VERSION, description=EXPECTED)


class PolicyRollback(Model):
    gate: Token = Field(description="The gate's name, such as release")
    version: int = Field(ge=1, le=MAX_VERSION, description="The version whose text is published again")
    reason: Reason = Field(description=WHY)
    issue: IssueId | None = Field(None, description="The issue that asked for it, such as OPS-12")
    expected_version: int | None = Field(None, ge=0, le=MAX_VERSION, description=EXPECTED)


class PolicyDraftSave(Model):
    gate: Token = Field(description="The gate's name; the text must say the same")
    content: Text = Field(description="The whole policy as YAML text")
    expected_digest: ExpectedDraft = None


class PolicyDraftDrop(PolicyName):
    expected_digest: ExpectedDraft = None


class PolicyVersions(Model):
    gate: Token = Field(description="The gate's name, such as release")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class PolicyVersionKey(Model):
    gate: Token = Field(description="The gate's name, such as release")
    version: int = Field(ge=1, le=MAX_VERSION, description="Which of the site's own versions")


class PolicyDiffKey(PolicyVersionKey):
    against: int | None = Field(
        None, ge=0, le=MAX_VERSION, description="The version to compare with (else the one before); 0: an empty text"
    )


class BacktestCounts(Open):
    """What a backtest found among ``total_count`` decisions.

    ``flip_count``: verdicts that differ; of these ``to_no_go_count`` and ``to_go_count`` differ in the decision, the
    others only in whether there are warnings. Left out: decisions of before capsules were kept
    (``without_capsule_count``), those that can't be read any more, and those whose subject the text does not bind.
    ``unread_kinds``: kinds that the text reads and policies of then did not, so that nothing of them was kept.
    """

    backtest_id: int
    total_count: int
    judged_count: int
    flip_count: int
    to_no_go_count: int
    to_go_count: int
    without_capsule_count: int
    unreadable_count: int
    unbound_count: int
    unread_kinds: list[str]


class PolicyVersion(Open):
    """A version without its text. ``restores`` is the version that a roll-back published again.

    ``backtest``: the newest one of this very text that had ended at the site when it was published.
    """

    gate: str
    version: int
    digest: str
    author: str
    reason: str
    issue: str | None
    restores: int | None
    published_at: Time
    backtest: BacktestCounts | None = None


class PolicyVersionShown(PolicyVersion):
    """``warnings``: of one that has just been published, what may be meant so and mostly is not."""

    content: str
    warnings: list[str] = []


class PolicyDraft(Open):
    """A text that somebody is writing. ``problems``: what forbids publishing it now; empty: it may be published.

    ``warnings``: what may be meant so and mostly is not, such as a rule that can shut the gate for good.
    """

    gate: str
    content: str
    digest: str
    saved_by: str
    saved_at: Time
    problems: list[str]
    warnings: list[str] = []


class PolicyPart(Open):
    """A text in force. ``site`` is whose it is; version 0 is the file of this installation.

    ``overridden``: what the environment changed of the file, by the setting's key.
    """

    site: str
    version: int
    digest: str
    content: str
    overridden: dict[str, bool | int | float | str] = {}


class PolicyShown(Open):
    """What is in force at a site. ``digest`` covers all ``parts``: everywhere's first, then the site's own."""

    gate: str
    title: str
    digest: str
    parts: list[PolicyPart]


class PolicySummary(Open):
    """``version`` is everywhere's (0: the file, or none), ``own_version`` the site's own (0: none)."""

    gate: str
    title: str
    digest: str
    version: int
    own_version: int


class PolicyDiff(Open):
    """What made ``version`` of ``against``, as a unified diff of the two texts; empty if they are equal."""

    gate: str
    version: int
    against: int
    lines: list[str]


class PolicyPublished(PolicyVersionShown, Changed):
    """``diff``: of the texts. ``changes``: by JSON Pointers (RFC 6901) into the YAML, rules and tests by their ids,
    against the site's own version before; ``changes_left_out`` counts those beyond the first 500, or 64 KiB.
    """

    site: str
    diff: list[str]
    changes_left_out: int = 0


class PolicyDraftChanged(Changed):
    """A draft was saved, or dropped (``digest`` is "" then)."""

    gate: str
    site: str
    digest: str
    saved_by: str
    saved_at: Time


list_policies = Query(
    "governance.policies.list",
    params=Nothing,
    result=list[PolicySummary],
    permission="policy:read",
    http=GET(BASE),
    summary="List the policies in force at a site",
)
policy_schema = Query(
    "governance.policies.schema",
    params=Nothing,
    result=dict[str, Any],
    permission="policy:read",
    http=GET("/api/policy-schema"),
    summary="The JSON Schema of a policy's YAML, for editors",
    sited=False,
)
show_policy = Query(
    "governance.policies.show",
    params=PolicyName,
    result=PolicyShown,
    permission="policy:read",
    http=GET(f"{BASE}/{{gate}}"),
    errors=(NotFound,),
    summary="Show the policy in force, with its texts",
)
export_policy = Query(
    "governance.policies.export",
    params=PolicyName,
    result=Blob,
    permission="policy:read",
    http=GET(f"{BASE}/{{gate}}/yaml", file="application/yaml"),
    errors=(NotFound,),
    summary="The site's own policy as YAML, exactly as it was published; else everywhere's",
)
publish_policy = Command(
    "governance.policies.publish",
    body=PolicyPublication,
    result=PolicyVersionShown,
    permission="policy:write",
    http=PUT(f"{BASE}/{{gate}}"),
    errors=(Conflict, Invalid),
    summary="Publish a new version of a site's policy",
)
roll_back_policy = Command(
    "governance.policies.rollback",
    body=PolicyRollback,
    result=PolicyVersionShown,
    permission="policy:write",
    http=POST(f"{BASE}/{{gate}}/rollback"),
    errors=(NotFound, Conflict, Invalid),
    summary="Publish an earlier version of a policy again, exactly as it was",
)
list_policy_versions = Query(
    "governance.policies.versions",
    params=PolicyVersions,
    result=Page[PolicyVersion],
    permission="policy:read",
    http=GET(f"{BASE}/{{gate}}/versions"),
    errors=(Invalid,),
    summary="List the site's own versions of a policy, newest first",
)
show_policy_version = Query(
    "governance.policies.version",
    params=PolicyVersionKey,
    result=PolicyVersionShown,
    permission="policy:read",
    http=GET(f"{BASE}/{{gate}}/versions/{{version}}"),
    errors=(NotFound,),
    summary="Show a version of a policy",
)
diff_policy = Query(
    "governance.policies.diff",
    params=PolicyDiffKey,
    result=PolicyDiff,
    permission="policy:read",
    http=GET(f"{BASE}/{{gate}}/versions/{{version}}/diff"),
    errors=(NotFound,),
    summary="What a version of a policy changed",
)
save_policy_draft = Command(
    "governance.policies.save",
    body=PolicyDraftSave,
    result=PolicyDraft,
    permission="policy:write",
    http=PUT(f"{BASE}/{{gate}}/draft"),
    errors=(Invalid, Conflict),
    summary="Save a draft of a policy; it has no effect",
)
show_policy_draft = Query(
    "governance.policies.draft",
    params=PolicyName,
    result=PolicyDraft,
    permission="policy:read",
    http=GET(f"{BASE}/{{gate}}/draft"),
    errors=(NotFound,),
    summary="Show the draft of a policy, and what forbids publishing it",
)
drop_policy_draft = Command(
    "governance.policies.drop",
    body=PolicyDraftDrop,
    result=PolicyDraftChanged,
    permission="policy:write",
    http=DELETE(f"{BASE}/{{gate}}/draft"),
    errors=(NotFound, Conflict),
    summary="Drop the draft of a policy",
)
policy_published = Event(
    "governance.policies.published", data=PolicyPublished, summary="A version of a policy was published"
)
policy_draft_changed = Event(
    "governance.policies.drafted", data=PolicyDraftChanged, summary="A draft of a policy was saved or dropped"
)
