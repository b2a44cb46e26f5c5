"""Every event that tells of an update says from what to what; the log shows it as it stands (docs/audit-log.md)."""

from __future__ import annotations

from collections.abc import Iterator

from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Event, Open
from libs.common.contracts.changes import Changed, FieldChange, told_of

# Verbs of events about something that was not there before, or that only happened: nothing has another value since.
NEW = frozenset(
    [
        "added",
        "aging",
        "backtest_begun",
        "breached",
        "buried",
        "checked",
        "counted",
        "created",
        "dropped",
        "ending",
        "expiring",
        "failed",
        "finished",
        "gapped",
        "given",
        "granted",
        "halted",
        "idling",
        "ignored",
        "issued",
        "made",
        "previewed",
        "probed",
        "raised",
        "recorded",
        "refused",
        "repeated",
        "replayed",
        "reported",
        "requested",
        "retried",
        "rolled_over",
        "seen",
        "synced",
        "tested",
        "witnessed",
    ]
)
_EACH_ITEM = "what changed of an item is told by that item's own event"
_GONE = "the row is gone: that it was there and is not is all there is to tell"
_NEW_ROW = "a new row that nobody changes: nothing had another value before"
# Of other verbs, and still without `changes`: why.
EXCEPTIONS: dict[str, str] = {
    "audit.bodies.erased": "bodies of many entries went; it counts them, and their digests stay",
    "gateway.user.erased": "what was personal is gone, and is not told once more",
    "gateway.tokens.revoked": "each token's own event tells it",
    "gateway.login.reused": "it only happened; that the session has ended is told by its own event",
    "gateway.password.invited": _NEW_ROW,
    "gateway.password.removed": _GONE,
    "gateway.second_factor.confirmed": _NEW_ROW,
    "gateway.second_factor.due": "a warning: nothing has changed yet",
    "gateway.second_factor.recovered": "how many are left is told; one of many is gone",
    "gateway.second_factor.removed": _GONE,
    "gateway.role.removed": _GONE,
    "gateway.team.removed": _GONE,
    "gateway.session.opened": _NEW_ROW,
    "gateway.sign_in.due": "a warning: nothing has changed yet",
    "gateway.sign_in.left": "each session's own event tells it",
    "gateway.sign_in.linked": _NEW_ROW,
    "gateway.sign_in.turned_away": "each session's and token's own event tells it",
    "governance.approval.declined": _NEW_ROW,
    "governance.exception.spent": _NEW_ROW,
    "governance.fact.retired": _NEW_ROW,
    "governance.gate.decided": _NEW_ROW,
    "governance.gate.revoked": _NEW_ROW,
    "governance.policies.approved": _NEW_ROW,
    "governance.policies.backtested": "a count that goes on until it is done, which job it is says the event before",
    "notifier.circuit.closed": "of two states the name says both",
    "notifier.circuit.opened": "of two states the name says both",
    "notifier.escalation.delivered": "an answer to one attempt",
    "notifier.keys.rewrapped": "the secrets are what they were; it counts them and names the key",
    "notifier.recovery.asked": _NEW_ROW,
    "tracker.board.completed": _EACH_ITEM,
    "tracker.board.reopened": _EACH_ITEM,
    "tracker.board.retired": _EACH_ITEM,
    "tracker.bulk.patched": _EACH_ITEM,
    "tracker.calendar.applied": _EACH_ITEM,
    "tracker.escalation.unreached": "an answer to one attempt",
    "tracker.link.removed": _GONE,
}


class Row(Open):
    """Something that events of these tests tell of."""

    name: str
    secret: str
    at: int
    kept: str


class RowChanged(Row, Changed):
    """It, with what changed."""


def events() -> Iterator[Event]:
    for contract in CONTRACTS.values():
        yield from (one for one in contract.by_name.values() if isinstance(one, Event))


def states_changes(event: Event) -> bool:
    field = event.data.model_fields.get("changes")
    return field is not None and field.annotation == list[FieldChange]


def test_an_update_says_from_what_to_what() -> None:
    silent = {one.name for one in events() if not states_changes(one) and one.name.rpartition(".")[2] not in NEW}
    assert silent - EXCEPTIONS.keys() == set(), "give them `changes` (libs/common/contracts/changes.py)"
    assert EXCEPTIONS.keys() - silent == set(), "these need no exception"


def test_no_verb_is_listed_that_no_event_has() -> None:
    assert {one.name.rpartition(".")[2] for one in events()} >= NEW


def test_a_masked_field_is_told_without_its_values() -> None:
    before = {"name": "a", "secret": "s1", "at": 1, "more": 0}
    view = Row(name="b", secret="s2", at=2, kept="k")
    told = told_of(RowChanged, view, before, masked=("secret",), unstated=("at",))
    assert [one.model_dump() for one in told.changes] == [
        {"field": "name", "before": "a", "after": "b", "masked": False},
        {"field": "secret", "before": None, "after": None, "masked": True},
    ]
    assert (told.name, told.kept) == ("b", "k")
    assert told_of(RowChanged, view, view.model_dump()).changes == []
