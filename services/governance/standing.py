"""What people decided, from the rows that `gate.SELECT_FACTS` reads beside the facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from types import MappingProxyType
from typing import Any

from libs.judge.approvals import Approval
from libs.judge.plain import plain, read
from libs.judge.policy import Policy
from libs.judge.retirements import Retirement
from libs.judge.standing import Halt, Standing, Waiver
from services.governance.catalog import Target
from services.governance.freezes import frozen

MAX_FREEZES = 200  # the next ones by their begin: enough to know when a GO ends

_RENAMED = {"approved_by": "decided_by"}
NOTHING_RENAMED: Mapping[str, str] = MappingProxyType({})


def standing_of(
    policy: Policy,
    target: Target,
    now: datetime,
    waivers: Iterable[Mapping[str, Any]],
    halts: Iterable[Mapping[str, Any]],
    calendars: Iterable[Mapping[str, Any]],
    approvals: Iterable[Mapping[str, Any]] = (),
    retirements: Iterable[Mapping[str, Any]] = (),
    *,
    until: datetime | None = None,
) -> Standing:
    """The standing of a target; each row is a table's row as JSON. With ``until`` it knows all freezes until then."""
    published = {row["site"]: row["content"] for row in calendars}
    found, missing = frozen(policy, target, published, now, until)
    return Standing(
        gate=target.gate,
        site=target.site,
        subject=target.subject,
        waivers=tuple(_read(Waiver, row, _RENAMED) for row in waivers),
        halts=tuple(_read(Halt, row) for row in halts),
        freezes=tuple(freeze for _, freeze in (found[:MAX_FREEZES] if until is None else found)),
        missing_calendars=tuple(missing),
        approvals=tuple(map(approval_of, approvals)),
        retirements=tuple(_read(Retirement, row) for row in retirements),
    )


def approval_of(row: Mapping[str, Any]) -> Approval:
    """A row of the table approvals, also as JSON."""
    approval: Approval = read(Approval, {field.name: plain(row[field.name]) for field in fields(Approval)})
    return approval


def _read(cls: type[Any], row: Mapping[str, Any], renamed: Mapping[str, str] = NOTHING_RENAMED) -> Any:
    values = {}
    for field in fields(cls):
        value = row[renamed.get(field.name, field.name)]
        values[field.name] = datetime.fromisoformat(value) if field.name.endswith("_at") else value
    return cls(**values)
