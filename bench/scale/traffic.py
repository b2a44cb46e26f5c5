"""The traffic that is measured: reports that come in, verdicts, lists and changes of items, alone and mixed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from bench.lab import Space
from bench.load import Client, one
from bench.query import TRACKER
from bench.rules import HEAD, RULE
from bench.rules import KINDS as FACTS

KINDS = ("signal", "verdict", "items", "patch")
# Of 20 requests: what a busy day of releases looks like from outside. Spread, so that every second has all of them.
MIX = (
    "signal", "items", "signal", "signal", "patch", "signal", "items", "signal", "verdict", "signal",
    "signal", "items", "signal", "signal", "patch", "signal", "items", "signal", "verdict", "signal",
)  # fmt: skip
SUBJECTS, BOARDS, ITEMS_OF_A_BOARD = 200, 200, 5
INSERT_SITES = "INSERT INTO gateway.sites (site, title) SELECT 'site-' || n, 'Site ' || n FROM generate_series(1, $1) n"
INSERT_BOARDS = """
INSERT INTO tracker.board (gate, site, subject, created_at, run_number, run_id, version, decision, decided_at)
SELECT 'operations', 'site-' || n, 'site', now(), 1, n, '', 'no_go', now() FROM generate_series(1, $1) AS n
"""
INSERT_ITEMS = """
INSERT INTO tracker.item (item_id, gate, site, subject, version, rule_id, rule_status, required, priority, owner_role,
    sla_hours, due_at, action, reason, detail, status, completion_checked, completion_note, is_active, episode,
    opened_at, gate_generated_at, gate_run_id, created_by, updated_by, created_at, updated_at)
SELECT 'operations/' || rule, 'operations', 'site-' || n, 'site', '', 'rule_' || rule, 'fail', true, rule, 'Ops Lead',
    4, now() + n * interval '1 second', 'Mend what the rule found', 'The rule saw 3 where 0 is wanted',
    '{"observed": 3, "wanted": 0}', 'pending', false, '', true, 1, now(), now(), n, 'bench', 'bench', now(), now()
FROM generate_series(1, $1) AS n, generate_series(1, $2) AS rule
"""


class Request(NamedTuple):
    """What a connection sends."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"


def policy() -> str:
    """The gate's policy: a rule for each kind of fact."""
    rules = (
        RULE.format(number=number, kind=kind, scope="version", when=json.dumps(when))
        for number, (kind, (_, when)) in enumerate(FACTS.items())
    )
    return HEAD.format(name="carried", mode="version") + "".join(rules)


def request(kind: str, number: int, run: str, items: Sequence[str]) -> Request:
    """The ``number``-th request of a kind; ``run`` keeps the ids of one measurement apart from all others."""
    subject = f"app-{number % SUBJECTS}"
    if kind == "signal":
        fact = list(FACTS)[number // SUBJECTS % len(FACTS)]
        event = {
            "specversion": "1.0", "id": f"{run}-{number}", "source": "/bench", "type": fact, "subject": subject,
            "version": "1", "data": FACTS[fact][0],
        }  # fmt: skip
        return Request("POST", "/api/signals", json.dumps(event).encode(), "application/cloudevents+json")
    if kind == "verdict":
        return Request("POST", "/api/gates/carried/runs", json.dumps({"subject": subject, "version": "1"}).encode())
    if kind == "items":
        return Request("GET", f"{TRACKER}/items?limit=20&site=site-{number % BOARDS + 1}")
    note = {"completion_note": f"note {number} of {run}"}
    return Request("PATCH", items[number % len(items)], json.dumps(note).encode())


async def prepare(space: Space, port: int, token: str) -> list[str]:
    """Boards and items, a policy, and a fact of each kind for each subject; the items' addresses, neighbours apart."""
    await space.database.execute(INSERT_SITES, BOARDS)
    await space.database.execute(INSERT_BOARDS, BOARDS)
    await space.database.execute(INSERT_ITEMS, BOARDS, ITEMS_OF_A_BOARD)
    said = {"content": policy(), "reason": "To be measured"}
    await one(port, token, "PUT", "/api/policies/carried", json.dumps(said).encode())
    client = await Client.connect(port, token)
    try:
        for number in range(SUBJECTS * len(FACTS)):
            await client.request(*request("signal", number, "prepared", ()))
    finally:
        client.close()
    await space.database.execute("ANALYZE")
    rows = await space.database.fetch("SELECT id, site FROM tracker.item ORDER BY rule_id, site")
    return [f"{TRACKER}/items/{row['id']}?site={row['site']}" for row in rows]
