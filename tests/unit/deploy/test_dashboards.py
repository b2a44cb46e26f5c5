"""The boards are what their code says, each panel explains itself, and each expression asks for what exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.dashboards.boards import boards, written
from libs.common.roster import SERVICES
from libs.slo.model import NEVER_COUNTED, WATCHING
from tests.promql import Series, declared, faults, look, names_in, outside, variables_in

DEPLOY = Path(__file__).parents[3] / "deploy"
FILES = DEPLOY / "grafana" / "dashboards"
WEB = DEPLOY.parent / "services" / "gateway" / "console" / "web"
# Each has few values, which a person could list: what a label may be is a decision.
BOUNDED = {
    "service": "the roster", "consumer": "one or a few of each service", "dependency": "postgres and nats",
    "method": "seven, else OTHER", "route": "templates of the contracts", "status": "of HTTP, of items, of requests",
    "operation": "the contracts", "outcome": "applied, refused, failed", "type": "events of the contracts",
    "result": "allowed and denied", "role": "built in", "gate": "policies in force", "decision": "go and no_go",
    "channel": "kinds of channels", "state": "of deliveries and circuits", "place": "folder and s3",
}  # fmt: skip
# What no label may ever be: it grows with people, releases or time, or it tells who somebody is.
UNBOUNDED = {"actor", "user", "username", "subject", "version", "item", "item_id", "token", "address", "ip", "path",
             "url", "trace_id", "request_id", "command_id", "id", "name", "email", "reason", "error"}  # fmt: skip
# Series that stand in no board and no alert, and why.
UNSHOWN: dict[str, str] = {}
UNITS = {"short", "ops", "reqps", "s", "percentunit", "bytes"}


def loaded() -> list[dict[str, Any]]:
    """The boards as Grafana reads them."""
    return [json.loads(path.read_text()) for path in sorted(FILES.glob("*.json"))]


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Its panels without the headings."""
    return [one for one in board["panels"] if one["type"] != "row"]


def rules(name: str) -> list[dict[str, Any]]:
    """All rules of a file."""
    return [
        rule
        for group in yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]
        for rule in group["rules"]
    ]


def known() -> dict[str, Series]:
    """Every series that can be asked for, also those that rules record."""
    recorded = {
        rule["record"]: Series(rule["record"], "Gauge", frozenset(rule.get("labels", {})))
        for rule in rules("slo-rules.yml")
        if "record" in rule
    }
    return {**declared(), **outside(), **recorded}


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of each panel and each rule."""
    for board in loaded():
        for panel in (one for one in panels(board) if one["datasource"]["type"] == "prometheus"):
            yield from ((f"{board['title']}, {panel['title']}", target["expr"]) for target in panel["targets"])
    for name in ("rules.yml", "slo-rules.yml"):
        yield from ((f"{name} {rule.get('alert') or rule['record']}", rule["expr"]) for rule in rules(name))


def test_the_files_are_what_the_code_says() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in FILES.glob("*")}
    assert found == written(), "run `make docs`"


def test_a_service_more_has_a_board_of_its_own() -> None:
    assert "service-notary.json" in written(("gateway", "notary"))


def test_grafana_s_home_is_a_board() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]["grafana"]["environment"]
    assert Path(compose["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).name == f"{boards()[0].name}.json"


def test_expressions_ask_for_what_exists_in_a_way_that_makes_sense() -> None:
    series = known()
    wrong = [f"{where}: {fault}" for where, text in expressions() for fault in faults(text, series)]
    assert wrong == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(g[5m])", "which is a gauge"),
        ("sum by (x) (increase(g[1h]))", "which is a gauge"),
        ("delta(c_total[5m])", "which is a counter"),
        ("avg_over_time(h_count[5m])", "which is a counter"),
        ("sum(c_total)", "by its rate or increase"),
        ("histogram_quantile(0.9, sum by (le) (rate(h_sum[5m])))", "has no buckets"),
        ("nowhere > 0", "nobody exports"),
        ('g{person="me"}', "['person'], which it has not"),
        ("sum by (y) (g)", "groups by ['y']"),
        ("sum(rate(c_total[5m])", "no PromQL"),
        ("sum by (x) (s)", "once for each replica"),
        ("s > 0", "once for each replica"),
        ("sum(sum(s) + max(s))", "once for each replica"),
    ],
)
def test_the_lint_sees(expression: str, fault: str) -> None:
    series = {
        "g": Series("g", "Gauge", frozenset({"x"})),
        "s": Series("s", "Gauge", frozenset({"x"}), shared=True),
        "c_total": Series("c", "Counter", frozenset({"x"})),
        **{f"h_{part}": Series("h", "Counter", frozenset()) for part in ("bucket", "sum", "count")},
    }
    assert any(fault in one for one in faults(expression, series))
    assert list(faults('sum by (x, service) (rate(c_total{x=~"$x"}[5m])) / on (x) max by (x) (g)', series)) == []
    assert list(faults("sum(max by (x) (s)) or vector(0)", series)) == []


def test_names_are_found_in_promql() -> None:
    assert names_in('sum by (le) (rate(a_bucket{x!="/b"}[5m])) / b_total > 0.05 or vector(1)') == {
        "a_bucket",
        "b_total",
    }
    assert names_in('x unless x{a="b"} offset 10m') == {"x"}
    assert names_in("topk(5, histogram_quantile(0.95, sum by (le, r) (rate(q_bucket[5m]))))") == {"q_bucket"}
    assert look("max_over_time(a[5m:1m])").uses[0].within == ("max_over_time",)


def test_who_only_looks_whether_all_is_well_counts_in_no_share_and_no_time() -> None:
    seen = 0
    for where, text in expressions():
        for series, _, labels in re.findall(r'(http_request\w+)(\{((?:"[^"]*"|[^"}])*)\})?', text):
            left_out = (re.findall(r'route!~"([^"]*)"', labels) or [""])[0]
            never = NEVER_COUNTED if series.startswith("http_request_duration") else WATCHING
            assert all(re.fullmatch(left_out, one) for one in never), f"{where}: {text}"
            seen += 1
    assert seen > 50


def test_every_series_stands_in_a_board_or_an_alert_or_says_why_not() -> None:
    series = declared()
    shown = {series[name].family for _, text in expressions() for name in names_in(text) if name in series}
    families = {one.family for one in series.values()}
    assert families - shown == set(UNSHOWN)
    assert len(families) >= 33
    assert all(UNSHOWN.values())


def test_labels_have_few_values() -> None:
    used = {label for one in declared().values() for label in one.labels}
    assert not used & UNBOUNDED
    assert used == set(BOUNDED), "a new label: say in BOUNDED why it has few values"


def test_each_panel_explains_itself() -> None:
    for board in loaded():
        titles = [panel["title"] for panel in panels(board)]
        assert len(titles) == len(set(titles)), board["title"]
        for panel in panels(board):
            where = f"{board['title']}, {panel['title']}"
            assert panel["description"].endswith("."), where
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, where
            assert [one["refId"] for one in panel["targets"]] == [chr(65 + at) for at in range(len(panel["targets"]))]
            assert panel["datasource"]["uid"] == _uid_of(panel["datasource"]["type"]), where


def _uid_of(kind: str) -> Any:
    file = DEPLOY / "grafana" / "provisioning" / "datasources" / f"{kind}.yml"
    return yaml.safe_load(file.read_text())["datasources"][0]["uid"]


def test_each_service_s_board_shows_its_log_by_the_name_that_lines_carry() -> None:
    """What the export names itself, and Loki makes of it: `service.name` is the label `service_name`."""
    shown = {
        board["uid"].removeprefix("headgate-service-"): [
            target["expr"]
            for panel in panels(board)
            if panel["datasource"]["type"] == "loki"
            for target in panel["targets"]
        ]
        for board in loaded()
    }
    assert {name for name, found in shown.items() if found} == {*SERVICES, "headgate"}
    for name in SERVICES:
        assert len(shown[name]) == 3
        assert all(f'{{service_name="headgate-{name}"}}' in text for text in shown[name])
    assert any('| trace_id="$trace"' in text for text in shown["headgate"])


def test_times_to_an_answer_lead_to_traces() -> None:
    shown = {
        board["uid"]
        for board in loaded()
        for panel in panels(board)
        for target in panel["targets"]
        if target.get("exemplar") and "http_request_duration_seconds_bucket" in target["expr"]
    }
    assert shown == {"headgate", "headgate-service-gateway"}
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    assert "--enable-feature=exemplar-storage" in compose["prometheus"]["command"]


def test_boards_fit_on_the_grid_and_have_names_of_their_own() -> None:
    every = loaded()
    assert len({one["uid"] for one in every}) == len({one["title"] for one in every}) == len(every)
    for board in every:
        assert len({one["id"] for one in board["panels"]}) == len(board["panels"])
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, f"{board['title']}, {panel['title']} lies over another one"
            assert at["x"] + at["w"] <= 24
            taken |= cells


def test_variables_are_declared_used_and_of_labels_that_exist() -> None:
    series = known()
    for board in loaded():
        chosen = {one["name"]: one for one in board["templating"]["list"]}
        used = {name for panel in panels(board) for target in panel["targets"] for name in variables_in(target["expr"])}
        used |= {name for panel in panels(board) for link in links(panel) for name in variables_in(link["url"])}
        assert used - {"address"} == set(chosen) - {"address"}, board["title"]
        for one in chosen.values():
            if one["type"] == "query":
                asked = re.fullmatch(r"label_values\(([\w:]+), (\w+)\)", one["query"]["query"])
                assert asked is not None
                assert asked[2] in series[asked[1]].labels


def links(panel: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the panel, and those of its lines."""
    return [*panel["links"], *panel["fieldConfig"]["defaults"].get("links", [])]


def pages() -> dict[str, Path]:
    """The console's addresses, with ``*`` for what they take, and the module of each page."""
    table = (WEB / "routes.js").read_text(encoding="utf-8")
    found = re.findall(r'pattern: "([^"]+)", load: \(\) => import\("\./([^"]+)"\)', table)
    assert len(found) == table.count("{ pattern: ")
    return {re.sub(r":\w+", "*", "/console" + pattern).rstrip("/"): WEB / file for pattern, file in found}


def test_links_lead_to_pages_of_the_console_which_take_what_the_link_gives() -> None:
    known = pages()
    asked = {link["url"] for board in loaded() for panel in panels(board) for link in links(panel)}
    assert len(asked) > 20
    for url in asked:
        assert url.startswith("${address}/console"), url
        path, _, query = re.sub(r"\$\{[\w.]+\}", "*", url.removeprefix("${address}")).partition("?")
        assert path in known, url
        page = known[path].read_text(encoding="utf-8")
        for name in (one.partition("=")[0] for one in query.split("&") if one):
            assert re.search(rf'useQueryValue\("{name}"|query\.get\("{name}"\)|PLAIN = \[.*"{name}"', page), url
        assert {one for one in query.split("&") if one.endswith("=")} == set(), url


def test_a_line_leads_on_by_a_label_that_it_has() -> None:
    seen = 0
    for board in loaded():
        for panel in panels(board):
            for link in panel["fieldConfig"]["defaults"].get("links", []):
                (label,) = re.findall(r"\$\{__field\.labels\.(\w+)\}", link["url"])
                grouped = [one for target in panel["targets"] for one, _ in look(target["expr"]).grouped]
                assert any(label in one for one in grouped), f"{board['title']}, {panel['title']}: {label}"
                seen += 1
    assert seen >= 7


def test_each_board_leads_to_the_console() -> None:
    for board in loaded():
        assert any(links(panel) for panel in panels(board)), board["title"]
