"""Governance refuses to start with a policy that can't be used: one sentence, exit code 1, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.governance.startup import packaged_policies, read_policies
from tests.unit.governance.samples import POLICIES_FOLDER

pytestmark = pytest.mark.whole

RELEASE = (POLICIES_FOLDER / "release.yaml").read_text()


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    """Start the process as an operator would, without any server."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HEADGATE_", "GOVERNANCE_"))}
    return subprocess.run(
        [sys.executable, "-m", "services.governance"],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "derived.new_severe_count == 0 &&",
            "derived.new_severe_count === 0 &&",
            ("release.yaml", "rule sarif_no_new_high", "condition, column 28"),
        ),
        ("name: release", "name: release\nsurprise: 1", ("release.yaml", "unknown key surprise")),
        ("name: release", "name: [", ("release.yaml, line",)),
    ],
)
def test_a_bad_policy_is_named_with_rule_and_place(tmp_path: Path, old: str, new: str, words: tuple[str, ...]) -> None:
    assert old in RELEASE
    (tmp_path / "release.yaml").write_text(RELEASE.replace(old, new, 1))
    ended = start(HEADGATE_POLICIES_DIR=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.startswith("headgate governance: ")
    assert len(ended.stderr.splitlines()) == 1
    assert [word for word in words if word not in ended.stderr] == []


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"HEADGATE_POLICIES_DIR": "nowhere"}, "there is no folder nowhere"),
        ({"GOVERNANCE_GATE_DAILY_CHECK_MAX_AGE": "48"}, "is no setting of a gate; known are"),
        ({"GOVERNANCE_GATE_ALLOW_WARNING": "perhaps"}, "must be true or false"),
        ({}, "set HEADGATE_CAPSULE_KEY_FILE"),
        ({"HEADGATE_CAPSULE_SECRET": "short"}, "at least 20 characters"),
        ({"HEADGATE_CAPSULE_KEY_FILE": "nowhere.pem"}, "nowhere.pem can't be read"),
        ({"HEADGATE_CAPSULE_KEY_FILE": "pyproject.toml"}, "no private key in PEM"),
    ],
)
def test_bad_settings_refuse_to_start(environment: dict[str, str], words: str) -> None:
    ended = start(**environment)
    assert (ended.returncode, words in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)


def test_good_policies_get_as_far_as_the_servers() -> None:
    ended = start(HEADGATE_CAPSULE_SECRET="a-secret-of-the-tests")
    assert (ended.returncode, "HEADGATE_DATABASE_URL" in ended.stderr) == (1, True)


def test_an_empty_folder_is_no_policy(tmp_path: Path) -> None:
    ended = start(HEADGATE_POLICIES_DIR=str(tmp_path))
    assert (ended.returncode, "holds no policy" in ended.stderr) == (1, True)


def test_overrides_reach_the_policy_that_knows_them() -> None:
    overridden = read_policies(
        None,
        {"GOVERNANCE_GATE_DAILY_CHECK_MAX_AGE_HOURS": "0", "GOVERNANCE_GATE_MIN_LINE_COVERAGE_PERCENT": "90", "X": "1"},
    )
    daily = next(rule for rule in overridden["operations"].rules if rule.id == "daily_check_recent")
    assert daily.max_age_hours == 1
    assert overridden["release"].parameters["min_line_coverage_percent"] == 90
    assert {name: policy.digest != packaged_policies()[name].digest for name, policy in overridden.items()} == {
        "operations": True,
        "release": True,
    }
