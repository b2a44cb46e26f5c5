"""Operations' table of contents: it watches the installation itself."""

from __future__ import annotations

from libs.common.contracts.operations import CONTRACT
from libs.common.service import Service
from libs.common.settings import Settings
from services.operations import alerts, archives, daily, integrity, preflight, rehearsals, witnessed
from services.operations.backups import series, told
from services.operations.deployments import checklist, guides, records, reviews, uploads
from services.operations.reports import dora, files, making, pages, quality, streak
from services.operations.runbook import answers
from services.operations.security import pages as security_pages
from services.operations.security import telling


def make_service(settings: Settings) -> Service:
    """The service that raises alerts and keeps archives as the settings say."""
    return Service.of(
        CONTRACT,
        preflight.TABLE,
        answers.table(settings),
        rehearsals.TABLE,
        witnessed.TABLE,
        told.TABLE,
        daily.table(settings),
        alerts.TABLE,
        integrity.TABLE,
        guides.TABLE,
        checklist.table(settings),
        uploads.table(settings),
        records.table(settings),
        quality.TABLE,
        pages.TABLE,
        making.table(settings),
        streak.TABLE,
        files.TABLE,
        dora.TABLE,
        reviews.TABLE,
        telling.TABLE,
        telling.POLICY,
        security_pages.table(settings),
        archives.table(
            {
                archives.DAILY: settings.check_retention_days,
                archives.INTEGRITY: settings.check_retention_days,
                archives.DEPLOYMENTS: settings.deploy_retention_days,
                archives.QUALITY: settings.quality_report_retention_days,
            }
        ),
        gauges=series.measure,
    )
