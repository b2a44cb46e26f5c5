"""What the commands print: tables and facts for people, JSON for programs, and progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.text import Text

from deploy.backup.create import Told
from deploy.backup.manifest import Manifest
from deploy.backup.rehearse import Rehearsal
from deploy.backup.store import Found
from libs.client.show import facts, table


@dataclass
class Screen:
    """Where answers go: stdout, as JSON if asked for. What goes on is on stderr, and only on a terminal."""

    json: bool
    out: Console
    err: Console

    def emit(self, answer: Any, *shown: RenderableType) -> None:
        """Print an answer."""
        if self.json:
            sys.stdout.write(orjson.dumps(answer, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")
            return
        for part in shown:
            self.out.print(part)

    @contextmanager
    def progress(self, what: str, total_bytes: int | None = None) -> Iterator[Told]:
        """A bar with what is done now, how much came through, and how fast."""
        columns = (
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.err, transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(what, total=total_bytes)
            yield Told(
                stage=lambda text: bar.update(task, description=f"{what}: {text}"),
                moved=lambda count: bar.advance(task, count),
            )


def state_of(found: Found) -> str:
    """``good``: its content was read and is right; ``complete``: all is there, nobody read it yet; ``damaged``."""
    if found.problem:
        return "damaged"
    return "good" if found.checked_at else "complete"


def summary(found: Found) -> dict[str, Any]:
    """A backup in a few fields."""
    manifest = found.manifest
    return {
        "backup_id": found.backup_id,
        "state": state_of(found),
        "problem": found.problem or None,
        "checked_at": found.checked_at,
        "folder": str(found.folder),
        **({} if manifest is None else _of(manifest)),
    }


def _of(manifest: Manifest) -> dict[str, Any]:
    return {
        "recovery_point": manifest.recovery_point,
        "finished_at": manifest.finished_at,
        "headgate_version": manifest.headgate_version,
        "size_bytes": manifest.size_bytes,
        "rows": manifest.rows,
        "messages": sum(stream.messages for stream in manifest.streams.values()),
        "audit_seq": manifest.audit_head.seq,
        "audit_hash": manifest.audit_head.hash,
        "encrypted_with": manifest.key_id,
        "secrets_not_included": manifest.secrets_not_included,
    }


def one(found: Found) -> RenderableType:
    """A backup, one field a line."""
    fields = summary(found)
    if found.manifest is not None:
        fields["size"] = decimal(fields.pop("size_bytes"))
    return facts([(name.replace("_", " "), value) for name, value in fields.items() if value not in (None, [])])


def many(found: Sequence[Found]) -> RenderableType:
    """Backups, a row each."""
    rows = []
    for backup in found:
        manifest = backup.manifest
        told = (
            (manifest.recovery_point, decimal(manifest.size_bytes), manifest.rows, manifest.audit_head.seq)
            if manifest
            else ("", "", "", "")
        )
        rows.append((backup.backup_id, state_of(backup), *told, backup.checked_at, backup.problem))
    columns = ("backup", "state", "recovery point", "size", "rows", "audit seq", "read at", "problem")
    return table(columns, rows)


def rehearsal(done: Rehearsal) -> list[RenderableType]:
    """How a rehearsal went."""
    verdict = Text("RESTORE VALID", "bold green") if done.restore_valid else Text("RESTORE NOT VALID", "bold red")
    told = {
        "backup": done.backup_id,
        "RTO": _seconds(done.rto_s),
        "RPO": _seconds(done.rpo_s),
        "backup took": _seconds(done.backup_s),
        "all took": _seconds(done.total_s),
        "size": decimal(done.size_bytes),
        "compared": f"{done.rows} rows in {done.tables} tables, {done.messages} messages in {done.streams} streams",
        "audit head": f"{done.audit_seq} {done.audit_hash}",
    }
    return [verdict, facts(told.items()), *(Text(f"  - {problem}") for problem in done.problems)]


def plain(done: Rehearsal) -> dict[str, Any]:
    """A rehearsal for programs."""
    return asdict(done)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"
