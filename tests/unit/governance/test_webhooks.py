"""What webhooks of GitHub and GitLab say, and that nothing but a success of the repository itself is one."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.judge.facts import Fact, Facts
from libs.judge.kinds import check_data
from libs.judge.pipelines import of_deployments, of_pipelines
from libs.judge.policy import parse_policy
from libs.judge.report_base import BadReport
from libs.judge.verdict import judge
from services.governance.domain.webhooks.delivery import Ignored, Mapped, Told, time_of
from services.governance.domain.webhooks.github import CONCLUSIONS, read_github
from services.governance.domain.webhooks.gitlab import STATES, read_gitlab
from tests.unit.governance.samples import NOW, tiny_policy

SHA = "5f2b" * 10
POLICY_OF_PIPELINES = tiny_policy(
    settings="",
    subject_mode="subject_mode: version",
    scope="    scope: version",
    kind="    kind: ci.pipeline",
    condition="    condition: derived.not_succeeded_count == 0 && derived.succeeded_count > 0",
    observed='    observed: "{derived.not_succeeded_count} not succeeded"',
)
T = "2026-03-01T11:00:0"


def workflow_run(conclusion: str | None = "success", **changes: Any) -> dict[str, Any]:
    """A delivery of ``workflow_run``; ``action`` beside, all else within the run."""
    action = changes.pop("action", "completed")
    run = {
        "id": 7001,
        "name": "CI",
        "path": ".github/workflows/ci.yml",
        "head_branch": "main",
        "head_sha": SHA,
        "run_attempt": 1,
        "event": "push",
        "status": "completed",
        "conclusion": conclusion,
        "html_url": "https://github.com/acme/shop/actions/runs/7001",
        "run_started_at": f"{T}1Z",
        "updated_at": f"{T}5Z",
        "head_repository": {"full_name": "acme/shop"},
        **changes,
    }
    return {"action": action, "workflow_run": run, "repository": {"full_name": "acme/shop"}}


def check_suite(action: str = "completed", **changes: Any) -> dict[str, Any]:
    suite = {
        "id": 9, "head_branch": "main", "head_sha": SHA, "status": "completed", "conclusion": "success",
        "created_at": f"{T}1Z", "updated_at": f"{T}5Z", "app": {"slug": "circleci-checks"}, **changes,
    }  # fmt: skip
    return {"action": action, "check_suite": suite, "repository": {"full_name": "acme/shop"}}


def deployment(state: str = "success", deployment_id: int = 41, at: str = f"{T}5Z", **changes: Any) -> dict[str, Any]:
    return {
        "action": "created",
        "deployment_status": {"id": 1, "state": state, "environment": "staging", "created_at": at},
        "deployment": {
            "id": deployment_id, "sha": SHA, "ref": "main", "task": "deploy", "environment": "staging",
            "created_at": f"{T}0Z", **changes,
        },
        "repository": {"full_name": "acme/shop"},
    }  # fmt: skip


def pipeline(status: str = "success", **changes: Any) -> dict[str, Any]:
    jobs = changes.pop("builds", [])
    more = {key: changes.pop(key) for key in ("merge_request",) if key in changes}
    attributes = {
        "id": 31, "name": None, "ref": "main", "tag": False, "sha": SHA, "source": "push", "status": status,
        "created_at": "2026-03-01 11:00:00 UTC", "finished_at": "2026-03-01 11:00:05 UTC",
        "url": "https://gitlab.com/acme/shop/-/pipelines/31", **changes,
    }  # fmt: skip
    return {
        "object_kind": "pipeline", "object_attributes": attributes, "builds": jobs,
        "project": {"path_with_namespace": "acme/shop"}, **more,
    }  # fmt: skip


def lab_deployment(status: str = "success", **changes: Any) -> dict[str, Any]:
    return {
        "object_kind": "deployment", "status": status, "status_changed_at": "2026-03-01 12:00:05 +0100",
        "deployment_id": 15, "environment": "staging", "ref": "main", "short_sha": SHA[:8],
        "commit_url": f"https://gitlab.com/acme/shop/-/commit/{SHA}", "project": {"path_with_namespace": "acme/shop"},
        **changes,
    }  # fmt: skip


def lab(body: dict[str, Any]) -> Told:
    return read_gitlab("Pipeline Hook", body)


def test_a_run_that_ended_well_is_a_fact_of_its_commit() -> None:
    told = read_github("workflow_run", workflow_run())
    assert (told.kind, told.part, told.sha, told.ref) == ("ci.pipeline", "ci.yml push main", SHA, "main")
    assert (told.data["status"], told.data["said"], told.data["attempt"]) == ("succeeded", "success", 1)
    assert check_data(told.kind, told.data) == []
    told = lab(pipeline())
    assert (told.part, told.data["status"], told.data["system"]) == ("pipeline push main", "succeeded", "gitlab")
    assert check_data(told.kind, told.data) == []
    told = read_github("deployment_status", deployment())
    assert (told.kind, told.part, told.data["status"]) == ("deploy.status", "staging", "succeeded")
    assert check_data(told.kind, told.data) == []
    told = read_github("check_suite", check_suite())
    assert (told.part, told.data["status"]) == ("circleci-checks check_suite main", "succeeded")
    assert check_data(told.kind, told.data) == []


@pytest.mark.parametrize("conclusion", [*sorted(set(CONCLUSIONS) - {"success"}), "brand_new", "", "SUCCESS", None, 1])
def test_no_other_conclusion_is_success(conclusion: Any) -> None:
    for body, event in (
        (workflow_run(conclusion), "workflow_run"),
        (check_suite(conclusion=conclusion), "check_suite"),
    ):
        told = read_github(event, body)
        assert told.data["status"] != "succeeded"
        assert check_data(told.kind, told.data) == []


@pytest.mark.parametrize("action", ["requested", "in_progress", "rerequested", "", None, 3])
@pytest.mark.parametrize("status", ["queued", "in_progress", "completed", "", None])
def test_a_run_has_ended_only_if_event_and_run_say_so(action: Any, status: Any) -> None:
    told = read_github("workflow_run", workflow_run("success", action=action, status=status))
    assert told.data["status"] in ("waiting", "running")
    assert read_github("check_suite", check_suite(action, status=status)).data["status"] in ("waiting", "running")
    told = read_github("workflow_run", workflow_run("success", action="completed", status="in_progress"))
    assert told.data["status"] == "running"


@pytest.mark.parametrize("status", [*sorted(set(STATES) - {"success"}), "brand_new", "", None, 1])
def test_no_other_status_of_gitlab_is_success(status: Any) -> None:
    told = lab(pipeline(status))
    assert told.data["status"] != "succeeded"
    assert check_data(told.kind, told.data) == []


@pytest.mark.parametrize("state", ["failure", "error", "pending", "queued", "in_progress", "inactive", "brand_new", ""])
def test_no_other_state_of_a_deployment_is_success(state: str) -> None:
    told = read_github("deployment_status", deployment(state))
    assert told.data["status"] != "succeeded"
    assert told.replaced is (state == "inactive")
    assert check_data(told.kind, told.data) == []


def test_a_deployment_of_gitlab_is_one_of_its_commit() -> None:
    told = read_gitlab("Deployment Hook", lab_deployment())
    assert (told.kind, told.part, told.sha, told.ref) == ("deploy.status", "staging", SHA, "main")
    assert (told.data["status"], told.data["ended_at"]) == ("succeeded", "2026-03-01T11:00:05Z")
    assert check_data(told.kind, told.data) == []
    for status in ("failed", "canceled", "running", "created", "blocked", "skipped", "", None):
        told = read_gitlab("Deployment Hook", {**lab_deployment(), "status": status})
        assert told.data["status"] != "succeeded"
        assert check_data(told.kind, told.data) == []
    # The short name of a commit could be that of another: without the whole there is no version.
    for address in (None, "", f"https://gitlab.com/acme/shop/-/commit/{SHA[:8]}", f"https://x/{SHA}"):
        told = read_gitlab("Deployment Hook", lab_deployment(commit_url=address))
        with pytest.raises(Ignored, match="no commit"):
            Mapped({}).target(told)
    odd: tuple[dict[str, Any], ...] = ({"project": {}}, {"environment": None}, {"object_kind": "build"})
    for broken in odd:
        with pytest.raises(BadReport):
            read_gitlab("Deployment Hook", lab_deployment(**broken))


def test_what_comes_later_within_a_second_is_newer() -> None:
    words = [("queued", "requested"), ("in_progress", "in_progress"), ("completed", "completed")]
    times = [
        read_github("workflow_run", workflow_run(status=status, action=action, run_attempt=attempt)).time
        for attempt in (1, 2)
        for status, action in words
    ]
    assert times == sorted(set(times), key=lambda time: time or datetime.min.replace(tzinfo=UTC))
    good, bad = (read_github("deployment_status", deployment(state)).time for state in ("success", "failure"))
    assert good is not None
    assert bad is not None
    assert good < bad
    # A suite that is requested again still tells of the run before: only its receipt is its own.
    assert read_github("check_suite", check_suite("rerequested")).time is None


def test_a_job_that_runs_again_makes_its_pipeline_newer() -> None:
    again = [{"created_at": "2026-03-01 11:30:00 UTC", "started_at": None}]
    ended, running = lab(pipeline("success")), lab(pipeline("running", builds=again))
    assert ended.time is not None
    assert running.time is not None
    assert ended.time < running.time
    assert lab(pipeline("success", created_at=None, finished_at="soon", builds="none")).time is None


def test_parts_keep_apart_what_could_hide_each_other() -> None:
    parts = {
        read_github("workflow_run", workflow_run(**change)).part
        for change in (
            {},
            {"event": "schedule"},
            {"head_branch": "release"},
            {"path": ".github/workflows/nightly.yml"},  # of the same name
        )
    }
    assert len(parts) == 4
    parts = {lab(pipeline(**change)).part for change in ({}, {"tag": True}, {"source": "schedule"}, {"ref": "x"})}
    assert len(parts) == 4
    assert read_github("workflow_run", workflow_run(path=".github/workflows/ci.yml@main")).part == "ci.yml push main"
    assert read_github("deployment_status", deployment(task="deploy:migrations")).part == "staging deploy:migrations"


def test_other_peoples_code_says_nothing() -> None:
    for fork in ({"full_name": "mallory/shop"}, None, {}):
        with pytest.raises(Ignored, match=r"acme/shop itself"):
            read_github("workflow_run", workflow_run(head_repository=fork))
    with pytest.raises(Ignored, match="fork"):
        lab(pipeline(merge_request={"source_project_id": 5, "target_project_id": 1}))
    assert lab(pipeline(merge_request={"source_project_id": 1, "target_project_id": 1})).part


@pytest.mark.parametrize(
    ("event", "body", "why"),
    [
        ("ping", {"zen": "Keep it logically awesome."}, "ping"),
        ("issues", {"action": "opened"}, "workflow_run, check_suite, deployment_status"),
        ("check_suite", check_suite(app={"slug": "github-actions"}), "workflow_run"),
    ],
)
def test_what_is_not_judged_says_why(event: str, body: dict[str, Any], why: str) -> None:
    with pytest.raises(Ignored, match=why):
        read_github(event, body)
    with pytest.raises(Ignored, match="Pipeline Hook"):
        read_gitlab("Push Hook", {})
    with pytest.raises(Ignored, match="depend"):
        lab(pipeline(source="parent_pipeline"))


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("workflow_run", {}),
        ("workflow_run", {"repository": {"full_name": "acme/shop"}}),
        ("workflow_run", {**workflow_run(), "repository": "acme/shop"}),
        ("workflow_run", workflow_run(path=None, name=None)),
        ("check_suite", check_suite(app=None)),
        ("deployment_status", deployment(deployment_id=-1)),
        ("deployment_status", {**deployment(environment=""), "deployment_status": {"state": "success"}}),
    ],
)
def test_a_broken_body_is_refused(event: str, body: dict[str, Any]) -> None:
    with pytest.raises(BadReport):
        read_github(event, body)
    odd: list[dict[str, Any]] = [{}, {"object_attributes": []}]
    for broken in (*odd, {**pipeline(), "project": {}}, {**pipeline(), "object_kind": "push"}):
        with pytest.raises(BadReport):
            lab(broken)


def test_whom_a_delivery_is_about() -> None:
    told = read_github("workflow_run", workflow_run())
    assert Mapped({}).target(told) == ("acme/shop", SHA)
    assert Mapped({"Acme/Shop": "shop"}).target(told) == ("shop", SHA)
    with pytest.raises(Ignored, match="none of those"):
        Mapped({"acme/till": "till"}).target(told)
    tag = read_github("workflow_run", workflow_run(head_branch="v1.4.0"))
    by_tag = Mapped({}, "ref", ("v*",), "v")
    assert by_tag.target(tag) == ("acme/shop", "1.4.0")
    with pytest.raises(Ignored, match="none of the webhook's refs"):
        by_tag.target(told)
    with pytest.raises(Ignored, match="no branch or tag"):
        Mapped({}, "ref").target(read_github("workflow_run", workflow_run(head_branch=None)))
    with pytest.raises(Ignored, match="no commit"):
        Mapped({}).target(read_github("workflow_run", workflow_run(head_sha="")))
    for odd in ("a\u202eb", " v", "v1.4.0\n"):
        with pytest.raises(Ignored):
            Mapped({}, "ref", drop_prefix="?").target(read_github("workflow_run", workflow_run(head_branch=odd)))


def facts(*data: dict[str, Any]) -> list[Fact]:
    return [Fact("any", str(number), number, "/test", str(number), NOW, one) for number, one in enumerate(data)]


def test_what_a_rule_sees_of_several_runs() -> None:
    def a_run(name: str, status: str, event: str = "push") -> dict[str, str]:
        return {"name": name, "status": status, "event": event, "ref": "main", "sha": SHA}

    seen = of_pipelines(
        facts(a_run("a", "succeeded"), a_run("b", "cancelled"), a_run("c", "running"), a_run("a", "unknown")),
        facts(a_run("a", "succeeded", "schedule"), a_run("gone", "succeeded")),
        {},
    )
    assert seen["succeeded"] == [], "one of the runs of that name has not succeeded"
    assert (seen["succeeded_count"], seen["not_succeeded_count"], seen["unfinished_count"]) == (1, 3, 1)
    assert seen["failed"] == ["a push main (unknown)", "b push main (cancelled)"]
    assert seen["unfinished"] == ["c push main (running)"]
    assert seen["missing_parts"] == ["gone"]
    ran = [
        {"environment": one, "status": status} for one, status in (("staging", "succeeded"), ("prod", "rolled_back"))
    ]
    assert of_deployments(facts(*ran), (), {})["succeeded"] == ["staging"]
    assert of_pipelines((), (), {})["succeeded_count"] == 0


def test_a_run_that_has_not_ended_is_no_evidence_that_a_waiver_could_cover() -> None:
    policy = parse_policy(POLICY_OF_PIPELINES, "shop.yaml")
    for status, well in (("completed", True), ("queued", False)):
        data = read_github("workflow_run", workflow_run(status=status)).data
        fact = Fact("ci.pipeline", "ci.yml push main", 1, "/test", "1", NOW, data, "1.0")
        (result,) = judge(policy, Facts((fact,), version="1.0"), NOW).rules
        assert (result.passed, result.has_evidence) == (well, well), result


def test_times_of_both_systems() -> None:
    assert time_of("2016-08-12 15:23:28 UTC") == datetime(2016, 8, 12, 15, 23, 28, tzinfo=UTC)
    assert time_of("2026-03-01T11:00:05+01:00") == datetime(2026, 3, 1, 10, 0, 5, tzinfo=UTC)
    assert time_of("2026-03-01 11:00:05 -0230") == datetime(2026, 3, 1, 13, 30, 5, tzinfo=UTC)
    for odd in (
        None,
        5,
        "",
        "soon",
        "2026-03-01 11:00:00",
        "0001-01-01T00:00:00+14:00",
        " UTC",
        "2026-13-01 00:00:00 UTC",
    ):
        assert time_of(odd) is None, odd


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = list(
    itertools.chain(
        (("workflow_run", workflow_run(), "workflow_run", key) for key in workflow_run()["workflow_run"]),
        (("check_suite", check_suite(), "check_suite", key) for key in check_suite()["check_suite"]),
        (("deployment_status", deployment(), "deployment", key) for key in deployment()["deployment"]),
        (("Pipeline Hook", pipeline(), "object_attributes", key) for key in pipeline()["object_attributes"]),
        (("Deployment Hook", lab_deployment(), "", key) for key in lab_deployment()),
    )
)


@given(place=st.sampled_from(PLACES), value=JSON)
def test_any_value_anywhere_gives_a_signal_or_a_sentence(
    place: tuple[str, dict[str, Any], str, str], value: Any
) -> None:
    event, body, name, key = place
    odd = {**body, name: {**body[name], key: value}} if name else {**body, key: value}
    try:
        told = read_gitlab(event, odd) if event.endswith("Hook") else read_github(event, odd)
    except (Ignored, BadReport):
        return
    assert check_data(told.kind, told.data) == []
    assert 1 <= len(told.part) <= 200
    assert told.part.isprintable()
    assert told.time is None or math.isfinite(told.time.timestamp())
