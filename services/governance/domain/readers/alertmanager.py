"""The webhook body of Prometheus Alertmanager, version 4.

Format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Each body holds all alerts of one
group, so the newest body of a group replaces the ones before. Alertmanager is silent when all is well; the alert
``Watchdog``, which always fires, is the proof that the line is alive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO

from libs.judge.report_base import (
    JSON,
    MAX_COUNT,
    BadReport,
    ParsedSignal,
    Remarks,
    as_list,
    as_object,
    as_text,
    clean_text,
    counted,
)
from services.governance.domain.readers.report_json import read_json
from services.governance.domain.readers.report_text import Source

KIND = "alert.alertmanager"
MAX_ALERTS = 5_000
WATCHDOG = "Watchdog"


def group_part(group_key: str) -> str:
    """The part name of a group: 16 hex digits of the SHA-256 of its key."""
    return sha256(group_key.encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Group:
    """A body as it was read. ``alerts``: each with its labels as they came; ``truncated``: how many were left out."""

    key: str
    status: str
    receiver: str
    truncated: int
    alerts: list[tuple[dict[str, JSON], Mapping[str, JSON]]]


def parse_alertmanager(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``alert.alertmanager`` signal; its part is a stable hash of the group's key.

    Data: ``group_key, status, receiver, alerts [{name, status firing|resolved, severity, fingerprint, starts_at,
    ends_at}], truncated_alerts`` (alerts that were left out), ``watchdog`` (a Watchdog alert fires), ``summary, notes,
    incomplete``. Raises BadReport.
    """
    group = _read(content)
    alerts = [alert for alert, _ in group.alerts]
    return [ParsedSignal(KIND, group_part(group.key), _data(group, group.status, alerts))]


@dataclass(frozen=True, slots=True)
class ByLabel:
    """A group told apart by the values of a label: ``alerts`` of each value, "" for those without it.

    ``part`` is another one than that of the whole group, so that both ways of sending never speak for each other.
    """

    part: str
    alerts: Mapping[str, list[dict[str, JSON]]]
    group: Group

    def data(self, alerts: Sequence[dict[str, JSON]]) -> dict[str, JSON]:
        """The data of whoever has these alerts of the group, also none."""
        fires = self.group.truncated or any(alert["status"] == "firing" for alert in alerts)
        return _data(self.group, "firing" if fires else "resolved", alerts)


def parse_by_label(content: bytes | BinaryIO, label: str) -> ByLabel:
    """The same body, told apart by a label. Raises BadReport."""
    group = _read(content)
    of: dict[str, list[dict[str, JSON]]] = {}
    for alert, labels in group.alerts:
        value = labels.get(label)
        of.setdefault(value if isinstance(value, str) else "", []).append(alert)
    return ByLabel(group_part(f"{label}\n{group.key}"), of, group)


def _read(content: bytes | BinaryIO) -> Group:
    body = read_json(Source(content, "Alertmanager"))
    if body.get("version") != "4":
        raise BadReport(f'The Alertmanager body has version {str(body.get("version"))[:20]!r}; version "4" is read.')
    group_key = body.get("groupKey")
    if not isinstance(group_key, str) or not group_key:
        raise BadReport("The Alertmanager body has no groupKey.")
    status = body.get("status")
    if status not in ("firing", "resolved"):
        raise BadReport("The Alertmanager body has no status: it must be firing or resolved.")
    if "alerts" not in body:
        raise BadReport("The Alertmanager body has no alerts.")
    listed = as_list(body["alerts"], "alerts")
    if len(listed) > MAX_ALERTS:
        raise BadReport(f"The Alertmanager body has {len(listed)} alerts, and at most {MAX_ALERTS} are read.")
    truncated = body.get("truncatedAlerts", 0)
    if isinstance(truncated, bool) or not isinstance(truncated, int) or not 0 <= truncated <= MAX_COUNT:
        raise BadReport(f"truncatedAlerts is not a whole number of 0 to {MAX_COUNT}.")
    alerts = [_alert(item, f"alerts[{index}]") for index, item in enumerate(listed)]
    if status == "firing" and not truncated and not any(alert["status"] == "firing" for alert, _ in alerts):
        raise BadReport("The group is firing, but none of its alerts is: the body is incomplete.")
    return Group(group_key, status, as_text(body.get("receiver"), "receiver"), truncated, alerts)


def _data(group: Group, status: str, alerts: Sequence[dict[str, JSON]]) -> dict[str, JSON]:
    firing = sum(alert["status"] == "firing" for alert in alerts)
    summary = f"{counted(len(alerts), 'alert')}: {firing} firing, {len(alerts) - firing} resolved"
    summary += f"; {group.truncated} left out" if group.truncated else ""
    return {
        "group_key": clean_text(group.key),
        "status": status,
        "receiver": group.receiver,
        "alerts": list(alerts),
        "truncated_alerts": group.truncated,
        "watchdog": any(alert["name"] == WATCHDOG and alert["status"] == "firing" for alert in alerts),
        **Remarks().data(summary),
    }


def _alert(item: JSON, where: str) -> tuple[dict[str, JSON], Mapping[str, JSON]]:
    alert = as_object(item, where)
    status = alert.get("status")
    if status not in ("firing", "resolved"):
        raise BadReport(f"{where} has no status: it must be firing or resolved.")
    labels = as_object(alert.get("labels"), f"{where}.labels")
    name = as_text(labels.get("alertname"), f"{where}.labels.alertname")
    said: dict[str, JSON] = {
        "name": name or "(unnamed)",
        "status": status,
        "severity": as_text(labels.get("severity"), f"{where}.labels.severity", 40).strip().lower() or "none",
        "fingerprint": as_text(alert.get("fingerprint"), f"{where}.fingerprint"),
        "starts_at": as_text(alert.get("startsAt"), f"{where}.startsAt", 64),
        "ends_at": as_text(alert.get("endsAt"), f"{where}.endsAt", 64),
    }
    return said, labels
