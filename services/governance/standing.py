"""What people decided, from the rows that `gate.SELECT_FACTS` reads beside the facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from types import MappingProxyType
from typing import Any

from libs.judge.accepted import AcceptedBaseline, AcceptedPart
from libs.judge.approvals import Approval
from libs.judge.emergency import Override
from libs.judge.plain import plain, read
from libs.judge.policy import Policy
from libs.judge.retirements import Retirement
from libs.judge.standing import Halt, Label, Spent, Standing, Waiver
from services.governance.catalog import Target
from services.governance.frozen import frozen

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
    labels: Iterable[Mapping[str, Any]] = (),
    overrides: Iterable[Mapping[str, Any]] = (),
    spent: Iterable[Mapping[str, Any]] = (),
    baselines: Iterable[Mapping[str, Any]] = (),
    *,
    until: datetime | None = None,
) -> Standing:
    """The standing of a target; each row is a table's row as JSON. With ``until`` it knows all freezes until then."""
    published = {row["site"]: row["content"] for row in calendars}
    known = tuple(_read(Label, row) for row in labels)
    found, missing = frozen(policy, target, published, now, until, frozenset(one.label for one in known))
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
        labels=tuple(sorted(known, key=lambda one: one.label)),
        overrides=tuple(_row(Override, row) for row in overrides),
        spent=tuple(_row(Spent, row) for row in spent),
        baselines=tuple(map(accepted_of, baselines)),
    )


def approval_of(row: Mapping[str, Any]) -> Approval:
    """A row of the table approvals, also as JSON."""
    approval: Approval = _row(Approval, row)
    return approval


def _row(cls: type[Any], row: Mapping[str, Any]) -> Any:
    return read(cls, {field.name: plain(row[field.name]) for field in fields(cls)})


def parts_of(held: Any) -> tuple[AcceptedPart, ...]:
    """The column ``parts`` of the table accepted_baselines."""
    parts: tuple[AcceptedPart, ...] = read(tuple[AcceptedPart, ...], held)
    return parts


def accepted_of(row: Mapping[str, Any]) -> AcceptedBaseline:
    """A row of the table as JSON, as verdicts read it."""
    return AcceptedBaseline(
        accepted_id=row["accepted_id"],
        gate=row["gate"],
        subject=row["subject"],
        line=row["line"],
        begins_at=datetime.fromisoformat(row["begins_at"]),
        ends_at=datetime.fromisoformat(row["ends_at"]),
        reason=row["reason"],
        issue=row["issue"],
        requested_by=row["requested_by"],
        approved_by=row["decided_by"],
        parts=parts_of(row["parts"]),
    )


def _read(cls: type[Any], row: Mapping[str, Any], renamed: Mapping[str, str] = NOTHING_RENAMED) -> Any:
    values = {}
    for field in fields(cls):
        value = row[renamed.get(field.name, field.name)]
        at = field.name.endswith("_at")
        values[field.name] = datetime.fromisoformat(value) if at else tuple(value) if isinstance(value, list) else value
    return cls(**values)
