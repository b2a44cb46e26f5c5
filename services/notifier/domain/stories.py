"""Events told to people: what of an event's data is its title, place, reason, people, deadline and facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import quote

from services.notifier.domain import message
from services.notifier.domain.escaping import line
from services.notifier.domain.labels import field_label, has, word
from services.notifier.domain.message import Language, Message, Severity, shown_time
from services.notifier.domain.titles import title_of

Data = Mapping[str, Any]

MAX_VALUE = 200  # characters of a field within a title
MAX_RULES = 15
MAX_OTHERS = 12
_PLACE = ("site", "gate", "subject", "version", "line")
# What ended or decided a thing is nearer to the reader than why it once began.
_REASONS = ("withdraw_reason", "lift_reason", "revoke_reason", "confirm_reason", "remove_reason", "end_reason",
            "decision_reason", "approval_reason", "why", "reason", "status_reason")  # fmt: skip
_DEADLINES = ("due_at", "confirm_until", "ends_at", "until", "expires_at", "away_to")
_PEOPLE = ("requested_by", "given_by", "halted_by", "lifted_by", "revoked_by", "decided_by", "withdrawn_by",
           "confirmed_by", "ended_by", "retired_by", "approved_by", "author", "username", "owner")  # fmt: skip
# For machines, or long, or said by the title.
_SILENT = frozenset({"digest", "fingerprint", "evidence_sha256", "capsule_sha256", "command_id", "stream", "user",
                     "inbox_prefix", "path", "previous_until", "event_id", "content", "diff", "revision", "condition",
                     "is_active", "created_at", "changed_at", "key", "id", "endpoint", "detail", "why"})  # fmt: skip
# Of an item, what the reader does not act on.
_OF_AN_ITEM = frozenset(
    [
        "item_id",
        "completion_checked",
        "completed_at",
        "verified_at",
        "sla_hours",
        "episode",
        "opened_at",
        "gate_generated_at",
        "gate_run_id",
        "created_by",
        "updated_by",
        "updated_at",
        "responded_at",
        "due_by_hand",
        "pauses",
        "levels",
        "repeat",
        "reason",
        "completion_note",
    ]
)
_ITEMS = "/api/ops/governance/gate/remediation/tracker/items"


@dataclass(frozen=True, slots=True)
class Told:
    """An event as far as telling needs it. ``summary`` is its declaration's, for events that have no title here."""

    name: str
    data: Data
    site: str
    actor: str
    at: datetime
    event_id: str
    summary: str = ""


def story_of(told: Told, language: Language, zone: tzinfo = UTC, base_url: str = "") -> Message:
    """The built-in message of any event, without its ``body_text`` and ``body_html``."""
    about = _about(told.data)
    kind = _kind(told, about)
    found = title_of(told.name, kind)
    values = _Values(about, told, language)
    severity: Severity = found[0] if found else "info"
    title = (found[2] if language == "ko" else found[1]).format_map(values) if found else _fallback(told, language)
    if told.name in ("tracker.item.opened", "tracker.item.reopened") and not about.get("required", True):
        severity = "warning"
    path = _path(told, about)
    built = Message(
        title=line(title, message.MAX_TITLE),
        where=line(_where(told, about, language), message.MAX_WHERE),
        severity=severity,
        link=line(f"{base_url.rstrip('/')}{path}", message.MAX_LINK) if base_url and path else "",
        language=language,
        dedup_key=_key(told, about),
        event_name=told.name,
    )
    if told.name == "governance.gate.decided":
        return _verdict(built, told, language)
    return _common(built, told, about, language, zone)


def _about(data: Data) -> Data:
    """The data, with the item or the link in it laid open."""
    about = dict(data)
    for name in ("link", "item"):
        inner = data.get(name)
        if isinstance(inner, Mapping):
            about = {**about, **inner}
            about.pop(name, None)
    return about


class _Values(dict[str, str]):
    """Fields for titles: each a short line, and nothing for what is not there."""

    def __init__(self, about: Data, told: Told, language: Language) -> None:
        super().__init__(
            {name: line(value, MAX_VALUE) for name, value in about.items() if isinstance(value, str | int | float)}
        )
        subject, version = self.get("subject", ""), self.get("version", "")
        self["candidate"] = " ".join(one for one in (subject or told.site, version) if one)
        self["place"] = self["candidate"] + (f" ({self['gate']})" if self.get("gate") else "")
        self["service"] = told.name.partition(".")[0]
        self["who"] = line(told.actor, MAX_VALUE)
        self["assignee"] = self.get("assignee") or word("nobody", language)

    def __missing__(self, key: str) -> str:
        return ""


def _kind(told: Told, about: Data) -> str:
    """Which of several things the event tells; empty if it tells only one."""
    name, changed = told.name, told.data.get("changed")
    changes = changed if isinstance(changed, list) else []
    if name == "governance.gate.decided":
        if about.get("decision") == "go":
            return "gate.go_with_warnings" if about.get("status") == "warning" else "gate.go"
        holds = [one.get("kind") for one in _maps(about, "holds")]
        waits = bool(holds) and set(holds) == {"approval"} and not any(_failed(rule) for rule in _maps(about, "rules"))
        return "gate.approval_wanted" if waits else "gate.no_go"
    if name == "tracker.item.updated" and "status" in changes:
        return {"done": "item.claimed", "blocked": "item.blocked"}.get(str(about.get("status")), "")
    if name == "tracker.item.reopened" and changes and "episode" not in changes:
        return "item.refused"  # a claim fell; what was resolved begins an episode
    if name == "tracker.item.assigned" and not about.get("assignee"):
        return "item.released"
    if name == "tracker.escalation.raised":
        due = _time(about.get("due_at"))
        return "escalation.overdue" if due is not None and due <= told.at else ""
    if name == "tracker.board.completed" and about.get("force_used"):
        return "board.forced"
    if name.endswith(".preflight.finished") and about.get("error_count"):
        return "preflight.failed"
    if name.endswith(".job.finished") and about.get("status") in ("warning", "critical", "failed"):
        return f"job.{about['status']}"
    return ""


def _verdict(built: Message, told: Told, language: Language) -> Message:
    """A verdict: why, and a fact for each rule that is not met, with its sentence."""
    rules = _maps(told.data, "rules")
    unmet = [rule for rule in rules if _failed(rule)]
    warned = [rule for rule in rules if rule.get("status") == "warning"]
    shown = [*unmet, *warned]
    facts = [(line(rule.get("id"), message.MAX_LABEL), line(_sentence(rule), message.MAX_FACT)) for rule in shown]
    left = len(facts) - MAX_RULES
    facts = facts[:MAX_RULES]
    if left > 0:
        facts.append((word("more_label", language), word("more", language, count=left)))
    facts += [
        (field_label("hold", language), line(hold.get("message"), message.MAX_FACT))
        for hold in _maps(told.data, "holds")[:5]
    ]
    override = told.data.get("override")
    if isinstance(override, Mapping):
        given = f"{line(override.get('given_by'), 60)}: {line(override.get('reason'), 200)}"
        facts.append((field_label("override", language), given))
    summary = told.data.get("summary")
    if isinstance(summary, Mapping) and isinstance(summary.get("weighted_score_percent"), int | float):
        facts.append((field_label("score", language), f"{summary['weighted_score_percent']:g}"))
    owners = dict.fromkeys(str(rule["owner_role"]) for rule in shown if rule.get("owner_role"))
    why = _joined(told.data.get("reasons")) or (_sentence(shown[0]) if shown else "")
    return replace(
        built,
        why=line(why, message.MAX_WHY),
        who=line(", ".join(owners), message.MAX_WHO),
        facts=tuple(facts[: message.MAX_FACTS]),
    )


def _failed(rule: Data) -> bool:
    return rule.get("status") == "fail"


def _sentence(rule: Data) -> str:
    action = line(rule.get("action"), 120)
    return line(rule.get("message"), 400) + (f" → {action}" if action else "")


def _common(built: Message, told: Told, about: Data, language: Language, zone: tzinfo) -> Message:
    used: set[str] = {*_PLACE, *_SILENT}
    what = ""
    if "action" in about and "rule_id" in about:
        what, used = line(about["action"], message.MAX_WHAT), used | {"action", "rule_id", "rule_status"} | _OF_AN_ITEM
    why = _item_reason(told, about)
    for name in _REASONS if not why else ():
        if why := line(about.get(name), message.MAX_WHY):
            used.add(name)
            break
    why = why or line(_joined(about.get("reasons")) or _joined(about.get("problems")) or _problem(about), 1_000)
    used |= {"reasons", "problems", "problem"}
    due = None
    for name in _DEADLINES:
        if (due := _time(about.get(name))) is not None:
            used.add(name)
            break
    detail = about.get("detail")
    more = detail if isinstance(detail, Mapping) and told.name.endswith(".job.finished") else {}
    if not why and more:
        why = line(more.get("reason"), message.MAX_WHY)
    who, spent = _who(told, about, language)
    return replace(
        built,
        what=what,
        why=why,
        who=line(who, message.MAX_WHO),
        by_when=_in_zone(due, zone),
        facts=tuple(_facts({**about, **more}, used | spent, language, zone)),
    )


def _item_reason(told: Told, about: Data) -> str:
    """Why an escalation tells, and the rule's own sentence; empty for other events."""
    if not told.name.startswith("tracker.escalation.") or "rule_id" not in about:
        return ""
    return line(
        " · ".join(line(about.get(name), 500) for name in ("reason", "why") if about.get(name)), message.MAX_WHY
    )


def _who(told: Told, about: Data, language: Language) -> tuple[str, set[str]]:
    """Who is to act, else who acted; and the fields that say so."""
    targets = _maps(about, "targets")
    if targets:
        names = (line(one.get("name"), 60) + _people(one) for one in targets)
        return ", ".join(names), {"targets", "assignee", "owner_role"}
    if about.get("owner_role") and "rule_id" in about:
        values = {name: line(about.get(name), 120) for name in ("assignee", "owner_role")}
        return word("assignee" if values["assignee"] else "unassigned", language, **values), set(values)
    if told.actor and not told.actor.startswith("service:"):
        actor = line(told.actor, message.MAX_WHO)
        return actor, {name for name in _PEOPLE if about.get(name) == told.actor}
    return next(((line(about[name], 120), {name}) for name in _PEOPLE if about.get(name)), ("", set()))


def _people(target: Data) -> str:
    people = target.get("people")
    named = [line(one, 60) for one in people[:20]] if isinstance(people, list) else []
    return f" ({', '.join(named)})" if named and named != [target.get("name")] else ""


def _facts(about: Data, used: set[str], language: Language, zone: tzinfo) -> Iterator[tuple[str, str]]:
    """The rest of what the data say, as far as a person can read it; without what is empty."""
    found = [
        (field_label(name, language), text)
        for name, value in about.items()
        if name not in used and (text := _shown(name, value, language, zone))
    ]
    yield from found[:MAX_OTHERS]


def _shown(name: str, value: Any, language: Language, zone: tzinfo) -> str:
    if isinstance(value, bool):
        return word(str(value).lower(), language) if value else ""
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        at = _in_zone(_time(value), zone) if name.endswith(("_at", "_from", "_to", "_until", "until")) else None
        return shown_time(at) if at else line(value, message.MAX_FACT)
    if isinstance(value, list) and value and all(isinstance(one, str | int) for one in value[:20]):
        left = len(value) - 20
        more = f" {word('more', language, count=left)}" if left > 0 else ""
        return line(", ".join(line(one, 80) for one in value[:20]), message.MAX_FACT - 20) + more
    return ""


def _where(told: Told, about: Data, language: Language) -> str:
    values = {name: line(about.get(name), MAX_VALUE) for name in _PLACE}
    values["site"] = values["site"] or told.site
    if not values["gate"] and not values["subject"]:  # a version of something else, such as of a document
        values["version"] = values["line"] = ""
    return ", ".join(f"{field_label(name, language)} {text}" for name, text in values.items() if text)


def _fallback(told: Told, language: Language) -> str:
    if language == "en":
        return told.summary or word("event", language, name=told.name)
    _, noun, verb = (*told.name.split("."), "", "")[:3]
    return f"{noun.replace('_', ' ')}: {word(verb, language)}" if has(verb) else word("event", language, name=told.name)


def _path(told: Told, about: Data) -> str:
    """Where in the API the thing is shown; empty if nowhere."""
    service, noun, _ = (*told.name.split("."), "", "")[:3]
    site = f"?site={quote(told.site, safe='')}"

    def part(name: str) -> str:
        return quote(line(about.get(name), MAX_VALUE), safe="")

    if noun == "gate" and (run := part("run_id") or part("revoked_run_id")):
        return f"/api/gates/{part('gate')}/runs/{run}/explanation{site}"
    if noun == "approval":
        about_what = f"&subject={part('subject')}&version={part('version')}"
        return f"/api/gates/{part('gate')}/approvals{site}{about_what}"
    if service == "tracker" and noun in ("item", "escalation", "comment", "link"):
        item = about["id"] if {"id", "rule_id"} <= about.keys() else about.get("item_id")
        return f"{_ITEMS}/{quote(str(item), safe='')}{site}"
    for noun_of, name, path in (
        ("deadletter", "letter_id", f"/api/dead-letters/{service}"),
        ("waiver", "waiver_id", "/api/waivers"),
        ("baseline", "accepted_id", "/api/baselines"),
        ("subscription", "subscription_id", "/api/subscriptions"),
        ("signal", "signal_id", "/api/signals"),
    ):
        if noun == noun_of and part(name):
            return f"{path}/{part(name)}{site}"
    lists = {"line": "/api/halts", "override": "/api/overrides", "label": "/api/labels", "job": "/api/ops/job-runs"}
    return lists[noun] + site if noun in lists else ""


def _key(told: Told, about: Data) -> str:
    """What the trouble is called: a verdict's is its line, an item's its episode; any other event's is its own."""
    service, noun, _ = (*told.name.split("."), "", "")[:3]

    def of(*parts: object) -> str:
        return ":".join(line(one, 60) for one in ("headgate", told.site, *parts))

    if noun == "gate" or (noun == "approval" and told.name.endswith("granted")):
        return of("gate", about.get("gate"), about.get("subject"), about.get("line"))
    if "rule_id" in about and "episode" in about:
        return of("item", about.get("id"), about.get("episode"))
    if noun == "escalation" and "episode" in about:
        return of("item", about.get("item_id"), about.get("episode"))
    if noun == "job":
        return of("job", about.get("job_name"))
    numbered = {"deadletter": "letter_id", "line": "halt_id", "override": "override_id", "waiver": "waiver_id",
                "subscription": "subscription_id"}  # fmt: skip
    if noun in numbered and about.get(numbered[noun]) is not None:
        return of(service, noun, about[numbered[noun]])
    return of("event", told.event_id)


def _maps(data: Data, name: str) -> list[Data]:
    value = data.get(name)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _joined(value: Any) -> str:
    """The sentences of a list, of which some may stand in objects, as those of rules and checks do."""
    if not isinstance(value, list):
        return ""
    return " ".join(_sentence(one) if isinstance(one, Mapping) else line(one, 400) for one in value[:10])


def _problem(about: Data) -> str:
    problem = about.get("problem")
    return str(problem.get("detail") or problem.get("title") or "") if isinstance(problem, Mapping) else ""


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _in_zone(at: datetime | None, zone: tzinfo) -> datetime | None:
    try:
        return at.astimezone(zone) if at else None
    except (OverflowError, ValueError):
        return at
