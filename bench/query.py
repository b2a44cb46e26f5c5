"""Questions a second through the gateway, beside a plain FastAPI endpoint with asyncpg that has nothing of it."""

from __future__ import annotations

import secrets

from bench.figures import Figure, Report
from bench.lab import BenchError, Lab, Space
from bench.load import Load, listening, load, one
from deploy.embedded import free_port

ROUNDS = 5
ITEMS = 1_000
SITES = 10
TRACKER = "/api/ops/governance/gate/remediation/tracker"
PATHS = {
    "list of 20 items": (f"{TRACKER}/items?limit=20", "/items?limit=20"),
    "list of 10 sites": ("/api/sites", "/sites"),
}
INSERT_BOARD = """
INSERT INTO tracker.board (gate, site, subject, created_at, run_number, run_id, version, decision, decided_at)
VALUES ('operations', 'global', 'site', now(), 1, 1, '', 'no_go', now()) ON CONFLICT DO NOTHING
"""
INSERT_ITEMS = """
INSERT INTO tracker.item (item_id, gate, site, subject, version, rule_id, rule_status, required, priority, owner_role,
    sla_hours, due_at, action, reason, detail, status, completion_checked, completion_note, is_active, episode,
    opened_at, gate_generated_at, gate_run_id, created_by, updated_by, created_at, updated_at)
SELECT 'operations/' || n, 'operations', 'global', 'site', '', 'rule_' || n, 'fail', true, n % 5, 'Ops Lead',
    4, now() + n * interval '1 second', 'Mend what the rule found', 'The rule saw 3 where 0 is wanted',
    '{"observed": 3, "wanted": 0}', 'pending', false, '', true, 1, now(), now(), 1, 'bench', 'bench', now(), now()
FROM generate_series($1::bigint, $2::bigint) AS n
"""
INSERT_SITES = "INSERT INTO gateway.sites (site, title) SELECT 'site-' || n, 'Site ' || n FROM generate_series(2, $1) n"


def gateway(space: Space, token: str = "", **more: str) -> tuple[int, str]:
    """Start a gateway; its port and the first owner's token. Its rate limit is raised out of the way."""
    port, token = free_port(), token or "hg_" + secrets.token_urlsafe(32)
    space.service(
        "gateway",
        HEADGATE_HTTP_PORT=str(port),
        HEADGATE_BOOTSTRAP_TOKEN=token,
        HEADGATE_REQUESTS_PER_MINUTE="1000000000",
        **more,
    )
    return port, token


async def run(lab: Lab, report: Report) -> None:
    """The same load on both, in turns."""
    async with lab.space(["tracker"]) as space:
        await space.database.execute(INSERT_BOARD)
        await space.database.execute(INSERT_ITEMS, 1, ITEMS)
        await space.database.execute(INSERT_SITES, SITES)
        await space.database.execute("ANALYZE")
        port, token = gateway(space)
        plain = free_port()
        space.raw("plain_app", {"name": "plain", "database_url": space.database_url, "port": plain})
        await listening(space, port)
        await listening(space, plain)
        await space.subscribed(space.topology.commands_stream, "tracker-commands")
        for name, (path, plain_path) in PATHS.items():
            if await one(port, token, "GET", path) != await one(plain, "", "GET", plain_path):
                raise BenchError(f"{name}: the two answers differ")
            mine: list[Load] = []
            theirs: list[Load] = []
            for number in range(ROUNDS):
                turns = [(mine, port, path, token), (theirs, plain, plain_path, "")]
                for found, where, what, secret in turns if number % 2 else reversed(turns):
                    found.append(await load(space, where, what, secret))
            _tell(report, name, mine, theirs)


def _tell(report: Report, name: str, mine: list[Load], theirs: list[Load]) -> None:
    peer = "plain FastAPI + asyncpg"
    rates = tuple(one.rate for one in mine), tuple(one.rate for one in theirs)
    report.figures.append(Figure("query", f"gateway, {name}", "queries/s", rates[0], peer, rates[1], 1.0))
    for part in ("p50_ms", "p99_ms"):
        values = tuple(getattr(one, part) for one in mine), tuple(getattr(one, part) for one in theirs)
        label = f"gateway, {name}, {part[:3]} under load"
        report.figures.append(Figure("query", label, "ms", values[0], peer, values[1], lower_is_better=True))
