"""Labels of versions. Whoever sets one asks for an exception: the version needs one more approval from then on."""

from __future__ import annotations

from glob import escape

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Page
from libs.common.contracts.changes import newly
from libs.common.contracts.governance import labels as contract
from libs.common.contracts.governance.labels import (
    MAX_LABELS,
    LabelFilter,
    LabelRemove,
    LabelSet,
    VersionLabel,
    VersionLabelRemoved,
)
from libs.common.listing import Filter, Listing, newest
from libs.common.problems import Conflict, Forbidden, NotFound
from libs.common.service import Read, Table, Tx
from services.governance.exceptions.voters import people_of
from services.governance.recheck import recheck

_COLUMNS = listed(names_of(VersionLabel))
COUNT_LABELS = """
SELECT count(*) FROM version_labels WHERE site = $1 AND subject = $2 AND version = $3 AND removed_at IS NULL
"""
SELECT_SENDERS = """
SELECT DISTINCT signals.actor FROM facts JOIN signals USING (signal_id)
WHERE facts.site = $1 AND facts.subject = $2 AND facts.version = $3 AND signals.actor IS NOT NULL
"""
INSERT_LABEL = f"""
INSERT INTO version_labels (site, subject, version, label, reason, set_by, set_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (site, subject, version, label) WHERE removed_at IS NULL DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own class
SELECT_LABEL = f"SELECT {_COLUMNS} FROM version_labels WHERE label_id = $1 AND site = $2"  # noqa: S608
REMOVE_LABEL = f"""
UPDATE version_labels SET removed_by = $2, removed_at = $3, remove_reason = $4
WHERE label_id = $1 AND removed_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608
LIST_LABELS = Listing(
    table="version_labels",
    columns=_COLUMNS,
    scope={"site": "text"},
    filters={"subject": "text", "version": "text", "in_force": Filter("boolean", "(removed_at IS NULL) = {}")},
    order=newest("label_id"),
)


async def set_label(tx: Tx, body: LabelSet) -> VersionLabel:
    """Label a version: what was approved of it was of another candidate.

    Raises `Conflict`, and `Forbidden` to who tells the version's facts: what is judged must not except itself.
    """
    about = (tx.site, body.subject, body.version)
    people = await people_of(tx.connection, tx.site)
    senders = people.humans_of(row["actor"] for row in await tx.connection.fetch(SELECT_SENDERS, *about))
    if people.human(tx.actor) in senders:
        raise Forbidden(f"You sent signals of {body.subject} {body.version}; somebody else must label it.")
    await recheck(tx, site=tx.site, subjects=escape(body.subject))
    if await tx.connection.fetchval(COUNT_LABELS, *about) >= MAX_LABELS:
        raise Conflict(f"A version may have {MAX_LABELS} labels; remove one.")
    row = await tx.connection.fetchrow(INSERT_LABEL, *about, body.label, body.reason, tx.actor, tx.now)
    if row is None:
        raise Conflict(f"{body.subject} {body.version} has the label {body.label} already.")
    made = VersionLabel(**row)
    tx.emit(contract.label_set, made, subject=str(made.label_id))
    return made


async def remove_label(tx: Tx, body: LabelRemove) -> VersionLabel:
    """Remove a label. Raises `NotFound`, `Conflict`."""
    known = await tx.connection.fetchrow(SELECT_LABEL, body.label_id, tx.site)
    if known is None:
        raise NotFound(f"There is no label {body.label_id} in this site; list the labels.")
    await recheck(tx, site=tx.site, subjects=escape(known["subject"]))
    row = await tx.connection.fetchrow(REMOVE_LABEL, body.label_id, tx.actor, tx.now, body.reason)
    if row is None:
        raise Conflict(f"The label {known['label']} was removed before.")
    gone = VersionLabel(**row)
    told = VersionLabelRemoved(**row, changes=newly(gone, "removed_by", "removed_at", "remove_reason"))
    tx.emit(contract.label_removed, told, subject=str(gone.label_id))
    return gone


async def list_labels(read: Read, wanted: LabelFilter) -> Page[VersionLabel]:
    """A page of the site's labels, newest first. Raises `Invalid`."""
    given = {"site": read.site, **wanted.model_dump(include=set(LIST_LABELS.filters))}
    found = await LIST_LABELS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[VersionLabel](items=[VersionLabel(**row) for row in found.rows], next_cursor=found.next_cursor)


TABLE = Table(
    commands={contract.set_label: set_label, contract.remove_label: remove_label},
    queries={contract.list_labels: list_labels},
)
