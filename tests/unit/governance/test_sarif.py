"""SARIF logs of real tools, severities, suppressions and fingerprints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from libs.common.contracts.names import Part
from libs.judge.derive import derive
from libs.judge.kinds import check_data
from libs.judge.report_base import file_part, part_name
from libs.judge.test_ids import PRINT_CHARS
from services.governance.domain.readers import sarif as sarif_module
from services.governance.domain.readers import sarif_log
from services.governance.domain.readers.reports import BadReport, parse_report
from tests.unit.governance.samples import fact, sarif

SOURCE = "import subprocess\n\n\ndef go(x):\n    subprocess.call('ls ' + x, shell=True)\n    assert x\n"


def parse(content: bytes) -> dict[str, Any]:
    (signal,) = parse_report("sarif", content)
    assert signal.kind == "scan.sarif"
    assert check_data(signal.kind, signal.data) == []
    return dict(signal.data)


def scan(folder: Path, *command: str) -> bytes:
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, check=False, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def result(text: str = "Bad thing", **more: Any) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": "src/a.py"}, "region": {"startLine": 3, "startColumn": 1}}
    return {"ruleId": "R1", "message": {"text": text}, "locations": [{"physicalLocation": place}], **more}


def at(line: int, text: str = "Bad thing", **more: Any) -> dict[str, Any]:
    made = result(text, **more)
    made["locations"][0]["physicalLocation"]["region"] = {"startLine": line, "startColumn": 1}
    return made


def only(content: bytes) -> dict[str, Any]:
    findings = parse(content)["findings"]
    assert len(findings) == 1
    return dict(findings[0])


def prints(content: bytes) -> set[str]:
    return {finding["fingerprint"] for finding in parse(content)["findings"]}


def test_real_bandit_keeps_its_fingerprints_when_lines_move(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE)
    before = parse(scan(tmp_path, "bandit", "-q", "-f", "sarif", "a.py"))
    assert before["execution_successful"] is True
    assert before["tool"] == "Bandit"
    assert before["counts"] == {"critical": 0, "high": 1, "medium": 0, "low": 2, "none": 0, "total": 3}
    high = next(finding for finding in before["findings"] if finding["severity"] == "high")
    assert (high["rule_id"], high["path"], high["line"]) == ("B602", "a.py", 5)
    (tmp_path / "a.py").write_text("\n\n# moved\n" + SOURCE)
    after = parse(scan(tmp_path, "bandit", "-q", "-f", "sarif", "a.py"))
    assert {f["fingerprint"] for f in after["findings"]} == {f["fingerprint"] for f in before["findings"]}


def test_real_ruff(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import os\n")
    data = parse(scan(tmp_path, "ruff", "check", "--isolated", "--output-format", "sarif", "a.py"))
    assert data["tool"] == "ruff"
    assert [(f["rule_id"], f["level"], f["severity"]) for f in data["findings"]] == [("F401", "error", "high")]
    clean = parse(scan(tmp_path, "ruff", "check", "--isolated", "--output-format", "sarif", "--ignore=F", "a.py"))
    assert clean["findings"] == []


RULES = [
    {"id": "R1", "properties": {"security-severity": "9.8"}, "defaultConfiguration": {"level": "note"}},
    {"id": "R2", "properties": {"severity": "Moderate"}},
]


@pytest.mark.parametrize(
    ("more", "rules", "level", "severity"),
    [
        ({"level": "error"}, [], "error", "high"),
        ({"level": "warning"}, [], "warning", "medium"),
        ({"level": "note"}, [], "note", "low"),
        ({"level": "none"}, [], "none", "none"),
        ({}, [], "warning", "medium"),
        ({}, RULES, "note", "critical"),
        ({"ruleId": "R1/sub"}, RULES, "note", "critical"),
        ({"ruleId": "R1/sub", "ruleIndex": 0}, RULES, "note", "critical"),
        ({"ruleId": "R2", "ruleIndex": 0}, RULES, "warning", "medium"),
        ({"ruleId": None, "rule": {"index": 0}}, RULES, "note", "critical"),
        ({"ruleId": None, "rule": {"id": "R2"}}, RULES, "warning", "medium"),
        ({"kind": "review"}, [], "none", "none"),
        ({"level": "note", "properties": {"security-severity": 7}}, [], "note", "high"),
        ({"properties": {"security-severity": "6.9"}}, [], "warning", "medium"),
        ({"properties": {"security-severity": "0.1"}}, [], "warning", "low"),
        ({"properties": {"security-severity": "0.0"}}, [], "warning", "none"),
        ({"level": "error", "properties": {"security-severity": "nonsense"}}, [], "error", "high"),
        ({"level": "error", "properties": {"security-severity": "nan"}}, [], "error", "high"),
        ({"level": "error", "properties": {"security-severity": True}}, [], "error", "high"),
        ({"level": "note", "properties": {"issue_severity": "HIGH"}}, [], "note", "high"),
        ({"level": "error", "properties": {"issue_severity": "odd"}}, [], "error", "high"),
    ],
)
def test_severity(more: dict[str, Any], rules: list[Any], level: str, severity: str) -> None:
    found = only(sarif([result(**more)], rules=rules))
    assert (found["level"], found["severity"]) == (level, severity)


def test_rules_of_extensions_are_found() -> None:
    reference = {"index": 0, "toolComponent": {"index": 0}}
    log = json.loads(sarif([result(ruleId=None, rule=reference)]))
    log["runs"][0]["tool"]["extensions"] = [{"name": "x", "rules": RULES}]
    assert only(json.dumps(log).encode())["severity"] == "critical"


@pytest.mark.parametrize(
    ("suppressions", "suppressed"),
    [
        ([{"kind": "inSource"}], 1),
        ([{"kind": "external", "status": "accepted"}], 1),
        ([{"kind": "external", "status": "underReview"}], 0),
        ([{"kind": "inSource"}, {"kind": "external", "status": "rejected"}], 0),
        ([], 0),
    ],
)
def test_suppressed_results_are_counted_apart(suppressions: list[Any], suppressed: int) -> None:
    data = parse(sarif([result(suppressions=suppressions)]))
    assert (data["suppressed"], len(data["findings"])) == (suppressed, 1 - suppressed)


@pytest.mark.parametrize("more", [{"kind": "pass"}, {"kind": "notApplicable"}, {"baselineState": "absent"}])
def test_what_is_no_finding(more: dict[str, Any]) -> None:
    assert parse(sarif([result(**more)]))["findings"] == []


@pytest.mark.parametrize("state", ["new", "unchanged", "updated"])
def test_only_our_own_baseline_tells_what_is_new(state: str) -> None:
    assert only(sarif([result(baselineState=state)]))["severity"] == "medium"


def test_fingerprints_do_not_depend_on_lines_or_numbers() -> None:
    assert prints(sarif([at(3, "Line 3 is bad")])) == prints(sarif([at(90, "Line 90 is bad")]))
    assert prints(sarif([at(3)])) != prints(sarif([at(3, "Other")]))
    assert prints(sarif([at(3)])) != prints(sarif([at(3, ruleId="R9")]))


def test_a_second_equal_finding_is_a_new_one() -> None:
    one, two = prints(sarif([at(3)])), prints(sarif([at(3), at(9)]))
    assert len(two) == 2
    assert one < two


def test_the_same_result_twice_is_one() -> None:
    assert len(prints(sarif([at(3), at(3)]))) == 1


def test_fingerprints_of_the_tool_are_used() -> None:
    full: dict[str, Any] = {"fingerprints": {"v1": "abc"}}
    assert prints(sarif([at(3, "x", **full)])) == prints(sarif([at(8, "y", **full)]))
    partial: dict[str, Any] = {"partialFingerprints": {"primaryLocationLineHash": "abc:1"}}
    assert prints(sarif([at(3, "x", **partial)])) == prints(sarif([at(8, "y", **partial)]))
    assert prints(sarif([at(3, **partial)])) != prints(sarif([at(3, ruleId="R9", **partial)]))


def test_runs_of_one_tool_are_added_up_and_categories_kept_apart() -> None:
    def run(uri: str, category: str = "") -> dict[str, Any]:
        made = result()
        made["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] = uri
        more = {"automationDetails": {"id": category}} if category else {}
        return {"tool": {"driver": {"name": "CodeQL"}}, "results": [made], **more}

    runs = [run("a.py"), run("b.py"), run("c.py", "lang:python/run-7")]
    signals = parse_report("sarif", json.dumps({"version": "2.1.0", "runs": runs}).encode())
    assert [(signal.part, len(signal.data["findings"])) for signal in signals] == [  # type: ignore[arg-type]
        ("CodeQL", 2),
        ("CodeQL:lang:python", 1),
    ]


@pytest.mark.parametrize(
    "run",
    [
        {"invocations": [{"executionSuccessful": False}]},
        {"invocations": [{"executionSuccessful": True}, {}]},
        {"results": None},
    ],
)
def test_a_run_that_did_not_finish_says_so(run: dict[str, Any]) -> None:
    log = json.loads(sarif([]))
    log["runs"][0].update(run)
    assert parse(json.dumps(log).encode())["execution_successful"] is False


def test_folders_of_the_machine_are_cut_off() -> None:
    made = result()
    made["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] = "file:///home/ci/w1/src/a.py"
    plain = sarif(
        [made], invocations=[{"executionSuccessful": True, "workingDirectory": {"uri": "file:///home/ci/w1"}}]
    )
    based = sarif([made], originalUriBaseIds={"SRC": {"uri": "file:///home/ci/w1/"}})
    assert only(plain)["path"] == only(based)["path"] == "src/a.py"


def test_messages_by_id_and_places_left_out() -> None:
    rules = [{"id": "R1", "messageStrings": {"m": {"text": "From the rule"}}}]
    found = only(sarif([{"ruleId": "R1", "message": {"id": "m"}}], rules=rules))
    assert (found["message"], found["path"], found["line"]) == ("From the rule", "", None)
    assert len(only(sarif([result("y" * 900)]))["message"]) == sarif_module.MAX_MESSAGE_CHARS


def test_part_names_fit_what_signals_allow() -> None:
    assert part_name("Scan It (v2)") == "Scan-It-v2"
    assert part_name("\u00fc\u00fc").startswith("unnamed-")
    assert len(part_name("x" * 300)) <= 80


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("out/unit.xml", "unit"),
        ("out\\unit tests.xml", "unit-tests"),
        ("결제-unit.xml", "결제-unit"),
        ("주문-unit.xml", "주문-unit"),
        ("über.report.xml", "über.report"),
        ("é\u202e.xml", None),
        ("é" * 300, None),
        (".xml", None),
    ],
)
def test_files_give_parts_that_tell_them_apart(file: str, part: str | None) -> None:
    made = file_part(file)
    assert part in (None, made)
    assert TypeAdapter(Part).validate_python(made) == made
    assert parse_report("sarif", sarif([]))[0].part == "Scan-It"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"version": "2.0.0", "runs": []}', "version '2.0.0'; 2.1.0 is read"),
        (b'{"version": "2.1.0", "runs": []}', "has no runs"),
        (b'{"version": "2.1.0", "runs": [1]}', "runs[0] is not an object"),
        (b'{"version": "2.1.0", "runs": [{"results": []}]}', "runs[0].tool.driver has no name"),
        (sarif([], externalPropertyFileReferences={"results": [{}]}), "keeps its results in other files"),
        (sarif([result()])[:-5], "may have been cut off"),
        (sarif([result()]) + b"{}", "trailing garbage"),
        (b"[]", "is not a JSON object"),
        (b'{"version": "2.1.0", "runs": {}}', "runs is not a list"),
        (b'{"version": "2.1.0", "runs": [{"results": 7}]}', "runs[0].results is not a list"),
        (b'{"version": "2.1.0", "runs": [{"results": [], "results": []}]}', "runs[0] has results twice"),
        (b'{"version": "2.1.0", "runs": [], "runs": []}', "has runs twice"),
        (b'{"version": "2.1.0", "runs": [{"results": [' + b"[" * 100, "nested more than 64"),
        (b'{"version": "2.1.0", "runs": [{"tool": ' + b"[" * 100, "nested more than 64"),
        (sarif([{"x": [0] * 400_001}]), "A result of the SARIF log holds more than 200000 values"),
        (sarif([], rules=[[0] * 1_000_001]), "heads of the SARIF log's runs hold more than 1000000 values"),
        (sarif([1]), "runs[0].results[0] is not an object"),  # type: ignore[list-item]
        (sarif([result(locations={})]), "runs[0].results[0].locations is not a list"),
    ],
)
def test_bad_logs_say_what_is_wrong(content: bytes, words: str) -> None:
    with pytest.raises(BadReport) as raised:
        parse_report("sarif", content)
    assert words in raised.value.message


def test_a_log_of_too_many_results_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif_log, "MAX_RESULTS", 2)
    assert len(parse(sarif([result(), result("other")]))["findings"]) == 2
    runs = json.loads(sarif([result(), result()]))["runs"]
    for many in (sarif([result()] * 3), json.dumps({"version": "2.1.0", "runs": runs * 2}).encode()):
        with pytest.raises(BadReport) as raised:
            parse_report("sarif", many)
        assert "more than 2 results: split it into parts" in raised.value.message


def test_a_refusal_that_quotes_the_log_can_be_stored() -> None:
    with pytest.raises(BadReport) as raised:
        parse_report("sarif", sarif([], originalUriBaseIds={"a\x00b": 5}))
    assert raised.value.message == "runs[0].originalUriBaseIds.a\ufffdb is not an object."


def test_a_byte_order_mark_is_no_harm() -> None:
    assert parse(b"\xef\xbb\xbf" + sarif([]))["findings"] == []


def test_results_may_stand_before_the_tool_and_the_version() -> None:
    text = """{"runs": [{"results": [{"ruleId": "R1", "message": {"text": "m"}}], "extra": [[{"runs": [1]}]], "tool":
        {"driver": {"name": "t", "rules": [{"id": "R1", "defaultConfiguration": {"level": "error"}}]}}},
        {"tool": {"driver": {"name": "u"}}, "results": []},
        {"results": [{"message": {"text": "n"}, "level": "note"}], "tool": {"driver": {"name": "t"}}}],
        "version": "2.1.0"}"""
    first, second = parse_report("sarif", text.encode())
    assert (first.part, first.data["summary"]) == ("t", "2 findings: 1 high, 1 low")
    assert (second.part, second.data["summary"]) == ("u", "0 findings")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_any_unicode_encoding_is_read(encoding: str) -> None:
    content = sarif([result("gef\u00e4hrlich")]).decode()
    assert only(content.replace("\\u00e4", "\u00e4").encode(encoding))["message"] == "gef\u00e4hrlich"


def test_bytes_that_are_no_utf8_are_read_with_a_note() -> None:
    data = parse(sarif([result("caf?")]).replace(b"caf?", b"caf\xe9\x00\x1b"))
    assert (data["findings"][0]["message"], len(data["notes"])) == ("caf\u00e9", 1)


@pytest.mark.parametrize(
    ("automation", "part"),
    [
        ("frontend", "Scan-It:frontend"),
        ("lang:python/run-7", "Scan-It:lang:python"),
        ("a/b/run", "Scan-It:a-b"),
        ("category/", "Scan-It:category"),
        ("/run-7", "Scan-It"),
        ("", "Scan-It"),
        ("2026-11-27T22:08:48Z", "Scan-It"),
        ("20261127-220848", "Scan-It"),
        ("4711", "Scan-It"),
        ("6f9619ff-8b86-d011-b42d-00c04fc964ff", "Scan-It"),
        ("{6F9619FF-8B86-D011-B42D-00C04FC964FF}", "Scan-It"),
        ("0cf119f0cf119f0cf119f0cf119f0cf119f0cf11", "Scan-It"),
    ],
)
def test_the_id_of_a_scan_tells_it_from_others_unless_it_only_names_a_run(automation: str, part: str) -> None:
    (signal,) = parse_report("sarif", sarif([], automationDetails={"id": automation}))
    assert signal.part == part


def test_paths_by_the_index_of_an_artifact() -> None:
    made = result()
    made["locations"][0]["physicalLocation"]["artifactLocation"] = {"index": 1}
    artifacts = [{"location": {"uri": "a.py"}, "contents": {"text": "x"}}, {"location": {"uri": "b.py"}}]
    assert only(sarif([made], artifacts=artifacts))["path"] == "b.py"
    assert only(sarif([made]))["path"] == ""


@pytest.mark.parametrize(
    ("level", "severity", "notes"),
    [("Error", "high", 0), ("info", "low", 0), ("warn", "medium", 0), ("fatal", "high", 0), ("odd", "high", 1)],
)
def test_levels_beside_the_standard(level: str, severity: str, notes: int) -> None:
    data = parse(sarif([result(level=level)]))
    assert (data["findings"][0]["severity"], len(data["notes"])) == (severity, notes)


@pytest.mark.parametrize(
    ("invocation", "finished"),
    [({"exitCode": 0}, True), ({"exitCode": 1}, False), ({"exitCode": 0, "executionSuccessful": False}, False)],
)
def test_an_exit_code_of_zero_is_success_where_nothing_else_is_said(invocation: Any, finished: bool) -> None:
    assert parse(sarif([], invocations=[invocation]))["execution_successful"] is finished


def test_numbers_of_any_size_are_read() -> None:
    text = sarif([result(partialFingerprints={"h": 1})]).replace(b'"h": 1', b'"h": 123456789012345678901234567890.5')
    assert only(text)["fingerprint"]
    score = sarif([result(properties={"security-severity": 7.5})])
    assert only(score)["severity"] == "high"


def test_findings_beyond_what_is_listed_are_counted_and_severe_ones_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif_module, "MAX_SEVERE", 2)
    monkeypatch.setattr(sarif_module, "MAX_LESSER", 1)
    monkeypatch.setattr(sarif_module, "MAX_DETAILED", 1)
    severe = [at(line, f"bad {word}", level="error") for line, word in enumerate("abcd", 1)]
    data = parse(sarif([*severe, at(8, "x", level="note"), at(9, "y", level="note")]))
    assert (data["counts"]["high"], data["counts"]["low"], len(data["findings"])) == (4, 2, 3)
    assert len(data["severe_packed"]) == 2 * PRINT_CHARS
    assert ["message" in found for found in data["findings"]] == [True, False, False]
    assert len(data["notes"]) == 2

    def new(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
        current, baseline = ([fact("scan.sarif", one, part="s")] for one in (now, before))
        derived = derive("scan.sarif", current, baseline, {})
        assert derived["new_severe_count"] == len(derived["new_severe"])
        return list(derived["new_severe"])

    assert new(data, data) == []
    more = parse(sarif([at(7, "bad new", level="error"), *severe]))
    assert new(data, more) == ["R1 in src/a.py:7"]
    assert new(data, parse(sarif([*severe, at(7, "bad new", level="error")]))) == ["one that is not listed"]
    monkeypatch.setattr(sarif_module, "MAX_SEVERE", 9)
    assert new(data, parse(sarif(severe[::-1]))) == []
    assert new(parse(sarif(severe[1:])), data) == ["R1 in src/a.py:1"]
