"""The quality reports that were made: the list of them, and their files in the store."""

from __future__ import annotations

from typing import get_args

import asyncpg

from libs.common.contracts.blobs import Blob
from libs.common.contracts.operations import quality as contract
from libs.common.contracts.operations.quality import Format, ReportFilter, ReportKey, ReportList, ReportRow
from libs.common.problems import NotFound
from libs.common.service import Read, Table
from services.operations import archives
from services.operations.archives import QUALITY

LIST_REPORTS = """
SELECT run_id, report_window, label, made_at, trigger, status, complete, counts, critical_findings, archive_error
FROM quality_report WHERE $1::text IS NULL OR report_window = $1 ORDER BY made_at DESC, run_id DESC LIMIT $2
"""


async def list_reports(read: Read, wanted: ReportFilter) -> ReportList:
    """The newest, each with the files that lie in the store now."""
    rows = await read.pool.fetch(LIST_REPORTS, wanted.window, wanted.limit)
    stored = await archives.of_runs(read.pool, [row["run_id"] for row in rows])
    return ReportList(count=len(rows), rows=[_row(row, stored.get(row["run_id"], {})) for row in rows])


def _row(row: asyncpg.Record, files: dict[str, tuple[str, str]]) -> ReportRow:
    named = {
        f"{kind}_{what}": files[kind][place] if kind in files else None
        for kind in get_args(Format)
        for place, what in enumerate(("file", "sha256"))
    }
    return ReportRow(
        run_id=row["run_id"],
        window=row["report_window"],
        label=row["label"],
        made_at=row["made_at"],
        trigger=row["trigger"],
        status=row["status"],
        complete=row["complete"],
        counts_for_streak=row["counts"],
        critical_findings_total=row["critical_findings"],
        archive_error=row["archive_error"],
        **named,
    )


async def get_file(read: Read, wanted: ReportKey) -> Blob:
    """A file of a report. Raises `NotFound`."""
    found = await archives.find(read.pool, wanted.report_run_id, wanted.kind, kind=QUALITY)
    if found is None:
        raise NotFound(
            f"The run {wanted.report_run_id} has no report as {wanted.kind}; list them under {contract.BASE}/archive."
        )
    return found


TABLE = Table(queries={contract.list_reports: list_reports, contract.get_report_file: get_file})
