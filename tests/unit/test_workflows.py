"""The workflows of continuous integration: they run what the Makefile has, in the stages that were promised."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STAGES = {"lint", "install", "unit", "integration", "console", "coverage", "security", "faults", "chart", "image"}


def _jobs(path: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return jobs


def _commands(job: dict[str, Any]) -> list[str]:
    """The shell lines of a job's steps."""
    return [line.strip() for step in job.get("steps", []) for line in step.get("run", "").splitlines()]


def _made(job: dict[str, Any]) -> set[str]:
    """The targets of the Makefile that a job makes."""
    words = [
        word for line in _commands(job) if line.startswith("make ") for word in re.sub(r'"[^"]*"', "", line).split()
    ]
    return {word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)} - {"make"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_make_only_targets_that_are_there(path: Path) -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    made = {target for job in _jobs(path).values() for target in _made(job)}
    assert made
    assert made - set(phony[1].split()) == set()


def test_every_stage_is_a_job_that_makes_its_target() -> None:
    jobs = _jobs(ROOT / ".github/workflows/ci.yml")
    assert set(jobs) == STAGES
    renamed = {"install": "test-install", "console": "console-test"}
    for stage in STAGES:
        assert renamed.get(stage, stage) in _made(jobs[stage]), stage
    assert "sbom" in _made(jobs["image"])
    assert "--provenance" in " ".join(_commands(jobs["image"]))


def test_a_release_runs_every_check_first_and_attests_what_it_ships() -> None:
    jobs = _jobs(ROOT / ".github/workflows/release.yml")
    assert jobs["check"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["release"]["needs"] == ["check"]
    used = " ".join(step.get("uses", "") for step in jobs["release"]["steps"])
    assert "attest-build-provenance" in used
    assert "attest-sbom" in used


def test_tests_that_read_the_history_get_all_of_it() -> None:
    checkout = _jobs(ROOT / ".github/workflows/ci.yml")["integration"]["steps"][0]
    assert checkout["with"]["fetch-depth"] == 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_is_bounded_and_keeps_no_login(path: Path) -> None:
    for name, job in _jobs(path).items():
        if "uses" in job:
            continue
        assert job["timeout-minutes"] <= 60, name
        assert [s for s in job["steps"] if "checkout@" in s.get("uses", "") and s["with"]["persist-credentials"]] == []
