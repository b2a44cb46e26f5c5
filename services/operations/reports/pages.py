"""A quality report as a page for people: self-contained, without any script, to be read, printed or sent.

It may load nothing and run nothing; its one style sheet is named by its hash. All text is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

from libs.common.contracts.blobs import Blob
from libs.common.contracts.operations import quality as contract
from libs.common.contracts.operations.quality import (
    Language,
    MonthPageWanted,
    PageWanted,
    QualityReport,
    QualityRun,
    ReportedCheck,
)
from libs.common.service import Read, Table
from services.operations.archives import HTML
from services.operations.domain.advice import advise
from services.operations.domain.charts import Piece, shares, stacks
from services.operations.reports.labels import LABELS
from services.operations.reports.quality import figures_of, look, name_of
from services.operations.reports.words import advice

MAX_COLUMNS = 62
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_STATUSES = ("success", "warning", "critical", "failed")


def page(report: QualityReport, language: Language) -> str:
    """The report as HTML."""
    deliveries = report.deliveries
    return _template().render(
        language=language,
        say=LABELS[language],
        policy=_policy(),
        at=_at,
        report=report,
        run_id=report.run_id if isinstance(report, QualityRun) else None,
        streak=report.weekly_streak,
        weeks=list(reversed(report.weekly_streak.weeks)),
        advice=advice(advise(figures_of(report)), language),
        checks=_checks(report),
        sent=[]
        if deliveries is None
        else shares(
            (("success", deliveries.delivered_count), ("critical", deliveries.failed_count)), width=600, height=20
        ),
        jobs=[
            {"job": job, "pieces": shares([(name, getattr(job, name)) for name in _STATUSES], width=200, height=12)}
            for job in sorted(report.summary.jobs, key=lambda one: (-one.failed, -one.critical, -one.total))
        ],
    )


def _checks(report: QualityReport) -> list[dict[str, ReportedCheck | list[Piece]]]:
    """The newest checks, the oldest of these first; of one that failed itself a column of its own kind."""
    items = list(reversed(report.daily_checks.items[:MAX_COLUMNS])) if report.daily_checks else []
    columns = [
        [("failed", 1)]
        if one.critical_count is None
        else [("critical", one.critical_count), ("warning", one.warning_count or 0)]
        for one in items
    ]
    drawn = stacks(columns, width=600, height=90)
    lowered = [[Piece(p.kind, p.x, p.y + 10, p.width, p.height) for p in column] for column in drawn]
    return [{"check": one, "pieces": pieces} for one, pieces in zip(items, lowered, strict=True)]


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


@cache
def _template() -> Template:
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.from_string(_source())


@cache
def _source() -> str:
    return (resources.files("services.operations.reports") / "report.html").read_text(encoding="utf-8")


@cache
def _policy() -> str:
    """Nothing is loaded and nothing runs; the page's own style sheet by its hash."""
    [style] = _STYLE.findall(_source())
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _blob(report: QualityReport, language: Language) -> Blob:
    return Blob.of(page(report, language).encode(), media_type=HTML, filename=name_of(report, "html"))


async def weekly_html(read: Read, wanted: PageWanted) -> Blob:
    """Of the 7 days up to now, as a page."""
    return _blob(await look(read, "weekly"), wanted.language)


async def monthly_html(read: Read, wanted: MonthPageWanted) -> Blob:
    """Of a month, as a page. Raises `Invalid`."""
    return _blob(await look(read, "monthly", wanted.month), wanted.language)


TABLE = Table(queries={contract.weekly_page: weekly_html, contract.monthly_page: monthly_html})
