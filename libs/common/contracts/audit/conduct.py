"""What people did, counted from the audit log page by page: for whoever judges how risky an installation is run."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import Model, Open, Query, Time

PAGE_ENTRIES = 5_000
MAX_CALLERS = 200  # of refused requests in one page; the others are counted together
OTHERS = "address:others"
# What changes who may do what, what the gate asks, or what is allowed in spite of it.
SENSITIVE = (
    "gateway.token.issue",
    "gateway.token.rotate",
    "gateway.token.revoke",
    "gateway.tokens.revoke",
    "gateway.token_policy.publish",
    "gateway.token_policy.rollback",
    "gateway.user.create",
    "gateway.user.patch",
    "gateway.user.erase",
    "gateway.account.create",
    "gateway.account.patch",
    "gateway.grant.give",
    "gateway.grant.end",
    "gateway.team.create",
    "gateway.team.patch",
    "gateway.team.remove",
    "gateway.role.create",
    "gateway.role.patch",
    "gateway.role.remove",
    "gateway.federation.publish",
    "gateway.federation.rollback",
    "gateway.sign_in.publish",
    "gateway.sign_in.rollback",
    "gateway.session_policy.publish",
    "gateway.session_policy.rollback",
    "gateway.second_factor_policy.publish",
    "gateway.second_factor_policy.rollback",
    "gateway.password.invite",
    "gateway.password.remove",
    "gateway.second_factor.reset",
    "gateway.session.revoke",
    "gateway.sessions.revoke",
    "gateway.webhook.create",
    "gateway.webhook.rotate",
    "gateway.share.create",
    "governance.policies.publish",
    "governance.policies.rollback",
    "governance.override.give",
    "governance.override.confirm",
    "governance.waiver.approve",
    "governance.baseline.approve",
    "governance.freezes.publish",
    "governance.freezes.rollback",
    "governance.freezes.import",
    "governance.groups.publish",
    "governance.groups.rollback",
    "governance.kinds.publish",
    "governance.kinds.rollback",
    "governance.probes.publish",
    "governance.probes.rollback",
    "governance.signers.publish",
    "governance.signers.rollback",
    "tracker.board.complete",
    "operations.security_policy.publish",
    "operations.security_policy.rollback",
    "audit.rollover.create",
)
# What pipelines do at any hour: nobody's off-hours.
ROUTINE = ("governance.signal.record", "governance.gate.run")


class ConductWanted(Model):
    after_seq: int = Field(ge=0, le=2**62, description="The last entry that was counted already")


class Deeds(Open):
    """Commands of one person about one site in a quarter of an hour; ``deed_count`` leaves out what is routine."""

    began_at: Time
    site: str
    actor: str
    action_count: int
    deed_count: int
    failed_count: int
    sensitive_count: int


class Refused(Open):
    """Requests that the edge refused in a quarter of an hour. ``who``: a user, or ``address:`` and an address."""

    began_at: Time
    who: str
    status: int
    count: int


class SensitiveDeed(Open):
    """One sensitive command."""

    seq: int
    time: Time
    site: str
    actor: str
    action: str
    subject: str
    outcome: str


class Conduct(Open):
    """Entries after ``after_seq`` up to ``until_seq``, at most 5,000; there are more while that is below ``head_seq``.

    Commands of services are left out. A question, such as a look at a gate that is NO-GO, is no action.
    """

    until_seq: int
    head_seq: int
    deeds: list[Deeds]
    refused: list[Refused]
    sensitive: list[SensitiveDeed]


count_conduct = Query("audit.conduct.count", params=ConductWanted, result=Conduct, sited=False)
