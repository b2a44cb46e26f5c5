"""Scanners, SBOMs and VEX: what is read, and what a gate makes of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from libs.judge.derive import derive
from libs.judge.facts import Fact, Facts
from libs.judge.kinds import check_data
from libs.judge.policy import parse_policy
from libs.judge.verdict import RuleResult, judge
from libs.judge.vulnerabilities import package_of
from services.governance.domain.readers import vulnerabilities
from services.governance.domain.readers.reports import BadReport, parse_report
from services.governance.domain.readers.severity import vector_score
from tests.unit.governance.samples import NOW, fact

KIND, VEX = "scan.vulnerabilities", "vex.statements"
POLICY = parse_policy(
    b"""
name: supply
title: Supply chain
description: No new severe vulnerability.
subject_mode: version
allow_warning: true
min_weighted_score_percent: 0
rules:
  - id: no_new
    title: No new severe vulnerability
    required: true
    weight: 1
    kind: scan.vulnerabilities
    scope: version
    max_age_hours: 24
    condition: derived.new_severe_count == 0 && derived.failed_parts.size() == 0 && derived.exploited_count == 0
    observed: "{derived.new_severe_count} new ({derived.new_severe}), lifted {derived.lifted}"
    wanted: 0 new
""",
    "supply.yaml",
)
DIGEST = "sha256:" + "a" * 64


def read(name: str, content: Any) -> dict[str, Any]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    (signal,) = parse_report(name, raw)
    assert check_data(signal.kind, signal.data) == []
    return dict(signal.data)


def trivy(*found: dict[str, Any], **more: Any) -> dict[str, Any]:
    result = {"Target": "a", "Class": "lang-pkgs", "Vulnerabilities": list(found)}
    return {
        "SchemaVersion": 2,
        "ArtifactName": "shop:1",
        "Metadata": {"RepoDigests": [f"r/shop@{DIGEST}"]},
        "Results": [result],
        **more,
    }


def found(name: str = "CVE-2026-1", package: str = "pkg:npm/%40shop/cart@1.0", **more: Any) -> dict[str, Any]:
    plain = {"VulnerabilityID": name, "PkgName": "cart", "InstalledVersion": "1.0", "Severity": "HIGH"}
    return {**plain, "PkgIdentifier": {"PURL": package}, **more}


def openvex(*statements: dict[str, Any], **more: Any) -> dict[str, Any]:
    about = {"@context": "https://openvex.dev/ns/v0.2.0", "timestamp": "2026-03-01T06:00:00Z"}
    return {**about, "statements": list(statements), **more}


def says(status: str = "not_affected", name: str = "CVE-2026-1", **more: Any) -> dict[str, Any]:
    plain = {"vulnerability": {"name": name}, "products": [{"@id": "pkg:npm/%40shop/cart"}], "status": status}
    return {**plain, "justification": "vulnerable_code_not_present", **more}


def as_fact(name: str, content: Any, age: timedelta = timedelta(hours=1), part: str = "app") -> Fact:
    (signal,) = parse_report(name, json.dumps(content).encode())
    return fact(signal.kind, signal.data, part=part, age=age, version="1.0")


def judged(*current: Fact, baseline: tuple[Fact, ...] = ()) -> RuleResult:
    run = 7 if baseline else None
    return judge(POLICY, Facts(current, baseline, run, "1.0"), NOW).rules[0]


NPM7 = {
    "auditReportVersion": 2,
    "vulnerabilities": {
        "cart": {
            "name": "cart",
            "severity": "high",
            "via": [
                {
                    "source": 1,
                    "name": "cart",
                    "url": "https://github.com/advisories/GHSA-aaaa-bbbb-cccc",
                    "severity": "high",
                    "cvss": {"score": 7.5},
                }
            ],
            "fixAvailable": True,
        },
        "shop": {"name": "shop", "severity": "high", "via": ["cart"], "fixAvailable": False},
    },
    "metadata": {"dependencies": {"total": 9}},
}
NPM6 = {
    "actions": [],
    "advisories": {
        "1": {
            "id": 1,
            "module_name": "cart",
            "severity": "moderate",
            "cves": ["CVE-2026-1"],
            "github_advisory_id": "GHSA-aaaa-bbbb-cccc",
            "findings": [{"version": "1.0"}],
        }
    },
}
GRYPE = {
    "matches": [
        {
            "vulnerability": {
                "id": "GHSA-aaaa-bbbb-cccc",
                "severity": "Unknown",
                "cvss": [{"vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "metrics": {"baseScore": 9.8}}],
                "epss": [{"epss": 0.5}],
                "knownExploited": [{"cve": "CVE-2026-1"}],
                "fix": {"versions": ["1.1"]},
            },
            "relatedVulnerabilities": [{"id": "CVE-2026-1"}],
            "artifact": {"name": "cart", "version": "1.0", "purl": "pkg:npm/cart@1.0"},
        }
    ],
    "source": {"type": "image", "target": {"userInput": "shop:1"}},
}
PIP = {"dependencies": [{"name": "Zope.Cart", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2026-1"]}]}]}
BOM = {
    "bomFormat": "CycloneDX",
    "components": [
        {
            "type": "library",
            "bom-ref": "c1",
            "name": "cart",
            "version": "1.0",
            "purl": "pkg:npm/cart@1.0",
            "licenses": [{"license": {"id": "MIT"}}, {"expression": "GPL-2.0 OR MIT"}],
            "components": [{"type": "library", "name": "inner"}],
        },
        {"type": "file", "name": "a.js"},
    ],
}
RATED = {
    "id": "CVE-2026-1",
    "ratings": [{"severity": "low"}, {"method": "CVSSv31", "score": 9.1}],
    "affects": [{"ref": "c1"}],
}


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("trivy", trivy(found()), ("CVE-2026-1", "pkg:npm/%40shop/cart@1.0", "high")),
        ("grype", GRYPE, ("CVE-2026-1", "pkg:npm/cart@1.0", "critical")),
        ("npm-audit", NPM7, ("GHSA-AAAA-BBBB-CCCC", "pkg:npm/cart", "high")),
        ("npm-audit", NPM6, ("CVE-2026-1", "pkg:npm/cart", "medium")),
        ("pip-audit", PIP, ("CVE-2026-1", "pkg:pypi/zope-cart", "high")),
        ("pip-audit", PIP["dependencies"], ("CVE-2026-1", "pkg:pypi/zope-cart", "high")),
        ("cyclonedx-scan", {**BOM, "vulnerabilities": [RATED]}, ("CVE-2026-1", "pkg:npm/cart@1.0", "critical")),
    ],
)
def test_what_scanners_find(name: str, content: Any, wanted: tuple[str, str, str]) -> None:
    data = read(name, content)
    (one,) = data["findings"]
    assert (one["id"], one["package"], one["severity"]) == wanted
    assert data["execution_successful"] is True
    assert data["incomplete"] == []


def test_what_grype_tells_beside() -> None:
    (one,) = read("grype", GRYPE)["findings"]
    assert (one["score"], one["epss"], one["exploited"], one["fixed_in"]) == (9.8, 0.5, True, "1.1")


def test_aliases_and_versions_are_one_finding() -> None:
    data = read(
        "trivy", trivy(found(), found(InstalledVersion="1.1", PkgIdentifier={"PURL": "pkg:npm/@shop/cart@1.1"}))
    )
    (one,) = data["findings"]
    assert one["version"] == "1.0, 1.1"
    other = read("trivy", trivy(found("GHSA-1", VendorIDs=["CVE-2026-1"], InstalledVersion="2.0")))["findings"][0]
    assert (other["fingerprint"], other["aliases"]) == (one["fingerprint"], ["GHSA-1"])


def test_what_is_not_rated_counts_as_high() -> None:
    data = read("trivy", trivy(found(Severity="UNKNOWN"), found("CVE-2026-2", Severity="NEGLIGIBLE")))
    assert [one["severity"] for one in data["findings"]] == ["high", "low"]
    assert data["notes"] == ["1 finding without a severity: counted as high."]
    assert read("trivy", trivy(found(Severity="UNKNOWN", CVSS={"nvd": {"V3Score": 5.5}})))["counts"]["medium"] == 1


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
        ("CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", 1.8),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:R/S:C/C:L/I:L/A:N", 5.4),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ("CVSS:3.1/AV:N", None),
        ("CVSS:4.0/AV:N/AC:L", None),
        (5, None),
    ],
)
def test_the_base_score_of_a_vector(vector: Any, score: float | None) -> None:
    assert vector_score(vector) == score


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("trivy", {"SchemaVersion": 1}, "no Trivy report of schema version 2"),
        ("grype", {}, "no list of matches"),
        ("npm-audit", {"error": {"code": "ENOLOCK", "summary": "no lock"}}, "npm audit failed: no lock."),
        ("npm-audit", {}, "neither advisories nor vulnerabilities"),
        ("pip-audit", {}, "has no dependencies"),
        ("cyclonedx-scan", BOM, "it is an SBOM without a scan"),
        (
            "cyclonedx-scan",
            {**BOM, "metadata": {"tools": {"components": [{"name": "trivy"}]}}, "vulnerabilities": []},
            "as Trivy writes it into an SBOM that it did not scan",
        ),
        ("cyclonedx-vex", BOM, "lists no vulnerabilities"),
        ("openvex", openvex(), "has no statements"),
        ("openvex", openvex(says("harmless")), "status is 'harmless'; wanted one of not_affected"),
        ("spdx", {"spdxVersion": "SPDX-3.0"}, "SPDX-2.2 and SPDX-2.3 as JSON are read"),
        ("spdx", BOM, "It looks like a CycloneDX SBOM: send it as cyclonedx."),
        ("trivy", GRYPE, "send it as grype"),
        ("sarif", trivy(), "send it as trivy"),
    ],
)
def test_what_is_refused(name: str, content: Any, words: str) -> None:
    with pytest.raises(BadReport) as raised:
        read(name, content)
    assert words in raised.value.message


def test_a_scan_that_looked_at_nothing_did_not_finish() -> None:
    assert read("trivy", trivy(Results=[]))["execution_successful"] is False
    assert read("trivy", trivy(Results=[{"Target": "a", "Class": "secret"}]))["execution_successful"] is False
    assert read("trivy", trivy())["execution_successful"] is True
    assert read("pip-audit", {"dependencies": []})["execution_successful"] is False
    skipped = read("pip-audit", {"dependencies": [{"name": "a", "skip_reason": "local"}]})
    assert skipped["incomplete"] == [{"what": "audited packages", "announced": 1, "found": 0}]


def test_an_sbom_makes_no_finding() -> None:
    data = read("cyclonedx", {**BOM, "vulnerabilities": [RATED]})
    assert (data["component_count"], data["without_licence_count"], data["licences"]) == (
        2,
        1,
        ["GPL-2.0 OR MIT", "MIT"],
    )
    assert "send it as cyclonedx-scan" in data["notes"][0]
    spdx = {
        "spdxVersion": "SPDX-2.3",
        "documentDescribes": ["SPDXRef-me"],
        "packages": [
            {"SPDXID": "SPDXRef-me", "name": "shop"},
            {"SPDXID": "SPDXRef-a", "name": "cart", "versionInfo": "1", "licenseConcluded": "NOASSERTION",
             "licenseDeclared": "MIT"},
        ],
    }  # fmt: skip
    data = read("spdx", spdx)
    assert (data["component_count"], data["without_version_count"], data["licences"]) == (1, 0, ["MIT"])


XML = b"""<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="1"><components>
<component type="library" bom-ref="c1"><group>@shop</group><name>cart</name><version>1.0</version>
<description>x<b/></description><licenses><license><id>MIT</id></license><license/></licenses><purl>pkg:npm/cart@1.0</purl></component></components>
<vulnerabilities><vulnerability><id>CVE-2026-1</id><ratings><rating><score>7.5</score><method>CVSSv31</method></rating>
</ratings><affects><target><ref>c1</ref></target></affects>%s</vulnerability></vulnerabilities></bom>"""


def test_cyclonedx_as_xml() -> None:
    (one,) = read("cyclonedx-scan", XML % b"")["findings"]
    assert (one["package"], one["version"], one["severity"], one["score"]) == ("pkg:npm/cart@1.0", "1.0", "high", 7.5)
    assert read("cyclonedx", XML % b"")["licences"] == ["MIT"]
    lifted = b"<analysis><state>not_affected</state><justification>code_not_reachable</justification></analysis>"
    assert read("cyclonedx-scan", XML % lifted)["suppressed"] == 1
    (statement,) = read("cyclonedx-vex", XML % lifted)["statements"]
    assert (statement["packages"], statement["justification"]) == (["pkg:npm/cart@1.0"], "code_not_reachable")


@pytest.mark.parametrize(
    ("ref", "packages", "products"),
    [
        ("c1", ["pkg:npm/cart@1.0"], []),
        ("urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#c1", ["pkg:npm/cart@1.0"], []),
        ("urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg%3Anpm%2Fother%401", ["pkg:npm/other@1"], []),
        ("elsewhere", [], ["elsewhere"]),
    ],
)
def test_what_a_cyclonedx_vex_is_about(ref: str, packages: list[str], products: list[str]) -> None:
    stated = {"id": "CVE-2026-1", "analysis": {"state": "in_triage"}, "affects": [{"ref": ref}]}
    (one,) = read("cyclonedx-vex", {**BOM, "vulnerabilities": [stated]})["statements"]
    assert (one["packages"], one["products"], one["status"]) == (packages, products, "under_investigation")


def test_without_a_baseline_every_finding_is_new() -> None:
    result = judged(as_fact("trivy", trivy(found())))
    assert result.passed is False
    assert "1 new (CVE-2026-1 in pkg:npm/@shop/cart 1.0)" in result.observed
    known = as_fact("trivy", trivy(found(InstalledVersion="0.9")))
    assert judged(as_fact("trivy", trivy(found())), baseline=(known,)).passed is True


@pytest.mark.parametrize(
    ("statement", "lifted"),
    [
        (says(), True),
        (says(justification="", impact_statement="not called"), True),
        (says(justification=""), False),
        (says("fixed"), False),
        (says("affected"), False),
        (says(name="CVE-2026-9"), False),
        (says(vulnerability={"name": "GHSA-1", "aliases": ["cve-2026-1"]}), True),
        (says(products=[{"@id": "pkg:npm/%40shop/cart@1.0"}]), True),
        (says(products=[{"@id": "pkg:npm/%40shop/cart@0.9"}]), False),
        (says(products=[{"@id": "pkg:npm/cart"}]), False),
        (says(products=[{"@id": f"pkg:oci/shop@{DIGEST}"}]), True),
        (says(products=[{"@id": f"pkg:oci/shop@sha256:{'b' * 64}"}]), False),
        (says(products=[{"@id": "shop:1", "subcomponents": [{"@id": "pkg:npm/%40shop/cart"}]}]), True),
        (says(products=[{"@id": "shop:1", "subcomponents": [{"@id": "pkg:npm/other"}]}]), False),
        (says(products=[]), False),
    ],
)
def test_which_statements_lift_a_finding(statement: dict[str, Any], lifted: bool) -> None:
    vex = as_fact("openvex", openvex(statement))
    result = judged(as_fact("trivy", trivy(found())), vex)
    assert result.passed is lifted
    if lifted:
        assert "lifted CVE-2026-1 in pkg:npm/@shop/cart 1.0: " in result.observed
        assert vex.signal_id in result.facts_used


def test_the_newest_statement_counts_and_of_equals_the_one_that_lifts_nothing() -> None:
    scan = as_fact("trivy", trivy(found()))
    early, late = {"timestamp": "2026-02-01T00:00:00Z"}, {"timestamp": "2026-02-02T00:00:00Z"}
    assert judged(scan, as_fact("openvex", openvex(says("affected", **early), says(**late)))).passed is True
    assert judged(scan, as_fact("openvex", openvex(says("affected", **late), says(**early)))).passed is False
    for equals in ((says("affected"), says()), (says(), says("affected"))):
        assert judged(scan, as_fact("openvex", openvex(*equals))).passed is False


def test_a_time_in_the_future_does_not_win_over_what_comes_later() -> None:
    ahead = as_fact("openvex", openvex(says(timestamp="2099-01-01T00:00:00Z")), age=timedelta(hours=5), part="a")
    later = as_fact("openvex", openvex(says("affected", timestamp="2026-03-01T10:30:00Z")), part="b")
    assert judged(as_fact("trivy", trivy(found())), ahead, later).passed is False


def test_a_finding_that_only_a_statement_excused_counts_when_the_statement_goes() -> None:
    scan, vex = as_fact("trivy", trivy(found())), as_fact("openvex", openvex(says()))
    assert judged(scan, vex, baseline=(scan, vex)).passed is True
    assert judged(scan, baseline=(scan, vex)).passed is False


def test_a_broken_statement_lifts_nothing() -> None:
    broken = fact(VEX, {"statements": [{"id": "CVE-2026-1"}]}, version="1.0")
    assert judged(as_fact("trivy", trivy(found())), broken).passed is False
    other = fact(VEX, as_fact("openvex", openvex(says())).data, version="0.9")
    assert judged(as_fact("trivy", trivy(found())), other).passed is False  # of another version


def test_very_many_findings_are_kept_as_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vulnerabilities, "MAX_SEVERE", 1)
    scan = as_fact("trivy", trivy(*(found(f"CVE-2026-{n}") for n in range(3))))
    values = derive(KIND, [scan], [], {})
    assert (values["severe_count"], values["new_severe"][-1]) == (3, "one that is not listed")
    assert derive(KIND, [scan], [scan], {})["new_severe_count"] == 0


def test_a_package_without_its_version() -> None:
    assert package_of("pkg:npm/%40a/b@1.0?arch=x#sub") == "pkg:npm/@a/b"
    assert package_of("pkg:npm/@a/b") == "pkg:npm/@a/b"
    assert package_of(" Cart ") == "cart"


def test_totals_of_sboms_and_statements() -> None:
    sbom = fact("sbom.components", read("cyclonedx", BOM))
    assert derive("sbom.components", [sbom], [], {})["licences"] == ["GPL-2.0 OR MIT", "MIT"]
    stated = as_fact("openvex", openvex(says(), says("fixed")))
    assert derive(VEX, [stated], [], {})["not_affected_count"] == 1
