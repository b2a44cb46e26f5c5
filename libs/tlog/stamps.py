"""Time stamps (RFC 3161) of what is signed of an archive: another party's word that it was there by then."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerifierBuilder, decode_timestamp_response
from rfc3161_client.errors import VerificationError
from rfc3161_client.tsp import PKIStatus, TimeStampResponse

QUERY_TYPE, REPLY_TYPE = "application/timestamp-query", "application/timestamp-reply"
MAX_REPLY_BYTES = 64 * 1024


class StampProblem(ValueError):
    """A reply that is no time stamp, or not of this; the message says why."""


def make_query(text: str) -> tuple[bytes, int | None]:
    """What an authority is asked, and the number that its reply must repeat. It is told a SHA-256, not the text."""
    query = TimestampRequestBuilder(data=text.encode(), hash_algorithm=HashAlgorithm.SHA256).build()
    return query.as_bytes(), query.nonce


def stamped_at(reply: bytes, text: str, nonce: int | None) -> datetime:
    """The time in a reply to our query; who signed it is not looked at (`verify_stamp`). Raises `StampProblem`."""
    found = _read(reply)
    if PKIStatus(found.status) != PKIStatus.GRANTED:
        words = " ".join(found.status_string)[:200]
        raise StampProblem(f"the authority refused ({PKIStatus(found.status).name.lower()}: {words})")
    if found.tst_info.nonce != nonce:
        raise StampProblem("the reply is to another query")
    if found.tst_info.message_imprint.message != hashlib.sha256(text.encode()).digest():
        raise StampProblem("the time stamp is of something else")
    return found.tst_info.gen_time


def verify_stamp(reply: bytes, text: str, roots: Sequence[x509.Certificate]) -> datetime:
    """The time at which the authority saw it, if its certificate leads to one of these. Raises `StampProblem`."""
    found, builder = _read(reply), VerifierBuilder()
    for root in roots:
        builder = builder.add_root_certificate(root)
    try:
        builder.build().verify_message(found, text.encode())
    except (VerificationError, ValueError) as error:
        raise StampProblem(f"the time stamp does not hold: {error}") from None
    return found.tst_info.gen_time


def read_roots(pem: bytes) -> list[x509.Certificate]:
    """Certificates in PEM. Raises `StampProblem`."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise StampProblem("these are no certificates in PEM") from error


def _read(reply: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(reply)
    except ValueError as error:
        raise StampProblem("this is no time stamp (RFC 3161)") from error
