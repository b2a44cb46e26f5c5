"""Operations' table of contents: it watches the installation itself."""

from __future__ import annotations

from libs.common.contracts.operations import CONTRACT
from libs.common.service import Service
from libs.common.settings import Settings
from services.operations import archives, daily, preflight, rehearsals, runbook


def make_service(settings: Settings) -> Service:
    """The service that raises alerts and keeps archives as the settings say."""
    return Service.of(
        CONTRACT,
        preflight.TABLE,
        runbook.TABLE,
        rehearsals.TABLE,
        daily.table(settings),
        archives.table(settings.check_retention_days),
    )
