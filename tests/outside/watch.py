"""A real Prometheus with the shipped rules that looks at an installation each second.

How long a state has to last (``for``) is shortened to a second, and groups of rules wait for no minutes; nothing else
of the rules is changed.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import yaml

from deploy.embedded import free_port
from deploy.local import LocalStack
from libs.common.contracts import SERVICES
from tests.outside.world import StepFailed, check, until

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = ("rules.yml", "slo-rules.yml")
WITHIN_S = 90


def title(name: str, labels: dict[str, str]) -> str:
    """What an alert is called here: those of SLOs have the SLO behind their name."""
    return f"{name} of {labels['slo']}" if "slo" in labels else name


def titles() -> set[str]:
    """All alerts of the shipped rules."""
    files = [yaml.safe_load((SHIPPED / name).read_text(encoding="utf-8")) for name in RULES]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return {title(rule["alert"], rule["labels"]) for rule in rules if "alert" in rule}


class Watch:
    """The server, for as long as `watching` lasts. ``fired`` are the titles of the alerts that were awaited."""

    def __init__(self, program: str, folder: Path, stack: LocalStack) -> None:
        self.folder, self._stack, self._program = folder, stack, program
        self._url = f"http://127.0.0.1:{free_port()}"
        self._http = httpx2.Client(base_url=self._url, timeout=20, trust_env=False)
        self._process: subprocess.Popen[bytes] | None = None
        self.fired: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at all services until the block ends."""
        for name in RULES:
            rules = (SHIPPED / name).read_text(encoding="utf-8")
            rules = re.sub(r"(?m)^(\s+(?:for|interval):) \w+$", r"\1 1s", rules)
            (self.folder / name).write_text(rules, encoding="utf-8")
        self._configure(SERVICES)
        command = [self._program, "--config.file=prometheus.yml", "--storage.tsdb.path=series"]
        with (self.folder / "log").open("wb") as log, self._http:
            self._process = subprocess.Popen(
                [*command, f"--web.listen-address={self._url.removeprefix('http://')}"],
                cwd=self.folder, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                until("Prometheus is ready", self._ready, WITHIN_S)
                yield
            finally:
                self._process.terminate()
                self._process.wait(20)

    def look_at(self, services: Sequence[str]) -> None:
        """Scrape these services alone from now on."""
        assert self._process is not None
        self._configure(services)
        self._process.send_signal(signal.SIGHUP)

    def query(self, expression: str) -> list[Any]:
        """The result of an instant query."""
        body = self._http.get("/api/v1/query", params={"query": expression}).json()
        check(body["status"] == "success", f"{expression}: {body}")
        return list(body["data"]["result"])

    def firing(self) -> set[str]:
        """The titles of the alerts that fire."""
        standing = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
        labels = [one["labels"] for one in standing if one["state"] == "firing"]
        return {title(one["alertname"], one) for one in labels}

    def still(self, *titles: str) -> None:
        """These must not fire yet, or a break would prove nothing."""
        check(not self.firing() & set(titles), f"{self.firing() & set(titles)} fired before anything was broken")

    def await_fired(self, *titles: str, within_s: float = WITHIN_S) -> None:
        """These fire now."""
        try:
            until(f"{', '.join(titles)}", lambda: set(titles) <= self.firing(), within_s)
        except StepFailed as error:
            raise StepFailed(f"{error}; {self.firing()} fire") from error
        self.fired += titles

    def await_over(self, *titles: str) -> None:
        """These don't fire any more, since the thing was mended."""
        until(f"the end of {', '.join(titles)}", lambda: not self.firing() & set(titles), WITHIN_S)

    def _ready(self) -> bool:
        try:
            return self._http.get("/-/ready").status_code == 200
        except httpx2.HTTPError:
            return False

    def _configure(self, services: Sequence[str]) -> None:
        config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        check(config["rule_files"] == list(RULES), f"the shipped rules are {config['rule_files']}")
        config["scrape_configs"][0]["static_configs"] = [
            {"targets": [f"127.0.0.1:{self._stack.options.port_of(name)}"], "labels": {"service": name}}
            for name in services
        ]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
