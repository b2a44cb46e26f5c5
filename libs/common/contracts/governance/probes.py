"""Probes: what governance asks Prometheus by itself, every so many minutes, so that a number there can be a rule."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from libs.common.contracts.base import Model, Token
from libs.common.contracts.names import Subject, printable_name
from libs.common.contracts.versions import Document

MAX_PROBES = 20  # of a site: all that are due are asked at once
MAX_QUERY_CHARS = 2_000
Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARS)]
Unit = Annotated[str, StringConstraints(max_length=40), AfterValidator(lambda text: text and printable_name(text))]


class Probe(Model):
    """``query`` is PromQL that gives one number. The answer is a signal of the kind ``metric.sample`` about ``subject``
    (the site itself if left out), whose part is ``name``. ``unit`` says what the number counts, such as percent.
    """

    name: Token
    query: Query
    subject: Subject | None = None
    unit: Unit = ""
    every_minutes: int = Field(5, ge=1, le=1_440)


class Probes(Model):
    """The probes of a site. Those of ``global`` are about the site ``global`` alone."""

    probes: list[Probe] = Field([], max_length=MAX_PROBES)

    @model_validator(mode="after")
    def _named_once(self) -> Probes:
        names = [one.name for one in self.probes]
        if len(set(names)) < len(names):
            raise ValueError("two probes have one name")
        return self


PROBES = Document(
    "governance", "probes", content=Probes, default=Probes(), path="/api/probes", what="what Prometheus is asked"
)  # fmt: skip
