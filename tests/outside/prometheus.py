"""Our rules, boards and metrics under a real Prometheus, and our gate behind a real Alertmanager."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx2
import yaml

from deploy.embedded import free_port
from libs.common.cloudevents import format_time
from libs.common.contracts import SERVICES
from libs.slo.rules import ALERTS
from services.governance.domain.samples import Sample
from services.governance.inputs.prometheus import Prometheus
from tests.contract.test_series import expressions, rules
from tests.outside.tools import run
from tests.outside.world import SUBJECT, StepFailed, World, check, rule_of, until
from tests.receiver import Receiver

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy"
AGREEMENT = "tests/integration/test_slo_prometheus.py"
FORK = "tests/integration/test_audit_fork_alert.py"
_AGREED_WITHIN_S = 300
RULE = "alerts_none_critical"
ALERT = ("alertname=CheckoutDown", "severity=critical", "service=checkout")
_COMPARISON = re.compile(r"(>=|<=|==|!=|>|<)(?!=)\s*")


class Monitoring:
    """Prometheus and Alertmanager with the shipped files, whose addresses and intervals alone are changed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = world.folder / "monitoring"
        self.prometheus_url = f"http://127.0.0.1:{free_port()}"
        self.alertmanager_url = f"http://127.0.0.1:{free_port()}"
        self._running: list[subprocess.Popen[bytes]] = []
        self._open = ExitStack()
        self.http = self._open.enter_context(httpx2.Client(timeout=20, trust_env=False))

    def __enter__(self) -> Self:
        self.folder.mkdir()
        self._alertmanager()
        self._prometheus()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self._open.close()

    def _start(self, name: str, *command: str) -> None:
        log = self._open.enter_context((self.folder / f"{name}.log").open("wb"))
        self._running.append(subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT))

    def _alertmanager(self) -> None:
        config = yaml.safe_load((SHIPPED / "alertmanager" / "alertmanager.yml").read_text())
        config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        hook = config["receivers"][0]["webhook_configs"][0]
        check(hook["url"].endswith(f"/api/signals/alertmanager?subject={SUBJECT}"), f"the shipped webhook is {hook}")
        hook["url"] = f"{self.world.stack.gateway_url}/api/signals/alertmanager?subject={SUBJECT}"
        token = self.folder / "token"
        token.write_text(self.world.token("alertmanager", "operator"))
        hook["http_config"]["authorization"]["credentials_file"] = str(token)
        file = self.folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(config))
        code, said = run([self.world.tools.amtool, "check-config", file], 30)
        check(code == 0, f"amtool check-config: {said}")
        self._start(
            "alertmanager", *self.world.tools.alertmanager, f"--config.file={file}", "--cluster.listen-address=",
            f"--web.listen-address={self.alertmanager_url.removeprefix('http://')}", "--storage.path=alerts",
        )  # fmt: skip

    def _prometheus(self) -> None:
        config = yaml.safe_load((SHIPPED / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        options = self.world.stack.options
        for group in config["scrape_configs"][0]["static_configs"]:
            group["targets"] = [f"127.0.0.1:{options.port_of(group['labels']['service'])}"]
        targets = [{"targets": [self.alertmanager_url.removeprefix("http://")]}]
        config["alerting"] = {"alertmanagers": [{"static_configs": targets}]}
        for name in ("rules.yml", "slo-rules.yml"):  # no group may wait for minutes here
            text = (SHIPPED / "prometheus" / name).read_text().replace("interval: 5m", "interval: 1s")
            (self.folder / name).write_text(text)
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        self._start(
            "prometheus", self.world.tools.prometheus, f"--config.file={file}", "--storage.tsdb.path=series",
            f"--web.listen-address={self.prometheus_url.removeprefix('http://')}", "--rules.alert.resend-delay=1s",
        )  # fmt: skip

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query, without series that are no number."""
        answer = self.http.get(f"{self.prometheus_url}/api/v1/query", params={"query": expression})
        body = answer.json()
        check(body["status"] == "success", f"{expression}: {body}")
        found: list[dict[str, Any]] = [one for one in body["data"]["result"] if one["value"][1] != "NaN"]
        return found


def wait_up(monitoring: Monitoring) -> None:
    """Return when both servers answer."""
    pages = [f"{url}/-/ready" for url in (monitoring.prometheus_url, monitoring.alertmanager_url)]

    def ready() -> bool:
        try:
            return all(monitoring.http.get(page).status_code == 200 for page in pages)
        except httpx2.HTTPError:
            return False

    until("Prometheus and Alertmanager are ready", ready)


def check_slos(world: World) -> None:
    """Burn rates and the moments at which alerts fire, by a Prometheus and by us, of the same samples."""
    _pass(AGREEMENT, "Prometheus and Headgate do not agree on SLOs")
    world.figures.append(
        ("burn rates of SLOs, and when their alerts fire, are those of Prometheus", "Prometheus", "all")
    )


def check_fork(world: World) -> None:
    """A forked audit log on a stack of its own: a witness refuses it, and the shipped alert fires."""
    _pass(FORK, "no alert fired for a forked audit log")
    world.figure("a forked audit log: refused by a witness, the alert fired", "Prometheus", "409, firing")


def _pass(tests: str, otherwise: str) -> None:
    """Run tests of ours that are skipped where there is no Prometheus."""
    code, said = run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", tests], _AGREED_WITHIN_S, ROOT
    )
    check(code == 0 and "skipped" not in said, f"{otherwise}: {said[-2000:]}")


def check_files(world: World) -> None:
    """The shipped files through promtool and amtool."""
    promtool, folder = world.tools.promtool, SHIPPED / "prometheus"
    tests = [folder / name for name in ("rules.test.yml", "rules-days.test.yml", "slo-rules.test.yml")]
    for command in (("check", "config", folder / "prometheus.yml"), ("check", "rules", folder / "rules.yml"),
                    ("check", "rules", folder / "slo-rules.yml"),
                    *(("test", "rules", file) for file in tests)):  # fmt: skip
        code, said = run([promtool, *command], 60)
        check(code == 0, f"promtool {' '.join(map(str, command))}: {said}")
    code, said = run([world.tools.amtool, "check-config", SHIPPED / "alertmanager" / "alertmanager.yml"], 30)
    check(code == 0, f"amtool: {said}")
    cases = [case for file in tests for case in yaml.safe_load(file.read_text())["tests"]]
    tested = [row for case in cases for row in case["alert_rule_test"]]
    fires = {row["alertname"] for row in tested if row["exp_alerts"]}
    quiet = {row["alertname"] for row in tested if not row["exp_alerts"]}
    names = {rule["alert"] for rule in rules()} | {name for name, _ in ALERTS.values()}
    check(fires == names, f"no test fires {names - fires}")
    check(quiet | {"Watchdog"} == names, f"no test keeps {names - quiet} still")
    world.figure("alerts whose tests fire and keep still", "promtool", f"{len(fires)} of {len(names)}")


def bare(expression: str) -> str:
    """The expression without what hides that a series is absent.

    `or vector(0)` and `absent` go; in comparisons the sample stays whatever its value is (`bool`).
    """
    expression = expression.replace("or vector(0)", "").replace("absent(", "(")
    parts = re.split(r"(\{[^{}]*\})", expression)
    return "".join(part if part.startswith("{") else _COMPARISON.sub(r"\1 bool ", part) for part in parts)


def check_series(monitoring: Monitoring) -> None:
    """All services are scraped, and every expression of the boards and of the alerts has a result."""
    world = monitoring.world
    until("all services are scraped", lambda: len(monitoring.query('up{job="headgate"} == 1')) == len(SERVICES))
    with Receiver() as receiver:  # somebody must answer while Prometheus looks, or the time to an answer is no number
        body = {"name": "series", "event_types": ["notifier.*"], "endpoint": receiver.url}
        made = world.post("/api/subscriptions", status=201, json=body)
        world.post(f"/api/subscriptions/{made['subscription_id']}/test", status=200, json={})
        until("the sample", lambda: receiver.got)
        check(world.http.delete(f"/api/subscriptions/{made['subscription_id']}").status_code == 200, "it stays")
    now = format_time(datetime.now(UTC))
    backup = {"backup_id": "20260501T021500Z-abcdef", "started_at": now, "finished_at": now, "recovery_point": now}
    room = {"good": True, "size_bytes": 1 << 20, "free_bytes": 1 << 30}
    world.post("/api/ops/backups/report", status=201, json=backup | room)  # what room is left is nowhere before a word
    world.run_release()  # a share of GO is none before a verdict that Prometheus saw come
    for service in SERVICES:  # each has answered something
        world.get(f"/api/dead-letters/{service}")
    asked = list(expressions())
    empty: list[tuple[str, str]] = []

    def all_found() -> bool:
        empty[:] = [(where, text) for where, text in asked if not monitoring.query(bare(text))]
        return not empty

    try:
        until("every expression has a result", all_found, 20)
    except AssertionError as error:
        check(False, f"no series for {empty} ({error})")
    world.figure("services scraped", "Prometheus", str(len(SERVICES)))
    world.figure("expressions of boards and alerts with a result", "Prometheus", f"{len(asked)} of {len(asked)}")
    page = monitoring.http.get(f"{monitoring.prometheus_url}/api/v1/rules").json()
    sick = [rule["name"] for group in page["data"]["groups"] for rule in group["rules"] if rule["health"] != "ok"]
    check(not sick, f"rules that can't be evaluated: {sick}")


def check_gate(monitoring: Monitoring) -> None:
    """A critical alert turns the release gate to NO-GO, and its end turns it back."""
    world = monitoring.world

    def turned(decision: str) -> Any:
        seen: list[Any] = []

        def there() -> bool:
            seen.append(world.run_release())
            return bool(seen[-1]["decision"] == decision)

        try:
            until(f"the release gate says {decision}", there)
        except AssertionError as error:
            failing = [rule for rule in seen[-1]["rules"] if rule["status"] != "pass"]
            raise StepFailed(f"{error}; not passed: {failing}") from error
        return seen[-1]

    before = turned("go")  # the Watchdog came from Prometheus by Alertmanager
    check(rule_of(before, RULE)["status"] == "pass", f"{rule_of(before, RULE)}")
    _amtool(monitoring, "alert", "add", *ALERT)
    judged = rule_of(turned("no_go"), RULE)
    check(judged["status"] == "fail" and "CheckoutDown" in json.dumps(judged), f"{judged}")
    _amtool(monitoring, "alert", "add", *ALERT, "--end=2020-01-01T00:00:00Z", "--start=2019-01-01T00:00:00Z")
    turned("go")
    world.figure("release gate: Watchdog / critical alert / resolved", "Alertmanager, amtool", "GO / NO-GO / GO")


def check_probes(monitoring: Monitoring) -> None:
    """What governance's probes read of a real Prometheus: a number where there is one, and why not elsewhere."""
    asked = {
        "count(up)": "", "scalar(count(up))": "", "nothing_there": "no series", "count(up) / 0": "+Inf",
        "(count(up) - count(up)) / 0": "NaN", "count(": "parse error", "up[1m]": "matrix", '"text"': "string",
        "vector(1) or label_replace(vector(2), \"a\", \"b\", \"\", \"\")": "2 series",
    }  # fmt: skip
    answers = asyncio.run(Prometheus(monitoring.prometheus_url).ask(*asked, at=datetime.now(UTC)))
    for (query, why), answer in zip(asked.items(), answers, strict=True):
        fits = answer.value >= 1 if isinstance(answer, Sample) else bool(why) and why in str(answer)
        check(fits and isinstance(answer, Sample) is not bool(why), f"{query}: {answer!r}")
    monitoring.world.figure("probes: numbers / sentences", "Prometheus", f"2 / {len(asked) - 2}")


def _amtool(monitoring: Monitoring, *arguments: str) -> None:
    command = [monitoring.world.tools.amtool, f"--alertmanager.url={monitoring.alertmanager_url}", *arguments]
    code, said = run(command, 30)
    check(code == 0, f"amtool {' '.join(arguments)}: {said}")
