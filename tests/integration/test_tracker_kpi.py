"""KPIs: what the sums say is what a count of everything says, whatever happened and whenever it was folded."""

from __future__ import annotations

import contextlib
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from libs.common import job_runs
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Nothing
from libs.common.contracts.governance.runs import RuleStatus
from libs.common.contracts.tracker.clocks import DueBody, PauseBody, ResumeBody, move_due, pause_item, resume_item
from libs.common.contracts.tracker.items import Item, ItemPatch, patch_item
from libs.common.contracts.tracker.kpi import KPI_JOB, KpiRun, KpiWindow, SeriesFilter, run_kpi
from libs.common.contracts.tracker.retirement import Retire, retire_board
from libs.common.contracts.tracker.sla import SLA_RULES, SlaRule, SlaRules
from libs.common.contracts.versions import Publication
from libs.common.ids import uuid7
from libs.common.problems import Conflict, NotFound
from libs.common.service import JobDone, Tx
from services.tracker import kpi
from services.tracker.domain.kpi import day_of, hour_of
from services.tracker.sla import standing
from tests.integration.tracker_desk import START, Desk
from tests.plans import generic_plan, nodes
from tests.stack import Stack

RULES = ("a", "b", "c", "d", "e")
STATES: tuple[RuleStatus, ...] = ("fail", "fail", "warning", "pass")


async def fold(desk: Desk) -> None:
    async with desk.pool.acquire() as connection, connection.transaction():
        await kpi.fold(Tx("tracker", connection, CloudEvent(str(uuid7()), "/x", "x", site=desk.site), desk.now))


async def something(desk: Desk, rng: random.Random, *, retiring: bool = True) -> None:
    """One thing that happens to the board."""
    items = list((await desk.items()).values())
    if not items or rng.random() < 0.4:
        gate = rng.choice(("operations", "release"))
        await desk.decided({rule: rng.choice(STATES) for rule in RULES if rng.random() < 0.8}, gate=gate)
        return
    if retiring and rng.random() < 0.1:
        with contextlib.suppress(NotFound, Conflict):
            await desk.order(retire_board, Retire(gate="release", subject="site", reason="gone"))
    item = rng.choice(items)
    if item.is_active and rng.random() < 0.4:
        await something_with_a_clock(desk, rng, item)
        return
    change = rng.choice(({"status": "done"}, {"status": "blocked"}, {"assignee": rng.choice(("ann", "bob", ""))}))
    if item.is_active or "assignee" in change:
        await desk.order(patch_item, ItemPatch.model_validate({"item_id": item.id, **change}))


async def something_with_a_clock(desk: Desk, rng: random.Random, item: Item) -> None:
    if rng.random() < 0.3:
        due = desk.now + timedelta(hours=rng.choice((0, 3.3, 40))) if rng.random() < 0.7 else None
        await desk.order(move_due, DueBody(item_id=item.id, due_at=due, reason="a test"))
    elif item.paused_at is None:
        await desk.order(pause_item, PauseBody(item_id=item.id, reason="a test"))
    else:
        await desk.order(resume_item, ResumeBody(item_id=item.id))


async def without_sla(desk: Desk, *rules: str) -> None:
    content = SlaRules(rules=[SlaRule(sla_hours=None, rule_id=rule) for rule in rules])
    await desk.order(SLA_RULES.publish, Publication[SlaRules](content=content, reason="a test"))


async def counted(desk: Desk, window_days: int, due_soon_hours: int) -> dict[str, Any]:
    """The metrics by counting every item, in the slowest way."""
    items = [*(await desk.items()).values(), *(await desk.items(gate="release")).values()]
    active = [item for item in items if item.is_active]
    still = [item for item in active if item.status != "done"]
    running = [item.due_at for item in still if item.due_at is not None and item.paused_at is None]
    since = desk.now - timedelta(days=window_days)
    until = desk.now + timedelta(hours=due_soon_hours)
    done = [item for item in items if item.completed_at and since <= item.completed_at]
    ages = sorted((desk.now - item.opened_at).total_seconds() / 3600 for item in still)
    middle = len(ages) // 2
    median = None if not ages else (ages[middle] + ages[~middle]) / 2
    statuses = Counter(item.status for item in active)
    return {
        "total_items": len(items),
        "active_items": len(active),
        "open_items": len(still),
        "pending_count": statuses["pending"],
        "in_progress_count": statuses["in_progress"],
        "done_count": statuses["done"],
        "blocked_count": statuses["blocked"],
        "completion_rate_percent": round(100 * statuses["done"] / len(active)) if active else 100,
        "critical_open_count": sum(item.rule_status == "fail" and item.required for item in still),
        "unassigned_open_count": sum(item.assignee is None for item in still),
        "overdue_count": sum(due < desk.now for due in running),
        "due_soon_count": sum(desk.now <= due < until for due in running),
        "done_last_window_count": len(done),
        "throughput_per_day": round(len(done) / window_days, 2),
        "avg_open_age_hours": round(sum(ages) / len(ages), 1) if ages else None,
        "median_open_age_hours": None if median is None else round(median, 1),
        "oldest_open_age_hours": round(ages[-1], 1) if ages else None,
    }


async def stood(desk: Desk, due_soon_hours: int, gate: str | None) -> dict[str, Any]:
    """How the items of a site or of a gate stand, counted one by one."""
    every = [*(await desk.items()).values(), *(await desk.items(gate="release")).values()]
    active = [item for item in every if item.is_active and gate in (None, item.gate)]
    still = [item for item in active if item.status != "done"]
    running = [item.due_at for item in still if item.due_at and item.paused_at is None]
    until = desk.now + timedelta(hours=due_soon_hours)
    far = datetime.max.replace(tzinfo=UTC)
    by_risk = sorted(still, key=lambda one: (one.priority, one.due_at or far, one.id))
    return {
        "total_items": len(active),
        "open_items": len(still),
        "done_count": len(active) - len(still),
        "overdue_count": sum(due < desk.now for due in running),
        "due_soon_count": sum(desk.now <= due <= until for due in running) if due_soon_hours else 0,
        "critical_open_count": sum(item.rule_status == "fail" and item.required for item in still),
        "unassigned_open_count": sum(item.assignee is None for item in still),
        "paused_count": sum(item.paused_at is not None for item in still),
        "no_sla_count": sum(item.due_at is None and item.paused_at is None for item in still),
        "held": Counter(item.assignee or "unassigned" for item in still),
        "risk": [item.id for item in by_risk[:10]],
    }


def alike(figures: dict[str, Any], recount: dict[str, Any]) -> bool:
    """Ages may differ in their last place by rounding."""
    return all(
        figures[name] == want or (want is not None and name.endswith("_hours") and abs(figures[name] - want) <= 0.11)
        for name, want in recount.items()
    )


@pytest.mark.parametrize("seed", range(4))
async def test_the_sums_equal_a_recount_at_every_moment(desk: Desk, seed: int) -> None:
    rng = random.Random(seed)
    desk.now += timedelta(minutes=13, microseconds=77)
    await without_sla(desk, "e")
    for _ in range(45):
        await something(desk, rng)
        desk.later(rng.choice((0.0, 0.3, 2.7, 9.0, 31.0)))
        if rng.random() < 0.2:
            await fold(desk)
        window_days, due_soon_hours = rng.choice(((1, 0), (3, 7), (14, 24), (180, 168)))
        wanted = KpiWindow(window_days=window_days, due_soon_hours=due_soon_hours)
        found = await kpi.get_kpi(desk.read(), wanted)
        recount = await counted(desk, window_days, due_soon_hours)
        assert alike(found.metrics.model_dump(), recount), (found.metrics, recount)
        assert sum(found.assignee_open_counts.values()) == found.metrics.open_items
        for gate in (None, "operations", "release"):
            async with desk.pool.acquire() as connection:
                shown = await standing(connection, desk.site, desk.now, due_soon_hours, gate)
            more = {"held": shown.assignee_open_counts, "risk": [one.id for one in shown.top_risk_items]}
            stands = shown.metrics.model_dump() | more
            wanted_counts = await stood(desk, due_soon_hours, gate)
            assert {name: stands[name] for name in wanted_counts} == wanted_counts


async def test_a_day_of_the_series_is_what_happened_on_it(desk: Desk) -> None:
    await desk.decided({"a": "fail", "b": "fail", "c": "warning"})  # 09:00
    desk.later(2)
    items = await desk.items()
    await desk.order(patch_item, ItemPatch(item_id=items["a"].id, assignee="ann"))  # first response after 2 h
    desk.later(1)
    await desk.order(patch_item, ItemPatch(item_id=items["a"].id, status="done"))  # claimed after 3 h, due after 4
    desk.later(5)
    await desk.decided({"a": "pass", "b": "fail", "c": "warning"})  # confirmed after 8 h
    desk.later(24)
    await desk.decided({"a": "fail", "b": "pass", "c": "warning"})  # b passes after 32 h, a opens again
    await desk.order(patch_item, ItemPatch(item_id=items["c"].id, status="done"))
    desk.later(1)
    await desk.decided({"a": "fail", "c": "warning"})  # the claim for c is refused
    await fold(desk)
    first, second = (await kpi.get_series(desk.read(), SeriesFilter(days=2))).days
    assert first.model_dump() == {
        "day": START.date(), "backlog": 2, "opened_count": 3, "reopened_count": 0, "refused_count": 0,
        "resolved_count": 1, "mttr_hours": 8.0, "lead_hours": 3.0, "first_response_hours": 2.0, "sla_met_count": 1,
        "sla_missed_count": 0, "sla_hit_percent": 100.0, "reopened_percent": 0.0,
    }  # fmt: skip
    assert (second.backlog, second.resolved_count, second.mttr_hours, second.first_response_hours) == (2, 1, 32.0, 32.0)
    assert (second.reopened_count, second.refused_count, second.reopened_percent) == (1, 1, 100.0)
    assert (second.sla_met_count, second.sla_missed_count, second.sla_hit_percent) == (0, 1, 0.0)
    one = await kpi.get_series(desk.read(), SeriesFilter(days=2, rule_id="c"))
    assert ([day.backlog for day in one.days], one.by_rule) == ([1, 1], {"c": 1})
    none = await kpi.get_series(desk.read(), SeriesFilter(days=1, owner_role="Nobody"))
    assert (none.days[0].backlog, none.by_role, none.days[0].mttr_hours) == (0, {}, None)


async def test_a_run_keeps_the_figures_and_latest_reads_them(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await kpi.latest_kpi(desk.read(), Nothing())
    await desk.decided({"a": "fail"})
    desk.later(200)
    applied = await desk.order(run_kpi, KpiWindow(window_days=7, due_soon_hours=0))
    assert applied.ended[0].http_status == 200
    found = KpiRun.model_validate_json(await kpi.latest_kpi(desk.read(), Nothing()))
    assert (found.job_name, found.trigger, found.status, found.window_days) == (KPI_JOB, "api", "critical", 7)
    assert (found.metrics.overdue_count, found.metrics.due_soon_count) == (1, 0)
    assert found.recommendations == [
        "1 item is without an assignee: run the auto-assignment.",
        "1 item is overdue: run the escalation.",
        "Nothing was completed in the window: share the work out anew.",
    ]
    [item] = found.top_overdue_items
    assert (item.rule_id, item.overdue_hours) == ("a", 196.0), "due after 4 hours"
    desk.later(1)
    message = CloudEvent(str(uuid7()), "/x", "x", site=desk.site, actor="service:tracker")
    async with desk.pool.acquire() as connection, connection.transaction():
        tx = Tx("tracker", connection, message, desk.now)
        await job_runs.record(tx, KPI_JOB, JobDone("failed", {"reason": "no luck"}), trigger="schedule")
    newest = orjson.loads(await kpi.latest_kpi(desk.read(), Nothing()))
    assert (newest["status"], newest["reason"]) == ("failed", "no luck")


async def test_the_backlog_is_read_from_the_newest_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kpi, "MAX_POINTS", 3)
    for count in (9, 8, 5, 6, 4):
        desk.later(1)
        async with desk.pool.acquire() as connection, connection.transaction():
            tx = Tx("tracker", connection, CloudEvent(str(uuid7()), "/x", "x", site=desk.site), desk.now)
            name = "ops_governance_remediation_escalation" if count % 2 else KPI_JOB
            detail = (
                {"snapshot": {"metrics": {"open_items": count}}} if count % 2 else {"metrics": {"open_items": count}}
            )
            await job_runs.record(tx, name, JobDone("success", detail))
    history = (await kpi.get_kpi(desk.read(), KpiWindow())).backlog_history
    assert ([point.open_items for point in history.points], history.trend) == ([5, 6, 4], "down")


async def test_without_a_deadline_an_item_is_neither_met_nor_missed_and_a_paused_one_not_late(desk: Desk) -> None:
    await without_sla(desk, "a")
    await desk.decided({"a": "fail", "b": "fail", "c": "fail"})
    desk.later(1)
    items = await desk.items()
    await desk.order(pause_item, PauseBody(item_id=items["b"].id, reason="waits for a vendor"))
    desk.later(40)
    found = await kpi.get_kpi(desk.read(), KpiWindow(due_soon_hours=168))
    assert (found.metrics.overdue_count, found.metrics.due_soon_count) == (1, 0)
    assert [item.rule_id for item in found.top_overdue_items] == ["c"]
    await desk.decided({"a": "pass", "b": "pass", "c": "pass"})
    [_, today] = (await kpi.get_series(desk.read(), SeriesFilter(days=2))).days
    assert (today.resolved_count, today.sla_met_count, today.sla_missed_count) == (3, 1, 1)


async def test_nothing_on_a_board_is_no_figure(desk: Desk) -> None:
    found = await kpi.get_kpi(desk.read(), KpiWindow())
    assert (found.metrics.total_items, found.metrics.avg_open_age_hours, found.backlog_history.trend) == (
        0,
        None,
        "flat",
    )
    assert found.recommendations == ["Stable: keep the policy as it is."]


async def test_items_of_before_are_counted_when_the_sums_are_made(desk: Desk) -> None:
    rng = random.Random(99)
    await without_sla(desk, "d")
    for _ in range(30):
        await something(desk, rng, retiring=False)
        desk.later(rng.choice((0.5, 7.0)))
    await desk.decided({"a": "fail", "d": "fail"}, gate="third")
    waits = (await desk.items(gate="third"))["a"]
    await desk.order(pause_item, PauseBody(item_id=waits.id, reason="waits for a vendor"))
    desk.later(9)
    before = await kpi.get_kpi(desk.read(), KpiWindow())
    series = await kpi.get_series(desk.read(), SeriesFilter(days=30))
    async with desk.pool.acquire() as connection, connection.transaction():
        await connection.execute("DELETE FROM kpi_total")
        await connection.execute("DELETE FROM kpi_delta")
        await connection.execute(fill_of_the_migration())
    after = await kpi.get_kpi(desk.read(), KpiWindow())
    assert after == before
    again = await kpi.get_series(desk.read(), SeriesFilter(days=30))
    names = ("opened_count", "reopened_count", "resolved_count", "mttr_hours", "sla_met_count", "sla_missed_count")
    assert [[getattr(day, name) for name in names] for day in again.days] == [
        [getattr(day, name) for name in names] for day in series.days
    ]
    assert again.days[-1].backlog == series.days[-1].backlog


def fill_of_the_migration() -> str:
    """The statements of the migrations that count what there is."""
    from importlib import resources

    folder = resources.files("services.tracker") / "migrations"
    texts = ((folder / name).read_text() for name in ("0006_kpi.sql", "0011_kpi_due_on.sql", "0012_clocks_counted.sql"))
    return "\n".join(one for text in texts for one in re.findall(r"^INSERT INTO kpi_total.*?;$", text, re.M | re.S))


@pytest.mark.parametrize(
    "name",
    ["LOOK", "SUMS_BY_BUCKET", "SUMS_BY_OWNER", "NTH_OPENED", "TOP_OVERDUE", "BACKLOG"],
)
async def test_no_figure_is_read_by_a_scan(tracker_url: str, name: str) -> None:
    connection = await asyncpg.connect(tracker_url, server_settings={"search_path": "tracker"})
    try:
        await connection.execute("SET enable_seqscan = off")
        kinds = [node["Node Type"] for node in nodes(await generic_plan(connection, getattr(kpi, name)))]
    finally:
        await connection.close()
    assert not [kind for kind in kinds if "Seq Scan" in kind], kinds


MANY_SUMS = """
INSERT INTO tracker.kpi_total (site, measure, bucket, gate, owner_role, rule_id, assignee, amount)
SELECT 'global', measure, timestamptz '2026-01-01 00:00Z' + n * interval '1 hour', 'release', 'Ops Lead', 'rule', '', 1
FROM unnest(ARRAY['due', 'due_on', 'completed', 'resolved', 'opened']) AS measure, generate_series(1, 4000) AS n;
ANALYZE tracker.kpi_total
"""


async def test_the_figures_of_a_moment_read_only_the_days_and_hours_that_they_need(stack: Stack) -> None:
    admin = await stack.superuser()
    try:
        await admin.execute(MANY_SUMS)
    finally:
        await admin.close()
    url = stack.settings("tracker").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "tracker"})
    try:
        await connection.execute("SET enable_seqscan = off")
        found = nodes(await generic_plan(connection, kpi.LOOK))
        nth = nodes(await generic_plan(connection, kpi.NTH_OPENED))
    finally:
        await connection.close()
    sums = " ".join(node["Index Cond"] for node in found if node.get("Index Name") == "kpi_total_pkey")
    for measure, bounds in {
        "completed": ("(bucket >= $4)",),
        "due_on": ("(bucket < $10)",),
        "due": ("(bucket >= $10)", "(bucket < $6)"),
    }.items():
        wanted = " AND ".join((f"(measure = '{measure}'::text)", *bounds))
        assert wanted in sums, (measure, sums)
    whole = {node["Index Name"]: node["Node Type"] for node in (*found, *nth) if node.get("Relation Name") == "item"}
    for index in ("item_completed", "item_open_since"):
        assert whole[index] == "Index Only Scan", "many rows: without a look at each in the table"


def test_times_are_in_utc() -> None:
    at = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    assert day_of(at).isoformat() == "2026-03-01T00:00:00+00:00"
    assert hour_of(at).isoformat() == "2026-03-01T23:00:00+00:00"
