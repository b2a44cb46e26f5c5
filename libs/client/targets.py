"""``SUBJECT@VERSION``, as the tool takes it on the command line."""

from __future__ import annotations

from libs.client.errors import UsageProblem


def split_target(text: str) -> tuple[str, str | None]:
    """Subject and version: split at the last ``@``, so that subjects may hold one (``pkg:oci/app@sha256:…@1.4``).

    An ``@`` at the beginning is part of the subject (``@acme/api``), and without a further one there is no version.
    Raises `UsageProblem` for an ``@`` at the end.
    """
    subject, at, version = text.rpartition("@")
    if not at or not subject:
        return text, None
    if not version:
        raise UsageProblem(f"{text!r} ends with @ and names no version; write SUBJECT@VERSION.")
    return subject, version


def target_fields(target: str | None, subject: str | None, version: str | None) -> dict[str, str]:
    """The fields ``subject`` and ``version``; with ``--version`` the target is a subject as it stands, unsplit.

    Raises `UsageProblem` if the subject is given twice.
    """
    if target is not None:
        if subject is not None:
            raise UsageProblem("The subject is given twice; write SUBJECT@VERSION, or --subject and --version.")
        subject, version = split_target(target) if version is None else (target, version)
    return {name: value for name, value in (("subject", subject), ("version", version)) if value is not None}
