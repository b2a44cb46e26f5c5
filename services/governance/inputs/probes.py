"""Probes: every minute those that are due are asked, and each answer becomes a signal, also one that is no number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from libs.common import versions
from libs.common.contracts.governance.probes import PROBES, Probe, Probes
from libs.common.contracts.versions import Published
from libs.common.problems import Invalid
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Table, Tx
from libs.judge.report_base import JSON, clean_text
from libs.judge.states import SAMPLES
from services.governance.catalog import SITE_SUBJECT
from services.governance.domain.samples import NoNumber, Sample
from services.governance.inputs.prometheus import NOT_SET, Prometheus
from services.governance.inputs.signals import NewSignal, store

EVERY_MINUTE = Schedule("20 * * * * *")
EARLY = timedelta(seconds=30)  # a tick may come some seconds sooner than the one before

SELECT_SITES = "SELECT DISTINCT site FROM document_version WHERE kind = 'probes' ORDER BY site"
SELECT_ASKED = """
SELECT asked.part, max(signals.received_at) AS asked_at FROM unnest($2::text[], $3::text[]) AS asked (part, subject)
JOIN facts ON facts.site = $1 AND facts.subject = asked.subject AND facts.version = '' AND facts.kind = $4
    AND facts.part = asked.part AND facts.voice = $5
JOIN signals USING (signal_id) GROUP BY asked.part
"""


async def ask_probes(prometheus: Prometheus, tx: Tx) -> JobDone | None:
    """Ask what is due at this site and store the answers. What gives no number is stored as a broken signal."""
    published = await versions.current(tx.connection, PROBES, tx.site)
    due = await _due(tx, published.content.probes) if published.source == "own" else []
    if not due:
        return None
    answers = await prometheus.ask(*(probe.query for probe in due), at=tx.now)
    new = [_signal(tx, probe, answer) for probe, answer in zip(due, answers, strict=True)]
    await store(tx, new)
    broken = {one.name: found.why for one, found in zip(due, answers, strict=True) if isinstance(found, NoNumber)}
    detail = {"asked_count": len(due), "broken": broken}
    return JobDone("warning" if broken else "success", detail, str(published.version))


async def _due(tx: Tx, probes: Sequence[Probe]) -> list[Probe]:
    rows = await tx.connection.fetch(
        SELECT_ASKED,
        tx.site,
        [probe.name for probe in probes],
        [_subject(probe) for probe in probes],
        SAMPLES,
        tx.actor,
    )
    asked: dict[str, datetime] = {row["part"]: row["asked_at"] for row in rows}
    return [
        probe
        for probe in probes
        if probe.name not in asked or tx.now - asked[probe.name] >= timedelta(minutes=probe.every_minutes) - EARLY
    ]


def _subject(probe: Probe) -> str:
    return probe.subject or SITE_SUBJECT


def _signal(tx: Tx, probe: Probe, answer: Sample | NoNumber) -> NewSignal:
    data: dict[str, JSON] = {"name": probe.name, "query": clean_text(probe.query), "unit": probe.unit}
    if isinstance(answer, Sample):
        data |= {"value": answer.value, "labels": list(answer.labels)}
        data["summary"] = f"{probe.name}: {answer.value:g} {probe.unit}".strip()
    else:
        data["summary"] = f"{probe.name}: no number"
    event_id = f"{probe.name}:{tx.message_id}"
    return NewSignal(
        "/probes/prometheus",
        event_id,
        SAMPLES,
        probe.name,
        _subject(probe),
        "",
        tx.now,
        data,
        sha256(event_id.encode()).digest(),
        () if isinstance(answer, Sample) else (answer.why,),
    )


async def apply_probes(prometheus: Prometheus, published: Published[Probes]) -> None:
    """Refuse what nobody could ask. Raises `Invalid`."""
    if published.content.probes and not prometheus.may_be_asked:
        raise Invalid(f"{NOT_SET} Set it for governance, restart it, then publish.")


async def _sites(connection: Connection) -> Sequence[str]:
    return [row["site"] for row in await connection.fetch(SELECT_SITES)]


def table(prometheus: Prometheus) -> Table:
    """What this module answers, and when it asks the given Prometheus."""

    async def applied(_: Tx, published: Published[Probes]) -> None:
        await apply_probes(prometheus, published)

    async def handler(tx: Tx) -> JobDone | None:
        return await ask_probes(prometheus, tx)

    made = versions.table(PROBES, applied=applied)
    job = Job("ask_prometheus", EVERY_MINUTE, handler, _sites, looks=True)
    return Table(commands=made.commands, queries=made.queries, jobs=(job,))
