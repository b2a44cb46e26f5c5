"""What the containers are told, read as the processes in them read it."""

from __future__ import annotations

import os
from unittest import mock

from pydantic import ValidationError
from pydantic_settings import SettingsError

from libs.common.settings import Settings
from tests.chart.judges import Resource


def misread(resources: list[Resource]) -> list[str]:
    """What the processes would not take of their environment, by the settings' own check."""
    problems = []
    for one in resources:
        spec = one["spec"].get("jobTemplate", one)["spec"].get("template", {}).get("spec", {})
        for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
            told = {entry["name"]: entry["value"] for entry in container.get("env", [])}
            with mock.patch.dict(os.environ, told, clear=True):
                try:
                    Settings()
                except (ValidationError, SettingsError) as error:
                    problems.append(f"{one['metadata']['name']} {container['name']}: {error}")
    return problems
