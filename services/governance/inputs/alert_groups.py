"""One webhook of Alertmanager for many subjects: each alert goes to the subject that its label names.

No alert may vanish. One whose label names no subject goes to the ``subject`` of the request, else it is kept as a
broken signal of the site. A subject that had alerts in a group which the next body does not show any more is told that
none fires. What was left out of a body may be about anybody, so each subject of the sender is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from libs.common.contracts.governance.reports import ReportRecord
from libs.common.contracts.names import Subject
from libs.common.service import Tx
from libs.judge.report_base import JSON, BadReport, clean_text
from services.governance.catalog import SITE_SUBJECT
from services.governance.domain.readers.alertmanager import KIND, ByLabel
from services.governance.inputs.heads import Sender

MAX_SUBJECTS = 1_000  # that one sender tells apart
NAMED = 5
_SUBJECT: TypeAdapter[str] = TypeAdapter(Subject)

# A subject is known by the reports that were noted of it; it is open unless its newest word of the group is that
# nothing fires in it.
SELECT_KNOWN_SUBJECTS = """
SELECT heads.subject, heads.readable, signals.signal_id IS NOT NULL AND NOT (
    signals.valid AND NOT signals.data -> 'alerts' @> '[{"status": "firing"}]'
    AND signals.data -> 'truncated_alerts' = '0' AND signals.data -> 'watchdog' = 'false'
) AS is_open
FROM report_heads AS heads
LEFT JOIN facts ON facts.site = heads.site AND facts.subject = heads.subject AND facts.version = heads.version
    AND facts.kind = heads.kind AND facts.part = $5 AND facts.voice = ''
LEFT JOIN signals ON signals.signal_id = facts.signal_id
WHERE heads.site = $1 AND heads.kind = $2 AND heads.sender = $3 AND heads.version = $4 AND heads.voice = ''
ORDER BY heads.subject LIMIT $6
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a body says of one subject. ``problem``: why nobody may rely on it, "" if one may."""

    subject: str
    data: Mapping[str, JSON]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A subject that a sender has told of. ``readable``: its last report was; ``is_open``: the group fires there."""

    subject: str
    readable: bool
    is_open: bool


async def known_subjects(tx: Tx, sender: Sender, part: str = "") -> list[Known]:
    """The subjects that this sender has told of, by name; ``part`` is that of a group."""
    asked = (tx.site, KIND, sender.name, sender.version, part, MAX_SUBJECTS + 1)
    return [Known(**row) for row in await tx.connection.fetch(SELECT_KNOWN_SUBJECTS, *asked)]


def tell_apart(body: ReportRecord, sender: Sender, group: ByLabel, known: Sequence[Known]) -> list[Told]:
    """What a body says of each subject, by name. Raises BadReport if they are too many."""
    truncated = group.group.truncated
    of: dict[str, list[dict[str, JSON]]] = {}
    nameless: list[dict[str, JSON]] = []
    for value, alerts in group.alerts.items():
        if _is_subject(value):
            of[value] = [*alerts]
        else:
            nameless += alerts
    if nameless or truncated:
        of.setdefault(sender.subject, []).extend(nameless)
    silent = {one.subject for one in known if one.is_open or truncated}
    if len({*of, *(one.subject for one in known)}) > MAX_SUBJECTS:
        raise BadReport(
            f"One webhook tells at most {MAX_SUBJECTS} subjects apart by the label {body.subject_label}; use several, "
            "each with a part of its own (&part=west)."
        )
    lost = _lost(body.subject_label or "", nameless, truncated) if body.subject is None else ""
    return [
        Told(subject, group.data(of.get(subject, [])), lost if subject == SITE_SUBJECT else "")
        for subject in sorted({*of, *silent})
    ]


def _is_subject(value: str) -> bool:
    try:
        _SUBJECT.validate_python(value)
    except ValidationError:
        return False
    return True


def _lost(label: str, nameless: Sequence[Mapping[str, JSON]], truncated: int) -> str:
    """What can't be given to a subject, in a sentence; "" if there is nothing."""
    mend = "or say in the webhook's address which subject is to have them (&subject=platform)"
    names = sorted({clean_text(str(alert["name"]), 60) for alert in nameless})
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        alerts = f"{', '.join(names[:NAMED])}{more}"
        return f"The label {label} names no subject for the alerts {alerts}; give them one, {mend}."
    if truncated:
        return f"{truncated} alerts were left out, nobody knows of which subjects; set max_alerts to 0, {mend}."
    return ""
