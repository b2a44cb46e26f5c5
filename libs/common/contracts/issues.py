"""Ids of issues as trackers write them: Jira, GitHub, GitLab, Linear, Azure DevOps.

An id is given in a field of its own and must be one whole. Nothing is fished out of free text, where `UTF-8` and
`SHA-256` look like issues of Jira; given as an id, such names of standards are refused, too.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

_FORMS = (
    re.compile(r"[A-Z][A-Z0-9]{1,9}-[1-9][0-9]{0,8}"),  # Jira, Linear, and internal ones such as OMS-12
    re.compile(r"(?:[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100})?[#!][1-9][0-9]{0,8}"),  # GitHub #12, GitLab !12
    re.compile(r"[1-9][0-9]{0,8}"),  # Azure DevOps
)
# Prefixes that name a standard, an algorithm or a list of vulnerabilities, never a project of a tracker.
_NO_PROJECTS = {
    *("AES", "ANSI", "ASCII", "BASE64", "CP", "CRC", "CVE", "CWE", "DES", "ECMA", "ED25519", "ES", "EUC", "FIPS", "GB"),
    *("GHSA", "HMAC", "HTTP", "IEC", "IEEE", "ISBN", "ISO", "ISSN", "JIS", "KOI8", "LATIN", "MD5", "NIST", "PEP"),
    *("PKCS", "RFC", "RSA", "SHA", "SHA1", "SHA2", "SHA3", "SSL", "TLS", "UCS", "UTF", "WINDOWS", "X509"),
}


def issue_id(text: str) -> str:
    """Return ``text`` if it is the id of an issue. Raises `PydanticCustomError` naming what one looks like."""
    known = any(form.fullmatch(text) for form in _FORMS)
    if not known or text.partition("-")[0] in _NO_PROJECTS:
        raise PydanticCustomError(
            "no_issue", "this is no issue; write its id, such as OPS-12, #12, acme/shop#12, GH-12, !12, GL-12 or 4711"
        )
    return text


IssueId = Annotated[str, StringConstraints(strip_whitespace=True, max_length=220), AfterValidator(issue_id)]
