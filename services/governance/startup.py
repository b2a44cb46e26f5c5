"""Reads the policies at start. A policy that can't be used stops the process with one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from libs.common.runtime import StartError
from libs.judge.policy import Policy, PolicyError, apply_overrides, load_policies

OVERRIDE_PREFIX = "GOVERNANCE_GATE_"


def packaged_policies() -> dict[str, Policy]:
    """The policies that come with Headgate, without overrides."""
    return dict(_packaged())


@cache
def _packaged() -> Mapping[str, Policy]:
    # They don't change while a process runs, and reading them takes a tenth of a second.
    with resources.as_file(resources.files("services.governance") / "policies") as folder:
        return load_policies(folder)


def read_policies(folder: Path | None, environment: Mapping[str, str]) -> dict[str, Policy]:
    """The policies of ``folder``, else the packaged ones, with the overrides ``GOVERNANCE_GATE_*`` applied.

    Raises `StartError` naming file, rule and place.
    """
    try:
        if folder is not None and not folder.is_dir():
            raise StartError(f"HEADGATE_POLICIES_DIR: there is no folder {folder}")
        policies = packaged_policies() if folder is None else load_policies(folder)
        return _overridden(policies, environment)
    except PolicyError as error:
        raise StartError(error.message) from error
    except OSError as error:
        raise StartError(f"HEADGATE_POLICIES_DIR: a policy can't be read: {error}") from error


def _overridden(policies: Mapping[str, Policy], environment: Mapping[str, str]) -> dict[str, Policy]:
    """A name that no policy knows is refused: a typing mistake must not leave a gate as it was."""
    given = {
        name.removeprefix(OVERRIDE_PREFIX): value
        for name, value in environment.items()
        if name.startswith(OVERRIDE_PREFIX)
    }
    known = {setting.suffix for policy in policies.values() for setting in policy.settings}
    unknown = sorted(given.keys() - known)
    if unknown:
        names = ", ".join(OVERRIDE_PREFIX + suffix for suffix in sorted(known)) or "none"
        raise StartError(f"{OVERRIDE_PREFIX}{unknown[0][:80]} is no setting of a gate; known are {names}")
    changed = {}
    for name, policy in policies.items():
        mine = {setting.suffix for setting in policy.settings}
        changed[name] = apply_overrides(policy, {suffix: value for suffix, value in given.items() if suffix in mine})
    return changed
