"""What the edge and governance both know of a webhook: who sends, and whom its deliveries are about."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from libs.common.contracts.base import Model
from libs.common.contracts.names import Name, Subject

System = Literal["github", "gitlab"]
MAX_SUBJECTS = 200


class WebhookMapping(Model):
    """Whom deliveries are about. ``subjects``: none means that each repository is a subject under its own name."""

    subjects: dict[Name, Subject] = Field(
        {}, max_length=MAX_SUBJECTS, description="Repository to subject, such as {'acme/shop': 'shop'}; else all count"
    )
    version_from: Literal["sha", "ref"] = Field("sha", description="What is the version: the commit, or branch or tag")
    refs: list[Name] = Field(
        [], max_length=50, description="Branches and tags that count, such as main or v*; else all"
    )
    drop_prefix: str = Field("", max_length=20, description="What to cut off a ref that is a version, such as v")

    @model_validator(mode="after")
    def _prefix_fits(self) -> WebhookMapping:
        if self.drop_prefix and self.version_from == "sha":
            raise ValueError("drop_prefix belongs to version_from ref")
        return self
