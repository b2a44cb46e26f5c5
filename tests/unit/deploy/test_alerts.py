"""Each alert says what it means and leads to a section of the guide, and what the guide tells people to say exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from deploy import runbooks
from deploy.container.files import FIRST_PORT
from libs.client.cli import app
from libs.common.contracts import CONTRACTS
from libs.common.loop import MAX_ATTEMPTS
from libs.common.roster import SERVICES
from libs.slo.rules import RUNBOOKS

ROOT = Path(__file__).parents[3]
RULES, OPS = ROOT / "deploy" / "prometheus", ROOT / "docs" / "ops"
GUIDE = "docs/ops/MONITORING_GUIDE.md"
PAGES = sorted(OPS.glob("*.md"))
OWN_PAGES = {"/api/status", "/api/events", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/runbooks"}
# Of Prometheus' own page.
FOREIGN = {"/alerts", "/status"}


def alerts() -> list[dict[str, Any]]:
    """All alert rules, also those of the SLOs."""
    files = [yaml.safe_load((RULES / name).read_text()) for name in ("rules.yml", "slo-rules.yml")]
    every = [rule for file in files for group in file["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(every) >= 23
    return every


def sections() -> dict[str, str]:
    """The guide's text by heading."""
    parts = re.split(r"^### (\w+)$", (ROOT / GUIDE).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_each_alert_says_what_it_means_and_where_to_read_on() -> None:
    for rule in alerts():
        said = rule["annotations"]
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}, rule["alert"]
        assert said["summary"], rule["alert"]
        assert re.fullmatch(r"[A-Z][^{}]*\.", said["description"]), rule["alert"]
        assert said["runbook_url"] == f"{RUNBOOKS}#{rule['alert'].lower()}"
        assert f'<h3 id="{rule["alert"].lower()}">{rule["alert"]}</h3>' in runbooks.PAGE.read_text(), rule["alert"]
        assert "for" in rule or rule["alert"] == "Watchdog" or "Slo" in rule["alert"], rule["alert"]


def test_the_page_of_runbooks_is_the_guide_and_runs_nothing() -> None:
    found = runbooks.PAGE.read_text(encoding="utf-8")
    assert found == runbooks.page((ROOT / GUIDE).read_text(encoding="utf-8")), "run `make docs`"
    assert not re.search(r"<script|<link|<img|style=|\bon\w+=|javascript:", found)
    places = set(re.findall(r'id="([^"]+)"', found))
    targets = re.findall(r'href="([^"]+)"', found)
    assert {one[1:] for one in targets if one.startswith("#")} <= places
    assert "headgateservicedown" in [one[1:] for one in targets]  # alerts that are named in others' sections
    assert all(one.startswith(("#", "https://")) for one in targets), "a page that the gateway does not serve"
    assert "docs/operations.md" in found  # such a page is named instead


def test_markdown_from_elsewhere_is_only_text() -> None:
    found = runbooks.page("# A\n\n<script>alert(1)</script> [x](javascript:alert(1)) [up](../slo.md#a)\n")
    assert "<script" not in found
    assert "href" not in found
    assert "up (<code>docs/slo.md</code>)" in found
    with pytest.raises(ValueError, match="two headings"):
        runbooks.page("# A\n\n## B\n\n## B\n")


def test_compose_lets_alerts_lead_to_where_people_reach_the_gateway(tmp_path: Path) -> None:
    prometheus = yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text())["services"]["prometheus"]
    shell, flags, script, name = prometheus["entrypoint"]
    for here, there in (("$$", "$"), ('"/etc/prometheus/', f'"{RULES}/'), ("exec /bin/prometheus", "exec echo"),
                        (" /prometheus/", f" {tmp_path}/"), ('"/prometheus/', f'"{tmp_path}/')):  # fmt: skip
        script = script.replace(here, there)
    for url, base in (("", RUNBOOKS), ("https://headgate.example/", "https://headgate.example/runbooks")):
        said = subprocess.run(
            [shell, flags, script, name, *prometheus["command"]], env={"HEADGATE_PUBLIC_URL": url}, check=True,
            capture_output=True, text=True, timeout=20,
        ).stdout  # fmt: skip
        assert said.split() == prometheus["command"]
        for file in ("prometheus.yml", "rules.yml", "slo-rules.yml"):
            assert (tmp_path / "config" / file).read_text() == (RULES / file).read_text().replace(RUNBOOKS, base)
    assert prometheus["command"][0] == "--config.file=/prometheus/config/prometheus.yml"


def test_the_guide_has_a_section_for_each_alert_and_no_other() -> None:
    found = sections()
    assert set(found) == {rule["alert"] for rule in alerts()}
    for name, text in found.items():
        assert re.findall(r"^\*\*(\w+)\.\*\* \S", text, re.MULTILINE) == ["Means", "Look", "Do"], name


def test_one_bad_message_is_no_alarm_of_its_consumer_and_two_are() -> None:
    (rule,) = (rule for rule in alerts() if rule["alert"] == "HeadgateHandlersFail")
    threshold = int(rule["expr"].rpartition(" > ")[2])
    # `increase` stretches what it saw to the whole range: by a ninth at the most where one scrapes each minute.
    assert MAX_ATTEMPTS * 10 / 9 < threshold < 2 * MAX_ATTEMPTS


def test_each_alert_is_tried_by_promtool() -> None:
    tested: dict[str, set[bool]] = {}
    for path in sorted(RULES.glob("*.test.yml")):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for row in case["alert_rule_test"]:
                tested.setdefault(row["alertname"], set()).add(bool(row["exp_alerts"]))
    assert set(tested) == {rule["alert"] for rule in alerts()}
    assert {name for name, seen in tested.items() if seen != {True, False}} == {"Watchdog"}


def test_each_alert_is_fired_by_breaking_the_thing_and_the_page_says_how() -> None:
    """That they fire shows `make outside`; here only that none is left out."""
    names = {rule["alert"] for rule in alerts()}
    table = (ROOT / "docs" / "outside.md").read_text(encoding="utf-8").partition("## Alerts fired by")[2]
    rows = re.findall(r"^\| (`.+?) \|", table.partition("\n## ")[0], re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(names)
    steps = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "outside").glob("*alerts.py"))
    slos = {"HeadgateSloBurnsFast", "HeadgateSloBurnsSlowly"}
    assert {name for name in names - slos if f'"{name}"' not in steps} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_tells_people_to_say_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tree = typer.main.get_command(app)
    said = re.findall(r"(?:`|^|\$ )headgate ([a-z][a-z -]*)", text, re.MULTILINE)
    for words in said:
        assert _command(tree, words.split()), f"headgate {words}"
    routes = OWN_PAGES | FOREIGN
    for contract in CONTRACTS.values():
        routes |= {re.sub(r"\{\w+\}", "*", one.http.path) for one in contract.commands if one.http is not None}
        routes |= {re.sub(r"\{\w+\}", "*", one.http.path) for one in contract.queries if one.http is not None}
    for path in re.findall(r"`(?:[A-Z]+ )?(/[a-z][\w/{}.-]*)`", text):
        assert re.sub(r"\{\w+\}", "*", path) in routes, path


def _command(tree: Any, words: list[str]) -> bool:
    """Whether the tool knows what these words begin with."""
    at = tree
    for word in words:
        if not isinstance(at, click.Group) and not hasattr(at, "commands"):
            break
        found = at.get_command(click.Context(at), word)
        if found is None:
            return False
        at = found
    return not hasattr(at, "commands")


def test_a_command_that_is_none_is_seen() -> None:
    tree = typer.main.get_command(app)
    assert _command(tree, ["dead-letters", "list"])
    assert not _command(tree, ["dead-letters"])
    assert not _command(tree, ["dead-letters", "bury"])


def test_the_guide_to_ci_tells_of_each_job() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    told = re.findall(r"^\| (\w+) \| `make ", (OPS / "CI_CD_GUIDE.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(told) == sorted(jobs)


def test_the_readme_names_the_last_page_of_metrics() -> None:
    last = FIRST_PORT + len(SERVICES) - 1
    assert f"`:{last}/metrics`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_make_targets_and_files_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets, page.name
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
