"""OpenSLO files (https://github.com/OpenSLO/OpenSLO, ``openslo/v1``) as objectives over Headgate's own samples.

Several documents in a file, lists of objects, indicators in place or by name, ``target`` and ``targetPercent`` are all
read. What can't be computed of our samples is refused with file and line, so that nobody believes that something is
watched which is not. What counts for nothing here (alert policies: burn rates have windows of their own) is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import NoReturn

from libs.judge.policy_model import PolicyError
from libs.judge.policy_yaml import LinedDict, read_documents
from libs.slo.errors import SloError
from libs.slo.indicators import Indicated, indicator_of
from libs.slo.model import Indicator, Objective, why_never
from libs.slo.periods import Period, calendar, rolling

VERSION = "openslo/v1"
MAX_OBJECTIVES = 50
SUBJECTS = "headgate/subjects"  # an annotation: whose gates are told of the SLO
_KINDS = ("SLO", "SLI", "DataSource", "Service", "AlertPolicy", "AlertCondition", "AlertNotificationTarget")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_THIRTY_DAYS = "30d"
_MAX_TEXT = 1050


def read_folder(folder: Path, bounds_ms: Sequence[float]) -> tuple[Objective, ...]:
    """The objectives of every ``*.yaml`` and ``*.yml`` of a folder, by name. Raises `SloError`."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    if not files:
        raise SloError(f"{folder}: holds no SLO (*.yaml)")
    try:
        return read_files({path.name: path.read_bytes() for path in files}, bounds_ms)
    except OSError as error:
        raise SloError(f"{folder}: an SLO can't be read: {error}") from error


def read_files(files: Mapping[str, bytes], bounds_ms: Sequence[float]) -> tuple[Objective, ...]:
    """The objectives of these files, which may name each other's indicators. ``bounds_ms``: of the histograms' buckets.

    Raises `SloError` naming file, line and what to write instead.
    """
    objects: list[_Object] = []
    for file, content in files.items():
        try:
            documents = read_documents(content, file)
        except PolicyError as error:
            raise SloError(error.message) from error
        objects += [_Object(one, file) for one in _flat(documents, file)]
    named = {(one.kind, one.name): one for one in objects}
    found: dict[str, Objective] = {}
    for one in objects:
        if one.kind != "SLO":
            continue
        for objective in _objectives(one, named, bounds_ms):
            if before := found.get(objective.name):
                one.refuse(f"the SLO {objective.name} stands in {before.file}, line {before.line}, too")
            found[objective.name] = objective
    if len(found) > MAX_OBJECTIVES:
        raise SloError(f"{len(found)} objectives are too many: at most {MAX_OBJECTIVES} are judged each minute")
    if not found:
        raise SloError(f"{', '.join(files)}: no object of the kind SLO")
    return tuple(found[name] for name in sorted(found))


def _flat(documents: Sequence[object], file: str) -> Iterator[LinedDict]:
    for document in documents:
        for one in document if isinstance(document, list) else [document]:
            if one is None:
                continue
            if not isinstance(one, LinedDict):
                raise SloError(f"{file}: an object of OpenSLO is a mapping with apiVersion, kind, metadata and spec")
            yield one


class _Object:
    """One object of a file: its kind, name and spec, checked."""

    def __init__(self, mapping: LinedDict, file: str) -> None:
        self.mapping, self.file = mapping, file
        version = mapping.get("apiVersion")
        if version != VERSION:
            self.refuse(f"apiVersion is {version}; this version reads {VERSION}", mapping.lines.get("apiVersion"))
        kind = mapping.get("kind")
        if kind not in _KINDS:
            self.refuse(f"kind is {kind}; OpenSLO has {', '.join(_KINDS)}", mapping.lines.get("kind"))
        self.kind = str(kind)
        self.metadata = self.part(mapping, "metadata")
        self.name = self.text(self.metadata, "name")
        if _NAME.fullmatch(self.name) is None:
            self.refuse(f"the name {self.name!r} is not 1 to 63 letters, digits, dots, dashes and underscores")
        self.spec = self.part(mapping, "spec") if self.kind in ("SLO", "SLI") else LinedDict()

    def refuse(self, why: str, line: int | None = None) -> NoReturn:
        """Raise `SloError` with the place."""
        raise SloError(f"{self.file}, line {line or self.mapping.line}: {why}")

    def part(self, mapping: LinedDict, key: str) -> LinedDict:
        """The mapping that stands under a key."""
        found = mapping.get(key)
        if not isinstance(found, LinedDict):
            self.refuse(f"{key} must be a mapping", mapping.lines.get(key) or mapping.line)
        return found

    def text(self, mapping: LinedDict, key: str, default: str | None = None) -> str:
        """The text that stands under a key."""
        found = mapping.get(key, default)
        if not isinstance(found, str) or len(found) > _MAX_TEXT:
            self.refuse(f"{key} must be text of at most {_MAX_TEXT} characters", mapping.lines.get(key) or mapping.line)
        return found.strip()


def _objectives(
    slo: _Object, named: Mapping[tuple[str, str], _Object], bounds_ms: Sequence[float]
) -> Iterator[Objective]:
    spec = slo.spec
    method = spec.get("budgetingMethod", "Occurrences")
    if method != "Occurrences":
        slo.refuse(f"budgetingMethod {method} is not computed; Occurrences is", spec.lines["budgetingMethod"])
    listed = spec.get("objectives")
    if not isinstance(listed, list) or not listed or not all(isinstance(one, LinedDict) for one in listed):
        slo.refuse("objectives must be a list of at least one mapping", spec.lines.get("objectives"))
    period = _period(slo)
    notes = ["alertPolicies count for nothing: burn rates have windows of their own"] if "alertPolicies" in spec else []
    for number, one in enumerate(listed, 1):
        if "compositeWeight" in one:
            slo.refuse("composite SLOs are not computed; write one SLO for each", one.lines["compositeWeight"])
        held = one if "indicator" in one or "indicatorRef" in one else spec
        indicated = indicator_of(_indicated(slo, held, named), one, bounds_ms)
        title = slo.text(one, "displayName", "") or slo.text(slo.metadata, "displayName", "") or slo.name
        yield Objective(
            name=slo.name if len(listed) == 1 else f"{slo.name}-{number}",
            title=title,
            description=slo.text(spec, "description", ""),
            service=slo.text(spec, "service", ""),
            indicator=indicated,
            target=_target(slo, one),
            period=period,
            subjects=_subjects(slo),
            notes=(*notes, *_never(indicated)),
            file=slo.file,
            line=slo.mapping.line,
        )


def _never(indicator: Indicator) -> list[str]:
    """No refusal: an installation's own SLO of a route that a later version counts no more must not stop the others."""
    return [why_never(indicator.never_counted)] if indicator.never_counted else []


def _indicated(slo: _Object, held: LinedDict, named: Mapping[tuple[str, str], _Object]) -> Indicated:
    if "indicator" in held:
        inline = slo.part(held, "indicator")
        # Many write the metric without the object around it.
        return Indicated(slo.part(inline, "spec") if "spec" in inline else inline, slo.file)
    if "indicatorRef" not in held:
        slo.refuse("indicator or indicatorRef is missing", held.line)
    name = slo.text(held, "indicatorRef")
    found = named.get(("SLI", name))
    if found is None:
        slo.refuse(f"there is no SLI named {name} in these files", held.lines["indicatorRef"])
    return Indicated(found.spec, found.file)


def _period(slo: _Object) -> Period:
    windows = slo.spec.get("timeWindow", [])
    windows = [windows] if isinstance(windows, LinedDict) else windows
    line = slo.spec.lines.get("timeWindow")
    if not isinstance(windows, list) or len(windows) > 1 or not all(isinstance(one, LinedDict) for one in windows):
        slo.refuse("timeWindow must be a list of one window", line)
    if not windows:
        return rolling(_THIRTY_DAYS)
    window = windows[0]
    duration = slo.text(window, "duration")
    try:
        if "calendar" not in window:
            if window.get("isRolling", True) is not True:
                slo.refuse("a timeWindow that does not roll needs calendar with startTime and timeZone", line)
            return rolling(duration)
        aligned = slo.part(window, "calendar")
        return calendar(duration, _moment(slo, aligned), slo.text(aligned, "timeZone", "UTC"))
    except SloError:
        raise
    except ValueError as error:
        slo.refuse(f"timeWindow: {error}", line)


def _moment(slo: _Object, aligned: LinedDict) -> datetime:
    value = aligned.get("startTime")
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - local to the calendar's zone
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else slo.refuse("startTime is missing")
    except ValueError:
        slo.refuse("startTime is no time such as 2026-01-01 00:00:00", aligned.lines["startTime"])


def _target(slo: _Object, one: LinedDict) -> float:
    given = [key for key in ("target", "targetPercent") if key in one]
    if len(given) != 1:
        slo.refuse("one of target and targetPercent must be there", one.line)
    value = one[given[0]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        slo.refuse(f"{given[0]} must be a number", one.lines[given[0]])
    percent = given[0] == "targetPercent"
    target = float(value) / (100 if percent else 1)
    if not 0 <= target < 1:
        hint = "; 99.9 is a targetPercent" if not percent and target > 1 else ""
        most = 100 if percent else 1
        slo.refuse(f"{given[0]} lies from 0 to below {most}, so {value} is none{hint}", one.lines[given[0]])
    return round(target, 12)


def _subjects(slo: _Object) -> tuple[str, ...]:
    annotations = slo.metadata.get("annotations")
    value = annotations.get(SUBJECTS) if isinstance(annotations, LinedDict) else None
    if value is None:
        return ()
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(one, str) and 0 < len(one.strip()) <= 200 for one in texts):
        slo.refuse(f"the annotation {SUBJECTS} is names of subjects with commas, such as acme/shop, acme/api")
    return tuple(dict.fromkeys(one.strip() for one in texts))
