"""The page of a quality report: in both languages, whole, well-formed, and nothing in it can run."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from libs.common.contracts.metrics.job_runs import JobRunCount, JobRunCounts
from libs.common.contracts.operations.quality import (
    Language,
    QualityReport,
    ReportedCheck,
    ReportedChecks,
    ReportedDeliveries,
    ReportPart,
)
from services.operations.domain.charts import Piece, shares, stacks
from services.operations.domain.periods import last_week
from services.operations.reports.labels import LABELS
from services.operations.reports.pages import page
from services.operations.reports.parts import Parts
from services.operations.reports.quality import put_together
from services.operations.reports.streak import Made, _shown
from services.operations.reports.words import ADVICE

NOW = datetime(2026, 3, 6, 23, 40, tzinfo=UTC)
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def report(**changed: Any) -> QualityReport:
    checks = [
        ReportedCheck(run_id=n, finished_at=NOW, status="critical", critical_count=n, warning_count=1) for n in range(3)
    ]
    checks.append(ReportedCheck(run_id=9, finished_at=NOW, status="failed", critical_count=None, warning_count=None))
    values: dict[str, Any] = {
        "jobs": JobRunCounts(kept_since=NOW, counts=[JobRunCount(job_name=EVIL, status="failed", run_count=3)]),
        "daily_checks": ReportedChecks(check_count=4, failed_count=1, critical_count=3, warning_count=3, items=checks),
        "deliveries": ReportedDeliveries(
            first_day=NOW.date(), last_day=NOW.date(), delivered_count=9, failed_count=1
        ),
        "duties": None, "noise": None, "preflight": None, "security": None,
        "told": [ReportPart(name="duties", state="missing", reason=EVIL)],
        **changed,
    }  # fmt: skip
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    streak = _shown({monday: Made(monday, NOW, 3)}, NOW, NOW)
    return put_together("weekly", last_week(NOW), Parts(**values), streak, NOW)


class Seen(HTMLParser):
    """The elements of a page, each closed where it was opened; and their attributes."""

    VOID = frozenset({"meta", "rect", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "ko"])
def test_nothing_in_a_page_can_run_or_load(language: Language) -> None:
    text = page(report(), language)
    seen = Seen(text)
    assert not seen.tags & {"script", "img", "iframe", "object", "embed", "link", "form", "a", "base", "foreignobject"}
    assert not any(name.startswith("on") or name in ("src", "href", "style", "xlink:href") for name in seen.attributes)
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 2  # the job's name, and the reason: as text
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src &#39;none&#39;; style-src &#39;sha256-{digest}&#39;" in text
    assert "@import" not in style
    assert "url(" not in style
    assert "@media print" in style


def test_a_page_says_what_is_missing_and_never_a_zero_for_it() -> None:
    text = page(report(), "en")
    assert LABELS["en"]["incomplete"] in text
    bare = re.sub(r"<[^>]+>", "|", page(report(jobs=None, daily_checks=None, deliveries=None), "en"))
    for what in ("findings", "runs", "deliveries", "verdicts", "open", "preflight", "noise"):
        assert re.search(rf"\|{re.escape(LABELS['en'][what])}\|+no data\|", bare), what
    korean = page(report(), "ko")
    assert '<html lang="ko">' in korean
    assert "주간 품질 보고서 week-2026-02-27-2026-03-06" in korean
    assert "읽지 못한 항목이 있습니다(duties)" in korean


def test_both_languages_say_the_same_things() -> None:
    assert LABELS["en"].keys() == LABELS["ko"].keys()
    assert ADVICE["en"].keys() == ADVICE["ko"].keys()
    for name, text in ADVICE["en"].items():
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", ADVICE["ko"][name])), name


def test_shapes_fit_their_drawing() -> None:
    assert stacks([], width=100, height=50) == []
    tall, none, small = stacks(
        [[("critical", 3), ("warning", 1)], [("critical", 0)], [("critical", 1)]], width=90, height=40
    )
    assert tall == [Piece("critical", 3, 10, 24, 30), Piece("warning", 3, 0, 24, 10)]
    assert none == []
    assert small == [Piece("critical", 63, 30, 24, 10)]
    [[tiny], _] = stacks([[("warning", 1)], [("warning", 10_000)]], width=90, height=40)
    assert tiny.height == 1  # never invisible
    assert shares([("success", 3), ("failed", 0), ("critical", 1)], width=200, height=9) == [
        Piece("success", 0, 0, 150, 9), Piece("critical", 150, 0, 50, 9),
    ]  # fmt: skip
    assert shares([("success", 0)], width=200, height=9) == []
