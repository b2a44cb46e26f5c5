"""What GitHub and GitLab wrap around the scripts: they set what the scripts read, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

CI = Path(__file__).parents[3] / "deploy" / "ci"
ACTIONS = {"gate.sh": CI / "github" / "action.yml", "smoke.sh": CI / "github" / "smoke" / "action.yml"}
TEMPLATES = {"gate.sh": CI / "gitlab" / "gate.yml", "smoke.sh": CI / "gitlab" / "smoke.yml"}


def _read(script: str) -> set[str]:
    """The variables that a script reads, as its head lists them."""
    head = (CI / script).read_text().split("set -u")[0]
    return set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", head)) - {"NO-GO", "MARKDOWN"}


def _document(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("script", ACTIONS)
def test_the_action_sets_what_the_script_reads_from_inputs_that_are_there(script: str) -> None:
    action = _document(ACTIONS[script])
    step = action["runs"]["steps"][-1]
    assert step["run"].endswith(f'/{script}"')
    assert set(step["env"]) <= _read(script)
    used = {name for value in step["env"].values() for name in re.findall(r"inputs\.([a-z-]+)", value)}
    assert used == set(action["inputs"])
    # The script lies where the action says, seen from the folder of the action.
    up = re.findall(r"GITHUB_ACTION_PATH/([./]+)", "".join(one["run"] for one in action["runs"]["steps"]))
    folder = ACTIONS[script].parent
    assert ((folder / up[0]) / "pyproject.toml").resolve().is_file()
    assert (folder / up[1] / script).resolve() == (CI / script)


@pytest.mark.parametrize("script", TEMPLATES)
def test_the_template_sets_what_the_script_reads(script: str) -> None:
    (job,) = _document(TEMPLATES[script]).values()
    assert set(job["variables"]) <= _read(script)
    assert script in job["script"][0]
    assert job["artifacts"]["paths"] == [job["variables"]["SUMMARY"]]
