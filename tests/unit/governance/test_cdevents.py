"""What CDEvents say of a run, a service, an artifact; and that no word but success is one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.judge.facts import Fact
from libs.judge.kinds import check_data
from libs.judge.pipelines import of_artifacts
from libs.judge.report_base import BadReport
from services.governance.domain.cdevents import Mapped, read_cdevent
from services.governance.domain.webhooks.delivery import Ignored
from tests.unit.governance.samples import NOW

PURL = "pkg:oci/shop@sha256%3A5f2b?repository_url=registry.example"
RUN = {"pipelineName": "build", "outcome": "success", "uri": "https://ci.example/1"}


def cdevent(subject: str, predicate: str, content: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The data of a CDEvent; ``id`` and ``custom`` beside, other changes in the context."""
    more = {"customData": {"headgate": changes.pop("custom")}} if "custom" in changes else {}
    return {
        "subject": {"id": changes.pop("id", "run-1"), "content": content or {}},
        **more,
        "context": {
            "specversion": "0.5.1",
            "id": "e1",
            "source": "/ci",
            "type": f"dev.cdevents.{subject}.{predicate}.0.3.0",
            "timestamp": "2026-03-01T11:00:05Z",
            **changes,
        },
    }


def read(*what: Any, **changes: Any) -> Mapped:
    body = cdevent(*what, **changes)
    found = read_cdevent(body["context"]["type"], body)
    assert check_data(found.kind, found.data) == []
    return found


def test_a_run_is_a_pipeline_under_its_name() -> None:
    found = read("pipelinerun", "finished", RUN, custom={"subject": "shop", "version": "1.0"})
    assert (found.kind, found.part, found.subject, found.version) == ("ci.pipeline", "build pipelinerun", "shop", "1.0")
    assert found.data["status"] == "succeeded"
    assert read("taskrun", "finished", {"taskName": "lint", "outcome": "success"}).part == "lint taskrun"
    suite = {"testSuite": {"id": "7", "name": "Auth"}, "outcome": "pass"}
    assert read("testsuiterun", "finished", suite).part == "Auth testsuiterun"
    old = {"pipelineName": "build", "url": "https://ci.example/1", "outcome": "success"}
    assert read("pipelinerun", "finished", old, version="0.3.0").data["url"] == "https://ci.example/1"


@pytest.mark.parametrize("outcome", ["failure", "fail", "error", "cancel", "skipped", "SUCCESS", "", None, 1, {}])
def test_no_other_outcome_is_success(outcome: Any) -> None:
    assert read("pipelinerun", "finished", {**RUN, "outcome": outcome}).data["status"] != "succeeded"


def test_a_run_that_has_not_finished_has_not_succeeded_and_is_older() -> None:
    found = [read("pipelinerun", predicate, RUN) for predicate in ("queued", "started", "finished")]
    assert [one.data["status"] for one in found] == ["waiting", "running", "succeeded"]
    times = [one.time for one in found]
    assert None not in times
    assert times == sorted(times, key=str)
    assert len(set(times)) == 3
    assert len({one.part for one in found}) == 1


def test_a_service_is_deployed_rolled_back_or_removed() -> None:
    content = {"environment": {"id": "e7", "name": "staging"}, "artifactId": PURL}
    found = read("service", "deployed", content, id="shop-web")
    assert (found.kind, found.part, found.package, found.digest) == (
        "deploy.status", "staging shop-web", "pkg:oci/shop", "sha256:5f2b",
    )  # fmt: skip
    assert (found.data["environment"], found.data["status"], found.undoes) == ("staging", "succeeded", False)
    for predicate, status in (("rolledback", "rolled_back"), ("removed", "removed")):
        undone = read("service", predicate, content, id="shop-web")
        assert (undone.data["status"], undone.part, undone.digest, undone.undoes) == (status, found.part, "", True)
    with pytest.raises(Ignored):
        read("service", "published", content)
    with pytest.raises(Ignored, match="no environment"):
        read("service", "deployed", {"artifactId": PURL})


def test_what_every_artifact_has_taken() -> None:
    def steps(*taken: tuple[str, str]) -> list[str]:
        facts = [
            Fact("artifact.step", f"{number}", number, "/x", "1", NOW, read("artifact", step, id=purl).data)
            for number, (step, purl) in enumerate(taken)
        ]
        found: list[str] = of_artifacts(facts, (), {})["steps"]
        return found

    assert steps(("packaged", PURL), ("signed", PURL)) == ["packaged", "signed"]
    assert steps(("packaged", PURL), ("signed", PURL), ("packaged", "pkg:oci/till@1")) == ["packaged"]
    assert steps(("signed", "pkg:oci/shop@1"), ("packaged", "pkg:oci/shop@2")) == [], "the other digest was signed"
    assert steps(("packaged", PURL), ("deleted", PURL)) == []
    assert steps() == []
    for odd in ("shop", "", "pkg:oci/" + "x" * 300):
        with pytest.raises(Ignored, match="purl"):
            read("artifact", "signed", id=odd)


@pytest.mark.parametrize(
    "type_",
    [
        "dev.cdevents.build.finished.0.3.0", "dev.cdevents.incident.detected.0.3.0", "dev.cdevents.x", "dev.cdevents.",
        "dev.cdevents.pipelinerun.finished", "dev.cdevents.environment.created.0.3.0",
    ],
)  # fmt: skip
def test_others_are_not_judged(type_: str) -> None:
    with pytest.raises(Ignored):
        read_cdevent(type_, cdevent("pipelinerun", "finished", RUN))


def test_broken_and_nameless_ones() -> None:
    odd: tuple[Any, ...] = (None, [], "x", 1, {}, {"subject": []})
    for broken in odd:
        with pytest.raises(BadReport):
            read_cdevent("dev.cdevents.pipelinerun.finished.0.3.0", broken)
    for content in ({}, {"pipelineName": ""}, {"pipelineName": " "}, {"pipelineName": 3}):
        with pytest.raises(Ignored, match="pipelineName"):
            read("pipelinerun", "finished", content)
    with pytest.raises(Ignored):
        read("pipelinerun", "exploded", RUN)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    type_=st.sampled_from(["pipelinerun", "taskrun", "testsuiterun", "service", "artifact"]),
    predicate=st.sampled_from(["finished", "started", "deployed", "rolledback", "signed"]),
    key=st.sampled_from(["pipelineName", "taskName", "testSuite", "outcome", "environment", "artifactId", "uri"]),
    value=JSON,
)
def test_any_content_is_a_signal_or_a_sentence(type_: str, predicate: str, key: str, value: Any) -> None:
    content = {**RUN, "taskName": "t", "testSuite": {"id": "s"}, "environment": {"id": "e"}, "artifactId": PURL}
    try:
        found = read(type_, predicate, {**content, key: value}, id=PURL)
    except Ignored:
        return
    assert found.part.isprintable()
