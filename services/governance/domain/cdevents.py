"""CDEvents (``dev.cdevents.*``, versions 0.3 to 0.5): which signal an event is, and of what it speaks.

Specification: https://cdevents.dev/docs/. Its data have ``context`` (id, source, type, timestamp), ``subject`` (id,
content) and perhaps ``customData``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.judge.report_base import JSON, MAX_NAME_CHARS, BadReport, Remarks
from libs.judge.states import ARTIFACTS, DEPLOYMENTS, FAILED, PIPELINES, RUNNING, SUCCEEDED
from libs.judge.vulnerabilities import split_package
from services.governance.domain.webhooks.delivery import Ignored, object_in, ordered, part_of, text_in, time_of

PREFIX = "dev.cdevents."
_TYPE = re.compile(r"dev\.cdevents\.([a-z]+)\.([a-z]+)\.\d+\.\d+\.\d+(?:-[a-z0-9.-]+)?")
# `pass` and `fail` were those of test suites up to 0.4. What stands for none of these is `unknown`.
OUTCOMES = {
    **dict.fromkeys(("success", "pass"), SUCCEEDED),
    **dict.fromkeys(("failure", "fail", "error"), FAILED),
    "cancel": "cancelled",
}
PREDICATES = {"queued": "waiting", "started": RUNNING}
SERVICE = {"deployed": SUCCEEDED, "upgraded": SUCCEEDED, "rolledback": "rolled_back", "removed": "removed"}


@dataclass(frozen=True, slots=True)
class Mapped:
    """The signal that an event is. ``subject`` and ``version`` are what ``customData.headgate`` says, else "".

    ``package`` and ``digest``: of its artifact's purl, where it has one. ``undoes``: what was deployed there is gone.
    """

    kind: str
    part: str
    subject: str
    version: str
    time: datetime | None
    data: dict[str, JSON]
    package: str = ""
    digest: str = ""
    undoes: bool = False


def read_cdevent(type_: str, body: object) -> Mapped:
    """What the event is as a signal. Raises `Ignored` for events that aren't judged, BadReport for a broken one."""
    match = _TYPE.fullmatch(type_)
    reader = _READERS.get(match[1]) if match else None
    if match is None or reader is None:
        raise Ignored(f"{type_} is not judged; of CDEvents these are: {', '.join(_READERS)}")
    if not isinstance(body, Mapping):
        raise BadReport("the data are no CDEvent: they are no object")
    subject = object_in(body, "subject")
    content = subject.get("content")
    return reader(match[2], body, subject, content if isinstance(content, Mapping) else {})


Reader = Callable[[str, Mapping[str, JSON], Mapping[str, Any], Mapping[str, Any]], Mapped]


def _run(named: str) -> Reader:
    """Reads runs of pipelines, tasks or test suites; ``named`` is where the content has the name."""

    def read(
        predicate: str, body: Mapping[str, JSON], subject: Mapping[str, Any], content: Mapping[str, Any]
    ) -> Mapped:
        what = named.removesuffix("Name").lower() + "run"
        name = text_in(content, named) or text_in(content, named, "name") or text_in(content, named, "id")
        if not name:
            raise Ignored(f"it has no {named}, so nobody can tell it from others")
        if predicate == "finished":
            said = text_in(content, "outcome")
            status = OUTCOMES.get(said, "unknown")
        elif predicate in PREDICATES:
            said, status = predicate, PREDICATES[predicate]
        else:
            raise Ignored(f"a {what} that is {predicate} says nothing of how it ended")
        data: dict[str, JSON] = {
            "system": "cdevents",
            "name": name,
            "status": status,
            "said": said or "no outcome",
            "event": what,
            "ref": "",
            "sha": "",
            "run_id": text_in(subject, "id"),
            "url": text_in(content, "uri", max_chars=500) or text_in(content, "url", max_chars=500),
            **Remarks().data(f"{what} {name}: {said or 'no outcome'}"),
        }
        about, version = _about(body)
        return Mapped(PIPELINES, part_of(name, what), about, version, _time(body, status), data)

    return read


def _service(
    predicate: str, body: Mapping[str, JSON], subject: Mapping[str, Any], content: Mapping[str, Any]
) -> Mapped:
    status = SERVICE.get(predicate)
    environment = text_in(content, "environment", "name") or text_in(content, "environment", "id")
    if status is None or not environment:
        raise Ignored(f"a service that is {predicate}, in no environment" if status else f"service {predicate}")
    service, artifact = text_in(subject, "id"), text_in(content, "artifactId", max_chars=1_000)
    undoes = status != SUCCEEDED
    about, version = _about(body)
    package, deployed = _purl(artifact)
    data: dict[str, JSON] = {
        "system": "cdevents",
        "environment": environment,
        "status": status,
        "said": predicate,
        "sha": "",
        "ref": "",
        "run_id": service,
        **Remarks().data(f"{service} in {environment}: {predicate}"),
    }
    # What a service that was rolled back has now is the version before, not the one that this is about.
    deployed = "" if undoes else deployed
    part = part_of(environment, service)
    return Mapped(DEPLOYMENTS, part, about, version, _time(body, status), data, package, deployed, undoes)


def _artifact(
    predicate: str, body: Mapping[str, JSON], subject: Mapping[str, Any], _content: Mapping[str, Any]
) -> Mapped:
    package, digest = _purl(text_in(subject, "id", max_chars=1_000))
    if predicate not in ("packaged", "signed", "published", "deleted"):
        raise Ignored(f"artifact {predicate}")
    if not package:
        raise Ignored("its id is no purl, so nobody can tell which artifact it is")
    data: dict[str, JSON] = {
        "system": "cdevents",
        "step": predicate,
        "artifact": package,
        "digest": digest,
        **Remarks().data(f"{package} {digest}: {predicate}"),
    }
    about, version = _about(body)
    part = part_of(predicate, package, digest)
    return Mapped(ARTIFACTS, part, about, version, _time(body, SUCCEEDED), data, package, digest)


def _about(body: Mapping[str, JSON]) -> tuple[str, str]:
    """Subject and version in ``customData.headgate``."""
    return text_in(body, "customData", "headgate", "subject"), text_in(body, "customData", "headgate", "version")


def _purl(text: str) -> tuple[str, str]:
    """A package without its version, and the version; "" for what is no purl, or too long to be a name."""
    if not text.startswith("pkg:"):
        return "", ""
    package, version = split_package(text)
    fits = all(len(name) <= MAX_NAME_CHARS and name.isprintable() for name in (package, version))
    return (package, version) if fits else ("", "")


def _time(body: Mapping[str, JSON], status: str) -> datetime | None:
    """When it happened; within a second, which is all that some senders tell, an end is later than a begin."""
    at = time_of(text_in(body, "context", "timestamp"))
    return at if at is None or at.microsecond else ordered(at, status, 0)


_READERS: dict[str, Reader] = {
    "pipelinerun": _run("pipelineName"),
    "taskrun": _run("taskName"),
    "testsuiterun": _run("testSuite"),
    "service": _service,
    "artifact": _artifact,
}
