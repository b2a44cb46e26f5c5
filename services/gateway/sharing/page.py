"""The page of a share, as HTML. Its one script moves what follows the ``#`` of the address into the form."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from starlette.requests import Request
from starlette.responses import Response

from libs.common.contracts.governance.plans import Plan
from libs.common.contracts.governance.runs import GateRun
from libs.common.contracts.tracker.board import Overview
from libs.common.contracts.tracker.items import Item
from services.gateway.answers import RETRY_AFTER_S
from services.gateway.doors.acknowledge_page import language_of
from services.gateway.sharing.things import Thing
from services.gateway.sharing.words import ASK, NAMES, STATUSES, TEXTS, TITLES, Language, State

_INLINE = {kind: re.compile(rf"<{kind}>(.*?)</{kind}>", re.DOTALL) for kind in ("style", "script")}
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Vary": "Accept, Accept-Language",
}
MAX_CELL = 500


@dataclass(frozen=True, slots=True)
class Listed:
    """A table of the page."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page says of a thing."""

    facts: Sequence[tuple[str, str]]
    lists: Sequence[Listed] = ()


def page(request: Request, state: State) -> Response:
    """A page that shows nothing of what is shared."""
    language = language_of(request)
    return _page(language, state, *TEXTS[language][state], ask=ASK[language] if state == "ask" else None)


def shown_page(request: Request, thing: Thing, site: str, answers: Sequence[Any], now: datetime) -> Response:
    """The thing itself; ``answers`` as its questions were answered."""
    language = language_of(request)
    shown = shown_of(thing, site, answers, language)
    text = TEXTS[language]["shown"][1].format(at=_when(now))
    return _page(language, "shown", TITLES[language][thing.kind], text, shown=shown)


def shown_of(thing: Thing, site: str, answers: Sequence[Any], language: Language) -> Shown:
    """What there is to see of a thing."""
    names = NAMES[language]
    if thing.kind == "plan":
        return _plan(Plan.model_validate(answers[0]), thing, site, names)
    if thing.kind == "board":
        items = [Item.model_validate(one) for one in answers[1]]
        return _board(Overview.model_validate(answers[0]), items, thing, site, names)
    run = GateRun.model_validate(answers[0])
    return _run(run, names) if thing.kind == "run" else _capsule(run, names)


def _about_run(run: GateRun, names: Any) -> list[tuple[str, str]]:
    return [
        (names["verdict"], run.verdict.replace("_", " ")),
        (names["gate"], run.gate),
        (names["subject"], run.subject),
        (names["version"], run.version),
        (names["line"], run.line),
        (names["site"], run.site),
        (names["run"], str(run.run_number)),
        (names["decided_at"], _when(run.decided_at)),
        (names["valid_until"], _when(run.valid_until)),
    ]


def _run(run: GateRun, names: Any) -> Shown:
    score = f"{run.summary.weighted_score_percent:g} %, {run.summary.passed_rules}/{run.summary.total_rules}"
    rules = [(rule.id, rule.status, rule.message) for rule in run.rules]
    lists = [Listed(names["reasons"], (), [(reason,) for reason in run.reasons])] if run.reasons else []
    heads = (names["rule"], names["status"], names["message"])
    return Shown([*_about_run(run, names), (names["score"], score)], [*lists, Listed(names["rules"], heads, rules)])


def _capsule(run: GateRun, names: Any) -> Shown:
    return Shown(
        [*_about_run(run, names), (names["sha256"], run.capsule_sha256 or ""), (names["check"], "headgate verify FILE")]
    )


def _where(thing: Thing, site: str, names: Any) -> list[tuple[str, str]]:
    about = (("gate", thing.gate), ("subject", thing.subject), ("version", thing.version), ("line", thing.line))
    return [*((names[name], value or "") for name, value in about), (names["site"], site)]


def _plan(plan: Plan, thing: Thing, site: str, names: Any) -> Shown:
    heads = tuple(names[name] for name in ("priority", "rule", "owner", "due_at", "action", "reason"))
    rows = [
        (str(one.priority), one.rule_id, one.owner_role, _when(one.due_at), one.action, one.reason)
        for one in plan.items
    ]
    verdict = plan.decision.upper().replace("_", " ")
    return Shown([(names["verdict"], verdict), *_where(thing, site, names)], [Listed(names["items"], heads, rows)])


def _board(board: Overview, items: Sequence[Item], thing: Thing, site: str, names: Any) -> Shown:
    heads = tuple(names[name] for name in ("priority", "rule", "status", "assignee", "due_at", "action", "reason"))
    rows = [
        (str(one.priority), one.rule_id, one.status, one.assignee or "", _when(one.due_at), one.action, one.reason)
        for one in items
    ]
    counts = {
        "active": board.active_count,
        "done": board.done_count,
        "overdue": board.overdue_count,
        "critical": board.critical_open_count,
        "more": max(0, board.active_count - len(items)) or "",
    }
    facts = [*_where(thing, site, names), *((names[name], str(count)) for name, count in counts.items())]
    return Shown(facts, [Listed(names["items"], heads, rows)])


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at is not None else ""


def _page(
    language: Language, state: State, title: str, text: str, *, ask: Any = None, shown: Shown | None = None
) -> Response:
    facts = [(name, _cut(value)) for name, value in shown.facts if value] if shown else []
    lists = [Listed(o.title, o.heads, [[_cut(c) for c in row] for row in o.rows]) for o in shown.lists] if shown else []
    html = _template().render(language=language, title=title, text=text, ask=ask, facts=facts, lists=lists)
    headers = HEADERS | {"Content-Security-Policy": _policy()}
    if state == "later":
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(html, STATUSES[state], headers, media_type="text/html; charset=utf-8")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


@cache
def _template() -> Template:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(_source())


@cache
def _source() -> str:
    return (resources.files("services.gateway.sharing") / "share.html").read_text()


@cache
def _policy() -> str:
    """Nothing from elsewhere, the page's own style and script by their hashes, and its form to this server alone."""
    allowed = {
        kind: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in found.findall(_source())
        )
        for kind, found in _INLINE.items()
    }
    return (
        f"default-src 'none'; style-src {allowed['style']}; script-src {allowed['script']}; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )
