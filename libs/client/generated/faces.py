"""How an operation looks on the command line where the rule would not give what people expect.

The rule needs no entry here: ``service.noun.verb`` becomes ``headgate NOUN VERB`` (``get`` reads ``show``), fields in
the path are arguments, all others options. An entry keeps a name that people know, or says a thing better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from libs.common.contracts.base import Operation


@dataclass(frozen=True, slots=True)
class Face:
    """``path`` is the group and the command. All that is not said follows the rule.

    ``arguments`` are further fields that stand without an option. ``flags`` spell options anew (also fields of the
    path, which then are options), ``defaults`` and ``helps`` replace the contract's. ``hidden`` fields are not offered.
    ``target`` adds ``SUBJECT@VERSION``. ``judges``: exit code 1 means the verdict only. ``needs``: what to say when
    nothing was given. ``site_field`` is the field that ``--site`` fills. ``copies``: a field that has another one's
    value when it is not given. ``waits``: a verdict, which ``--wait`` waits for.
    """

    path: str
    help: str = ""
    arguments: tuple[str, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    helps: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    target: bool = False
    judges: bool = False
    waits: bool = False
    needs: str = ""
    site_field: str = "site"
    copies: Mapping[str, str] = field(default_factory=dict)


_OF_BOARD: dict[str, Any] = {
    "helps": {"gate": "The gate whose board this is.", "subject": "The software (else: the site)."}
}
_SCOPE = {"sites": "--scope"}

FACES: dict[str, Face] = {
    "governance.gates.list": Face("gate list"),
    "governance.gates.get": Face("gate show"),
    "governance.gate.run": Face(
        "gate run", "Judge now. Exit code 0: GO, 1: NO-GO, 2: could not judge.", target=True, judges=True, waits=True
    ),
    "governance.gate.admit": Face(
        "gate admit", "Whether a version may go now. Exit code 0: it may, 1: it may not, 2: could not tell.",
        target=True, judges=True,
    ),
    "governance.paths.get": Face("gate path"),
    "governance.stages.list": Face("gate stages", arguments=("subject",)),
    "governance.forecasts.get": Face(
        "gate forecast", "What the gate will say later, what breaks first, and what to renew by when.",
        flags={"gate": "--gate"}, defaults={"gate": "release"}, target=True,
    ),
    "governance.baseline.request": Face(
        "baselines accept", "Ask that the findings and vanished tests of now are accepted until a day.",
        target=True, flags={"ends_at": "--until"},
    ),
    "governance.badges.get": Face("gate badge", target=True),
    "governance.forecasts.feed": Face("gate forecast-feed", target=True),
    "governance.override.give": Face("gate override", judges=True),
    "governance.policies.approve": Face("policies approve", arguments=("digest",)),
    "governance.policies.approvals": Face("policies approvals", arguments=("digest",)),
    "governance.approvals.show": Face("gate approvals", target=True),
    "governance.approval.withdraw": Face("gate withdraw"),
    "governance.runs.list": Face("gate history", target=True),
    "governance.verdicts.list": Face("gate verdicts"),
    "governance.verdict.see": Face("gate mark-seen"),
    "governance.verdicts.seen_by": Face("gate seen-by"),
    "governance.runs.get": Face("gate verdict", "Show a stored verdict. Exit code as of that verdict.", judges=True),
    "governance.plan.get": Face(
        "plan show", flags={"gate": "--gate", "include_warnings": "--warnings/--no-warnings"},
        defaults={"gate": "operations"}, target=True,
    ),
    "governance.policies.export": Face("policies pull"),
    "governance.facts.list": Face("facts list", arguments=("subject",)),
    "governance.signals.list": Face("signal list"),
    "governance.signals.get": Face("signal show"),
    "governance.ops_gate.get": Face("ops-gate show", judges=True),
    "governance.ops_gate.run": Face("ops-gate run", judges=True),
    "governance.ops_gate.latest": Face("ops-gate latest", judges=True),
    "governance.reports.get": Face("report get"),
    "tracker.items.list": Face("items list", flags={"include_inactive": "--all"}, **_OF_BOARD),
    "tracker.items.page": Face("items pages", flags={"include_inactive": "--resolved"}, **_OF_BOARD),
    "tracker.items.get": Face("items show"),
    "tracker.items.feed": Face(
        "items feed", "Write your due items (or those of --assignee) as an iCalendar file, of all sites or of --site.",
        hidden=frozenset({"only_site"}), site_field="only_site",
    ),
    "tracker.item.patch": Face(
        "items patch",
        flags={
            "completion_note": "--note", "completion_checked": "--checked/--unchecked", "add_labels": "--label",
            "remove_labels": "--unlabel",
        },
        needs="Nothing to change; give --assignee, --status, --note, --checked, --label or --unlabel.",
    ),
    "tracker.bulk.patch": Face("items bulk"),
    "tracker.comment.add": Face("items comment", arguments=("text",)),
    "tracker.comment.withdraw": Face("items withdraw"),
    "tracker.comments.list": Face("items comments"),
    "tracker.link.add": Face("items link", arguments=("title", "url")),
    "tracker.link.remove": Face("items unlink"),
    "tracker.links.list": Face("items links"),
    "tracker.board.sync": Face("items sync", **_OF_BOARD),
    "tracker.sla.get": Face("sla", **_OF_BOARD),
    "tracker.overview.get": Face("items overview", **_OF_BOARD),
    "tracker.readiness.get": Face(
        "items readiness", "Show whether a board may be completed, and what stands in the way. Exit code 1: not ready.",
        **_OF_BOARD,
    ),
    "tracker.completion.get": Face("items completion", **_OF_BOARD),
    "tracker.board.complete": Face(
        "items complete", flags={"completion_note": "--note", "force": "--force"}, **_OF_BOARD
    ),
    "tracker.board.retire": Face("items retire", arguments=("subject",)),
    "tracker.escalation.get": Face("items escalation"),
    "tracker.escalation.acknowledge": Face("items acknowledge"),
    "tracker.escalation.unacknowledge": Face("items unacknowledge"),
    "tracker.escalation.snooze": Face("items snooze"),
    "tracker.escalation.wake": Face("items wake"),
    "audit.entries.get": Face("audit show"),
    "audit.receipts.get": Face("audit get-receipt"),
    "audit.receipts.find": Face("audit find-receipt"),
    "audit.witnesses.list": Face("audit witnesses"),
    "audit.checkpoints.list": Face("audit checkpoints"),
    "audit.traces.get": Face("audit trace"),
    "audit.sessions.list": Face("audit sessions"),
    "audit.deeds.find": Face(
        "audit history", "List what was done to one thing, by whom, from where, from what to what, newest first.",
        arguments=("resource_type", "resource_id"),
    ),
    "audit.deeds.list": Face("audit history-by-path"),
    "audit.log.get": Face("audit state"),
    "audit.log_keys.list": Face("audit keys"),
    "audit.proofs.inclusion": Face("audit prove", arguments=("seq",)),
    "audit.proofs.consistency": Face("audit prove-growth", arguments=("from_size",)),
    "audit.rollover.create": Face("audit accept-loss"),
    "audit.rollovers.list": Face("audit losses"),
    "audit.entries.list": Face(
        "audit entries", "List entries, newest first, of all sites that you may see (or of --site).",
        hidden=frozenset({"only_site"}), site_field="only_site",
    ),
    "operations.checklists.get": Face("deploy checklist"),
    "operations.deployment.record": Face("deploy record", arguments=("deploy_id",)),
    "operations.deployments.list": Face("deploy list"),
    "operations.deployments.get": Face("deploy show"),
    "operations.deployments.artifact": Face("deploy artifact"),
    "operations.review.run": Face("reviews run"),
    "operations.reviews.latest": Face("reviews latest"),
    "operations.candidates.list": Face("reviews candidates"),
    "operations.candidate.decide": Face("reviews decide", arguments=("decision",)),
    "operations.guides.list": Face("guides list"),
    "operations.guides.get": Face("guides get"),
    "gateway.tokens.list": Face("tokens list", flags={"username": "--user"}),
    "gateway.token.issue": Face(
        "tokens issue", "Issue a token. It is printed once, alone on stdout, and never again.", arguments=("label",),
        flags={
            "username": "--user", "expires_in_hours": "--hours", "permissions": "--permission",
            "subjects": "--subject", "cidrs": "--cidr", **_SCOPE,
        },
    ),
    "gateway.token.rotate": Face(
        "tokens rotate",
        "Replace a token by a new one. It is printed once, alone on stdout, and kept where the tool kept the old one.",
        flags={"expires_in_hours": "--hours", "overlap_minutes": "--overlap"},
    ),
    "gateway.token.revoke": Face("tokens revoke"),
    "gateway.tokens.revoke": Face("tokens revoke-all"),
    "gateway.sessions.of_user": Face("sessions of"),
    "gateway.session.revoke": Face("sessions revoke"),
    "gateway.sessions.revoke": Face("sessions revoke-all"),
    "gateway.keys.get": Face("keys status"),
    "gateway.shares.list": Face("shares list", flags={"active_only": "--active"}),
    "gateway.shares.uses": Face("shares uses"),
    "gateway.share.create": Face(
        "shares create", "Make a link that shows one thing to whoever has it. It is printed once, alone on stdout.",
        arguments=("kind",),
        flags={"gate": "--gate", "run_id": "--run", "expires_in_hours": "--hours", "max_uses": "--uses"}, target=True,
    ),
    "gateway.share.revoke": Face("shares revoke"),
    "gateway.webhooks.list": Face("webhooks list"),
    "gateway.webhook.create": Face(
        "webhooks create", "Let another system tell of its runs. Its secret is printed once, and never again.",
        arguments=("name",),
    ),
    "gateway.webhook.change": Face("webhooks change"),
    "gateway.webhook.rotate": Face("webhooks rotate"),
    "gateway.webhook.remove": Face("webhooks remove"),
    "gateway.users.list": Face("users list"),
    "gateway.users.get": Face("users show"),
    "gateway.user.erase": Face("users erase-data"),
    "gateway.erasures.get": Face("users erasure"),
    "gateway.personal.get": Face("users export-data"),
    "gateway.personal.own": Face("users export-own-data"),
    "gateway.user.create": Face("users create", arguments=("username",), flags={"display_name": "--name", **_SCOPE}),
    "gateway.user.patch": Face(
        "users patch", flags={"display_name": "--name", "active": "--active/--inactive", **_SCOPE},
        needs="Nothing to change; give --role, --scope, --name, --active or --inactive.",
    ),
    "operations.dora.get": Face("dora"),
    "operations.quality_files.list": Face("quality list"),
    "operations.quality_files.get": Face("quality file"),
    "operations.quality_streak.get": Face("quality streak"),
    "gateway.sites.list": Face("sites list"),
    "gateway.site.create": Face("sites create", arguments=("site",), copies={"title": "site"}),
    "gateway.teams.list": Face("teams list"),
    "gateway.teams.get": Face("teams show"),
    "gateway.team.create": Face("teams create", arguments=("team",), flags={"members": "--member"}),
    "gateway.team.patch": Face(
        "teams change", flags={"members": "--member"},
        needs="Nothing to change; give --member (all who are in it from now on), --roles or --purpose.",
    ),
    "gateway.team.remove": Face("teams remove"),
    "gateway.grant.give": Face("grants give", arguments=("username",), flags={"ends_at": "--until", **_SCOPE}),
    "gateway.grant.end": Face("grants end"),
    "gateway.grants.list": Face("grants list", flags={"username": "--user"}),
    "gateway.roles.list": Face("roles list"),
    "gateway.roles.get": Face("roles show"),
    "gateway.role.create": Face("roles create", arguments=("role",), flags={"permissions": "--permission"}),
    "gateway.role.patch": Face(
        "roles change", flags={"permissions": "--permission"},
        needs="Nothing to change; give --permission (all that it holds from now on) or --purpose.",
    ),
    "gateway.role.remove": Face("roles remove"),
    "gateway.me.get": Face("me"),
    "gateway.permissions.check": Face(
        "can-i", "Whether you may do a thing, and why. Exit code 0: yes, 1: no, 2: could not tell.",
        arguments=("permission",), flags={"username": "--user"}, hidden=frozenset({"site"}), judges=True,
    ),
}  # fmt: skip

# Operations whose command is written by hand, since it does more than ask one question.
BY_HAND: dict[str, str] = {
    "governance.signal.record": "signal send",
    "governance.report.record": "report send",
    "governance.policies.backtest": "policies backtest",
    "governance.freezes.import": "freezes import",
    "governance.policies.diff": "policies diff",
    "governance.policies.schema": "policies schema",
    "audit.chain.verify": "audit verify",
    "audit.archive.make": "audit archive make",
    "audit.archives.list": "audit archive list",
    "audit.archives.get": "audit archive show",
    "audit.archives.content": "audit archive get",
    "audit.archives.csv": "audit archive csv",
    "audit.archives.verify": "audit archive verify",
    "audit.archive_verification.start": "audit archive verify",
    "audit.archives.stamp": "audit archive timestamp",
    "governance.capsules.get": "gate capsule",
    "governance.explanations.get": "gate explain",
    "governance.approval.give": "gate approve",
    "governance.approval.decline": "gate decline",
    "metrics.job_runs.list": "jobs runs",
    "operations.guide.upload": "guides upload",
    "operations.security.posture": "ops security",
    "gateway.password.change": "passwords change",
}
OF_EVERY_SERVICE = {
    "jobs.list": "jobs list",
    "deadletters.list": "dead-letters list",
    "deadletters.show": "dead-letters show",
    "deadletter.replay": "dead-letters replay",
    "deadletter.drop": "dead-letters drop",
}


def by_hand(operation: Operation) -> str | None:
    """The path of the command by hand that covers it, or None."""
    return BY_HAND.get(operation.name) or OF_EVERY_SERVICE.get(operation.name.partition(".")[2])
