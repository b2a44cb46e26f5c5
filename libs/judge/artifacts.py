"""Artifacts by their digests: what is told of another build than the one that is judged never counts for it.

A version is a name that can be given to another build later; a digest can't. Where signals name one, the newest that a
signal of the version names says what the version is now.
"""

from __future__ import annotations

from collections.abc import Sequence

from libs.judge.facts import Fact, Facts
from libs.judge.own_kinds import noun_of
from libs.judge.totals import part_words


def of_another(found: Sequence[Fact], about: Facts, *, required: bool) -> list[tuple[str, str]]:
    """The first fact of the version that is not about the artifact under judgement: what is observed and wanted.

    One that names no digest counts, unless that is ``required``.
    """
    for fact in found:
        if not fact.version:  # it tells of the subject, whatever is built
            continue
        name = f"the {noun_of(fact.kind, about.own)} {part_words(fact, found)}(signal {fact.signal_id})"
        if required and not about.artifact_digest:
            return [("no signal of this version names the artifact's digest", "reports that name it")]
        if fact.artifact_digest not in ("", about.artifact_digest) and about.artifact_digest:
            seen = f"{name} is about {fact.artifact_digest}, judged is {about.artifact_digest}"
            return [(seen, "one about what is judged")]
        if required and not fact.artifact_digest:
            return [(f"{name} names no artifact's digest", f"one that names {about.artifact_digest}")]
    return []


def moved(about: Facts) -> list[str]:
    """A sentence where the version is another artifact by now than the one under judgement."""
    if not about.artifact_digest or about.named_digest in ("", about.artifact_digest):
        return []
    return [
        f"Version {about.version} is {about.named_digest} by the newest signal that names an artifact, and judged is "
        f"{about.artifact_digest}."
    ]
