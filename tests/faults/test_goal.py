"""From nothing to GO: a fresh installation lives through a week, three commands are given, and the gate opens.

Real processes, with a clock that begins eight days back and is set on day by day, so that what the commands find at the
end is now. Then each thing that a rule watches is really broken, and the rule says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx2
import nats
import pytest
from nats.js.api import StreamConfig

from deploy.demo.clocked import program
from deploy.local import LocalStack
from libs.common.contracts import SERVICES
from tests.local_traffic import client

pytestmark = pytest.mark.faults
DAYS = 8
WAIT_S = 60.0
TOOL = Path(sys.executable).with_name("headgate")
GATE = "/api/ops/governance/gate"
# A tick every second, so that a day that has come is seen at once.
QUICK = json.dumps(
    {f"{service}.prune": "* * * * * *" for service in SERVICES} | {"operations.security_watch": "*/5 * * * * *"}
)


@dataclass
class House:
    """A running installation, its clock, its tool and the owner's client."""

    stack: LocalStack
    clock: Path
    http: httpx2.Client

    @property
    def environment(self) -> dict[str, str]:
        """What services start with from now on."""
        return cast("dict[str, str]", self.stack.options.environment)

    def set_clock(self, hours: float) -> None:
        """So many hours ahead of this machine."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(hours))
        new.replace(self.clock)

    def tool(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``headgate …`` as the owner, on this installation's machine."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
        named = {
            "HEADGATE_URL": self.stack.gateway_url,
            "HEADGATE_TOKEN": self.stack.token,
            "HEADGATE_DATA_DIR": str(self.stack.data_dir),
            "XDG_CONFIG_HOME": str(self.stack.data_dir / "config"),
        }
        return subprocess.run(
            [TOOL, *words], env=kept | named, capture_output=True, text=True, timeout=240, check=False
        )

    def does(self, *words: str, code: int = 0) -> str:
        """What the tool prints, if it ends with this code."""
        done = self.tool(*words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def until(self, what: str, seen: Callable[[], Any]) -> Any:
        """What ``seen`` answers, once that is true."""
        deadline = time.monotonic() + WAIT_S
        while not (found := seen()):
            assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s: {what}"
            time.sleep(0.2)
        return found

    def runs(self, job: str) -> list[dict[str, Any]]:
        """The runs of a job of the operations service, newest first."""
        found: list[dict[str, Any]] = self.http.get("/api/ops/job-runs", params={"job_name": job}).json()
        return found

    def has_checks(self, count: int) -> bool:
        """Whether so many daily checks have been made."""
        return len(self.runs("ops_daily_check")) >= count

    def gate(self) -> dict[str, Any]:
        """A run of the operations gate."""
        ran = self.http.post(f"{GATE}/run", json={})
        assert ran.status_code == 200, ran.text
        found: dict[str, Any] = ran.json()
        return found

    def red(self, rule: str) -> str:
        """What the gate says of this rule, once it does not pass."""
        return str(self.until(f"{rule} is red", lambda: self._of(rule, False))["message"])

    def green(self, rule: str) -> None:
        """Return once the rule passes and the gate is open again."""
        self.until(f"{rule} is green", lambda: self._of(rule, True))
        assert self.gate()["decision"] == "go"

    def _of(self, rule: str, passed: bool) -> dict[str, Any] | None:
        return next((one for one in self.gate()["rules"] if one["id"] == rule and one["passed"] is passed), None)

    async def publish(self, subject: str, payload: bytes) -> None:
        """Put a message on the bus as its administrator."""
        client = await nats.connect(self.stack.servers.nats_url)
        await client.jetstream().publish(subject, payload)
        await client.close()

    async def limit_stream(self, name: str, config: StreamConfig | None) -> StreamConfig:
        """Set a stream's limit to hardly more than what it holds, or back to what it was; returns what it was."""
        client = await nats.connect(self.stack.servers.nats_url)
        info = await client.jetstream().stream_info(name)
        limit = replace(info.config, max_bytes=info.state.bytes + 10)
        await client.jetstream().update_stream(config or limit)
        await client.close()
        return info.config


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("goal")
    folder.chmod(0o700)
    clock = folder / "hours-ahead"
    clock.write_text(str(-24 * DAYS))
    # How fast it answers is what `api_latency_p95` judges, and what else this machine does at the moment.
    env = {"HEADGATE_SCHEDULES": QUICK, "HEADGATE_WATCHED_ROUTES": '["GET /api/nothing"]'}
    programs = {service: program(clock, service) for service in SERVICES}
    stack = LocalStack(folder / "data", env=env, programs=programs, keeper=True)
    stack.start()
    try:
        stack.wait_ready()
        with client(stack) as http:
            yield House(stack, clock, http)
    finally:
        stack.stop()


def test_a_fresh_installation_comes_to_go(house: House) -> None:
    before = house.gate()
    assert before["decision"] == "no_go"
    for day in range(1, DAYS + 1):
        house.set_clock(24.0 * (day - DAYS))
        house.until(f"the daily check of day {day}", partial(house.has_checks, day))
    assert house.gate()["decision"] == "no_go"
    for words in (("dr", "rehearse"), ("deploy", "smoke", "--deploy-id", "first"), ("ops", "check")):
        house.does(*words)
    after = house.gate()
    assert {rule["id"]: rule["message"] for rule in after["rules"] if not rule["passed"]} == {}
    assert after["decision"] == "go"


def test_a_damaged_backup_turns_the_rule_of_rehearsals_red(house: House) -> None:
    backups = house.stack.data_dir / "backups"
    newest = max(folder for folder in backups.iterdir() if (folder / "manifest.json").exists())
    dump = newest / "database.dump"
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    assert "database.dump is damaged" in house.does("dr", "rehearse", newest.name, code=1)
    assert "restore valid: false" in house.red("dr_restore_valid_recent")
    house.does("dr", "rehearse")
    house.green("dr_restore_valid_recent")


def test_another_rollback_guide_turns_the_rule_of_deployments_red(house: House, tmp_path: Path) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text("# Rollback\n\nHope.\n")
    house.does("deploy", "smoke", "--deploy-id", "second", "--rollback-guide", str(guide), code=1)
    assert "checksum match is false" in house.red("deploy_smoke_binding_recent")
    house.does("deploy", "smoke", "--deploy-id", "third")
    house.green("deploy_smoke_binding_recent")


def test_a_setting_that_is_missing_turns_the_rule_of_the_preflight_red(house: House) -> None:
    house.environment["HEADGATE_PREFLIGHT_REQUIRED_ENV"] = '["HEADGATE_PAGER_ADDRESS"]'
    house.stack.restart("tracker")
    house.stack.wait_ready()
    house.does("ops", "check", code=1)
    assert "1 preflight checks are in error" in house.red("preflight_no_error")
    found = house.http.get("/api/ops/preflight").json()["checks"][0]
    assert (found["service"], found["id"]) == ("tracker", "required_env_headgate_pager_address")
    del house.environment["HEADGATE_PREFLIGHT_REQUIRED_ENV"]
    house.stack.restart("tracker")
    house.stack.wait_ready()
    house.does("ops", "check")
    house.green("preflight_no_error")


def test_a_dead_letter_and_a_full_stream_turn_the_rule_of_the_runbook_red(house: House) -> None:
    asyncio.run(house.publish("headgate.event.global.governance.gate.decided", b"not json"))
    letters = house.until("dead letters", lambda: house.http.get("/api/dead-letters/metrics").json()["items"])
    assert "dead_letters_held" in house.does("ops", "check", code=1)
    house.red("runbook_no_critical")
    for service in SERVICES:
        for letter in house.http.get(f"/api/dead-letters/{service}").json()["items"]:
            dropped = house.http.delete(f"/api/dead-letters/{service}/{letter['letter_id']}")
            assert dropped.status_code == 200, dropped.text
    assert letters
    house.does("ops", "check")
    house.green("runbook_no_critical")

    config = asyncio.run(house.limit_stream("OBJ_headgate-checks", None))
    assert "stream_fill" in house.does("ops", "check", code=1)
    house.red("runbook_no_critical")
    asyncio.run(house.limit_stream("OBJ_headgate-checks", config))
    house.does("ops", "check")
    house.green("runbook_no_critical")


def test_a_risk_above_the_maximum_turns_its_rule_red(house: House) -> None:
    none = {"points": 0, "most": 0}  # of what the other tests did, and when
    weights = {"failed_actions": none, "off_hours_actions": none, "refused_requests": none}
    content = {"medium_from": 10, "high_from": 20, "critical_from": 48.5, "weights": weights}
    body = {"content": content, "reason": "strict"}
    assert house.http.put("/api/ops/security/policy", json=body).status_code == 200
    numbers = []
    for name in ("mia", "joe", "lee"):
        sent = house.http.post("/api/users", json={"username": name, "role": "manager", "sites": ["*"]})
        assert sent.status_code == 201, sent.text
        token = {"username": name, "label": "wide", "expires_in_hours": 24}
        numbers.append(house.http.post("/api/tokens", json=token).json()["token_id"])
    # Three that reach everything (40 at the most) and end soon (9).
    assert "critical" in house.red("security_risk_within_max")
    said = house.does("ops", "security", code=1)
    assert "reach all sites" in said
    for number in numbers:
        assert house.http.delete(f"/api/tokens/{number}").status_code == 200
    house.green("security_risk_within_max")


def test_what_stops_turns_its_rule_red_by_time_alone(house: House) -> None:
    """Nobody makes backups, reports or daily checks any more: time goes on, and no old fact stands for a new one."""
    house.stack.halt("keeper")
    house.set_clock(24 * 2 + 4)
    house.does("ops", "check", code=1)
    assert "runbook checks are critical" in house.red("runbook_no_critical")
    house.stack.halt("operations")
    house.set_clock(24 * 9)
    gate = house.gate()
    passed = {rule["id"] for rule in gate["rules"] if rule["passed"]}
    assert passed == {"dr_restore_valid_recent"}  # a rehearsal counts for 35 days
    assert gate["decision"] == "no_go"
    house.set_clock(24 * 36)
    assert not any(rule["passed"] for rule in house.gate()["rules"])
