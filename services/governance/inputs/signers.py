"""Who signed a report: what comes beside it is verified by the keys and issuers that the site and `global` trust.

What was verified is noted with the signal. Whether its signer is trusted is asked again at each verdict, so that a key
that is withdrawn takes what it signed with it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from libs.common import versions
from libs.common.contracts.governance.reports import ReportRecord
from libs.common.contracts.governance.signers import SIGNERS, Signers
from libs.common.contracts.versions import Published
from libs.common.problems import Invalid
from libs.common.service import Tx
from libs.judge.attestation import BadSignature, Sent, TrustedKey, read_key, verify
from libs.judge.dsse import KeyProblem
from libs.judge.identity import Issuer, read_keys, verify_token
from libs.judge.report_base import BadReport
from services.governance.recheck import recheck

if TYPE_CHECKING:
    from services.governance.inputs.heads import Sender

MAX_FUTURE = timedelta(minutes=5)  # how far clocks may differ
_READ = lru_cache(maxsize=64)(Signers.model_validate_json)

# The signer of a signal, if he is trusted now: a list of one, with "" for none.
TRUSTED_SIGNER = """ARRAY[CASE WHEN signals.signer IS NOT NULL AND EXISTS (
    SELECT FROM trusted_signers AS trusted
    WHERE trusted.site IN ('global', $1) AND trusted.ref = signals.signer_ref
        AND signals.signer LIKE ANY (trusted.signers)
) THEN signals.signer ELSE '' END]"""
SELECT_SIGNERS = """
SELECT newest.* FROM unnest(ARRAY['global', nullif($1, 'global')]) AS of (site) CROSS JOIN LATERAL (
    SELECT site, content FROM document_version WHERE kind = 'signers' AND document_version.site = of.site
    ORDER BY version DESC LIMIT 1
) AS newest
"""
DROP_TRUSTED = "DELETE FROM trusted_signers WHERE site = $1"
TRUST = """
INSERT INTO trusted_signers (site, name, ref, signers)
SELECT $1, name, ref, array(SELECT jsonb_array_elements_text(signers))
FROM jsonb_to_recordset($2) AS new (name text, ref text, signers jsonb)
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """Who signed, by which key or issuer (``ref``), and when the report was made by that word (None: when it came)."""

    signer: str = ""
    ref: str = ""
    made_at: datetime | None = None


NOBODY = Proof()


async def proof_of(tx: Tx, body: ReportRecord, about: Sender, content_sha256: str, received: datetime) -> Proof:
    """Who signed a report. Raises `BadReport` where what came beside it proves nothing: it is not taken as unsigned."""
    if body.signature is None and body.identity_token is None:
        return NOBODY
    if body.subject_label is not None:
        raise BadReport("Alerts that a label tells apart can't be signed; send them without a signature.")
    published = [(row["site"], row["content"]) for row in await tx.connection.fetch(SELECT_SIGNERS, tx.site)]
    sent = Sent(tx.site, about.subject, about.version, body.format, about.name, content_sha256)
    try:
        return await asyncio.to_thread(_proof, body, sent, published, received)
    except BadSignature as error:
        raise BadReport(f"{error}. Send it with a signature that fits, or without one.") from error


def _proof(body: ReportRecord, sent: Sent, published: Sequence[tuple[str, str]], received: datetime) -> Proof:
    keys, issuers = _trusted(published)
    found = NOBODY
    if body.identity_token is not None:
        issuer, sub = verify_token(body.identity_token, issuers, received)
        found = Proof(f"{issuer.name}/{sub}", issuer.ref)
    if body.signature is not None:
        key, made_at = verify(body.signature, sent, keys)
        if made_at - received > MAX_FUTURE:
            raise BadSignature(f"It is signed for a time in the future, {made_at.isoformat()}")
        found = Proof(key.name, key.key_id, made_at)
    return found


def _trusted(published: Sequence[tuple[str, str]]) -> tuple[list[TrustedKey], list[Issuer]]:
    """Keys and issuers of the sites' contents; one that this version can't read is trusted no more."""
    keys: list[TrustedKey] = []
    issuers: list[Issuer] = []
    for site, content in published:
        try:
            mine = _READ(content)
            keys += [read_key(one.pem, f"key:{site}/{one.name}") for one in mine.keys]
        except (ValueError, KeyProblem):
            continue
        issuers += [
            Issuer(f"oidc:{site}/{one.name}", one.issuer, one.audience, tuple(one.subjects), _jwks(one.jwks))
            for one in mine.issuers
        ]
    return keys, issuers


def _jwks(jwks: Any) -> dict[str, Any]:
    return jwks if isinstance(jwks, dict) else {}


async def apply_signers(tx: Tx, published: Published[Signers]) -> None:
    """Trust those of a new version, and have the GOs judged again that may rest on others. Raises `Invalid`."""
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for key in published.content.keys:
        signer = f"key:{tx.site}/{key.name}"
        try:
            rows.append({"name": key.name, "ref": read_key(key.pem).key_id, "signers": [_like(signer)]})
        except KeyProblem as error:
            problems.append(f"the key {key.name}: {error}")
    for one in published.content.issuers:
        name = f"oidc:{tx.site}/{one.name}"
        try:
            read_keys(one.jwks)
        except KeyProblem as error:
            problems.append(f"the issuer {one.name}: {error}")
        ref = Issuer(name, one.issuer, one.audience, (), {}).ref
        rows.append({"name": one.name, "ref": ref, "signers": [_like(f"{name}/{sub}") for sub in one.subjects]})
    if problems:
        raise Invalid(f"The signers can't be published: {'; '.join(problems)}.", errors=problems)
    await tx.connection.execute(DROP_TRUSTED, tx.site)
    await tx.connection.execute(TRUST, tx.site, rows)
    await recheck(tx, site=tx.site)


def _like(pattern: str) -> str:
    """A pattern whose ``*`` stands for anything, as LIKE has it."""
    return re.sub(r"([\\%_])", r"\\\1", pattern).replace("*", "%")


TABLE = versions.table(SIGNERS, applied=apply_signers)
