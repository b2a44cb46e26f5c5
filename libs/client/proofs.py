"""What goes beside a report and says who sends it: a signature about it, and the identity token of a CI's job."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from libs.client.errors import UsageProblem
from libs.client.files import read_input

if TYPE_CHECKING:
    from libs.judge.attestation import SigningKey

SITE_SUBJECT = "site"  # what a report is about that names no subject


@dataclass(frozen=True)
class Proofs:
    """Makes the headers of reports. Each is optional: a file with a signature, a private key, a variable's name."""

    signature_file: str | None
    key_file: str | None
    token_variable: str | None

    def of(self, sent: tuple[str, str, str, str, str], sha256: str, name: str) -> dict[str, str]:
        """The headers of one report. Raises `UsageProblem`.

        ``sent``: site, subject, version, format and part that it is sent as; ``sha256`` (hex) and ``name`` of its file.
        """
        found = {}
        if self.signature_file and self.key_file:
            raise UsageProblem("Give --signature or --sign-with, not both.")
        if self.signature_file:
            found["Headgate-Signature"] = base64.b64encode(read_input(self.signature_file)).decode()
        if self.key_file:
            from libs.judge.attestation import Sent, sign

            found["Headgate-Signature"] = sign(self._key, Sent(*sent, sha256), datetime.now(UTC), name)
        if self.token_variable:
            token = os.environ.get(self.token_variable, "").strip()
            if not token:
                raise UsageProblem(f"The variable {self.token_variable} is empty; it must hold the identity token.")
            found["Headgate-Identity-Token"] = token
        return found

    @cached_property
    def _key(self) -> SigningKey:
        from libs.judge.attestation import read_signing_key
        from libs.judge.dsse import KeyProblem

        try:
            return read_signing_key(read_input(self.key_file or ""))
        except KeyProblem as error:
            raise UsageProblem(f"{self.key_file}: {error}") from error
