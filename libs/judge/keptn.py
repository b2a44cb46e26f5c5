"""Keptn's SLO files (https://github.com/keptn/spec) as policies: the same objectives, weights and scores, in CEL.

What a policy can't say as Keptn means it is refused with its line, and nothing is left out quietly. An objective that
passes counts its weight, one that only warns half of it: so one with both kinds of criteria becomes two rules of half
the weight. A key SLI that fails forbids GO. A relative criterion compares with the figures of the last GO; without
one, or where that had no such figure, it passes, as in Keptn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from libs.judge.own_kinds import OwnKind
from libs.judge.policy_model import PolicyError
from libs.judge.policy_yaml import LinedDict, read_yaml

MAX_OBJECTIVES = 45  # each may become two rules, of which a policy may have 100
MAX_COMMENT_CHARS = 300
_CRITERION = re.compile(r"(<=|>=|<|>|=)\s*([+-]?)(\d{1,15}(?:\.\d{1,9})?)\s*(%?)")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)\s*%?")
_KEYS = {
    "": ("spec_version", "comparison", "filter", "objectives", "total_score", "indicators"),
    "objective": ("sli", "displayName", "key_sli", "pass", "warning", "weight"),
    "block": ("criteria",),
    "comparison": (
        "compare_with", "include_result_with_score", "number_of_comparison_results", "aggregate_function",
    ),
    "total_score": ("pass", "warning"),
}  # fmt: skip
# What CEL keeps for itself; a key of this name could not be asked for.
_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)


@dataclass(frozen=True, slots=True)
class Imported:
    """The policy's text and the kind that it reads. ``problems``: what can't be said; then there is no text.

    ``notes``: what is said in another way, a sentence each.
    """

    text: str = ""
    kind: OwnKind | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Objective:
    """``passes`` and ``warns``: blocks of criteria in CEL, or-ed; None where the file has no such key."""

    sli: str
    key: str
    title: str
    weight: float
    is_key: bool
    passes: str | None
    warns: str | None
    shown: str
    warns_shown: str


@dataclass(slots=True)
class _Import:
    file: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_relative: bool = False

    def wrong(self, line: object, words: str) -> None:
        self.problems.append(f"{self.file}: {words}" + (f" (line {line})" if isinstance(line, int) and line else ""))

    def known(self, mapping: LinedDict, of: str) -> None:
        """Say which keys mean nothing here."""
        for key in mapping:
            if key not in _KEYS[of]:
                self.wrong(mapping.lines.get(key), f"{key} is not known in an SLO file, so it can't be kept")


def import_slo(slo: bytes, name: str, file: str, sli: bytes | None = None, max_age_hours: float = 24) -> Imported:
    """The policy of the gate ``name`` that an SLO file asks for; ``sli``: the file with the queries of its indicators.

    Raises PolicyError for what is no YAML, or no mapping.
    """
    body, work = read_yaml(slo, file), _Import(file)
    work.known(body, "")
    queries = _queries(work, body, sli)
    objectives = list(_objectives(work, body))
    least = _least(work, body)
    _comparison(work, body)
    if body.get("filter"):
        work.notes.append("filter is not kept: send the figures of what it names, and of nothing else")
    scored = [one for one in objectives if one.passes is not None]
    if not scored and not work.problems:
        work.wrong(body.lines.get("objectives"), "no objective has criteria to pass, so nothing would be judged")
    for one in objectives:
        if one.sli not in queries and sli is not None:
            work.notes.append(f"{one.sli} has no query in the SLI file")
        if one.passes is None:
            work.notes.append(f"{one.sli} has no criteria to pass: its figure is wanted and shown, and not judged")
    if work.problems:
        return Imported(notes=tuple(work.notes), problems=tuple(work.problems))
    kind = _kind(name, objectives)
    text = _policy(name, file, kind, objectives, least, queries, max_age_hours)
    return Imported(text, kind, tuple(work.notes))


def _queries(work: _Import, body: LinedDict, sli: bytes | None) -> dict[str, str]:
    found = body.get("indicators")
    if sli is not None:
        found = read_yaml(sli, "the SLI file").get("indicators")
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        work.wrong(body.lines.get("indicators"), "indicators must be a mapping of names to queries")
        return {}
    return {str(name): str(query) for name, query in found.items()}


def _objectives(work: _Import, body: LinedDict) -> Iterator[_Objective]:
    listed = body.get("objectives")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_OBJECTIVES:
        work.wrong(body.lines.get("objectives"), f"objectives must list 1 to {MAX_OBJECTIVES}")
        return
    taken: dict[str, str] = {}
    for number, item in enumerate(listed, start=1):
        sli = str(item.get("sli") or "").strip() if isinstance(item, LinedDict) else ""
        if not isinstance(item, LinedDict) or not sli:
            work.wrong(getattr(item, "line", None), f"objective {number} must be a mapping with sli, a name")
            continue
        work.known(item, "objective")
        key = _key(sli)
        if taken.get(key) == sli and not any(item.get(name) for name in ("pass", "warning", "key_sli")):
            work.notes.append(f"{sli} stands here a second time without criteria; once is enough")
            continue
        if key in taken:
            same = "stands here twice" if taken[key] == sli else f"can't be told from {taken[key]}"
            work.wrong(item.lines["sli"], f"{sli} {same}")
            continue
        taken[key] = sli
        if key != sli:
            work.notes.append(f"{sli} is told as {key}, since conditions name it")
        yield _objective(work, item, sli, key)


def _key(sli: str) -> str:
    key = re.sub(r"[^A-Za-z0-9_]", "_", sli)[:50]
    return f"sli_{key}" if not re.match(r"[A-Za-z_]", key) or key in _RESERVED else key


def _objective(work: _Import, item: LinedDict, sli: str, key: str) -> _Objective:
    weight, is_key = item.get("weight", 1), item.get("key_sli", False)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1_000:
        work.wrong(item.lines.get("weight"), f"the weight of {sli} must be a number of 0 to 1000")
        weight = 1
    if not isinstance(is_key, bool):
        work.wrong(item.lines.get("key_sli"), f"key_sli of {sli} must be true or false")
        is_key = False
    title = item.get("displayName") or sli
    passes, shown = _blocks(work, item, "pass", sli, key)
    warns, warns_shown = _blocks(work, item, "warning", sli, key)
    if passes is None and (warns is not None or is_key):
        work.wrong(item.line, f"{sli} has no criteria to pass, so that it can't warn or be a key SLI")
    return _Objective(sli, key, str(title), float(weight), is_key, passes, warns, shown, warns_shown)


def _blocks(work: _Import, item: LinedDict, which: str, sli: str, key: str) -> tuple[str | None, str]:
    """The criteria in CEL, and as they were written; None where there are none."""
    blocks = item.get(which)
    if blocks is None or blocks == []:
        return None, ""
    line = item.lines.get(which)
    if not isinstance(blocks, list):
        work.wrong(line, f"{which} of {sli} must be a list of criteria")
        return None, ""
    found: list[str] = []
    shown: list[str] = []
    for block in blocks:
        criteria = block.get("criteria") if isinstance(block, LinedDict) else None
        if not isinstance(block, LinedDict) or not isinstance(criteria, list) or not criteria:
            work.wrong(line, f"{which} of {sli} must list blocks with criteria, each a list")
            continue
        work.known(block, "block")
        cel = [_criterion(work, one, sli, key, block.lines.get("criteria")) for one in criteria]
        found.append(" && ".join(cel))
        shown.append(" and ".join(str(one).strip() for one in criteria))
    joined = found[0] if len(found) == 1 else " || ".join(f"({one})" for one in found)
    return joined, " or ".join(shown)


def _criterion(work: _Import, criterion: object, sli: str, key: str, line: object) -> str:
    match = _CRITERION.fullmatch(criterion.strip()) if isinstance(criterion, str) else None
    if match is None:
        shown = str(criterion)[:60]
        work.wrong(line, f"the criterion {shown!r} of {sli} can't be read; it is such as <600, <=+10% or >=-5")
        return "false"
    operator, sign, number, percent = match.groups()
    compared = "==" if operator == "=" else operator
    value = number if "." in number else f"{number}.0"
    if not sign:
        if percent:
            work.notes.append(
                f"{criterion} of {sli} is no change, as it has no sign: it is taken as {operator}{number}"
            )
        return f"double(fact.{key}) {compared} {value}"
    work.is_relative = True
    before = f"double(derived.{key}_before)"
    if percent:
        share = 100 + float(number) if sign == "+" else 100 - float(number)
        target = f"{before} * {share!r} / 100.0"
    else:
        target = f"{before} {sign} {value}"
    return f"(derived.{key}_before == null || double(fact.{key}) {compared} {target})"


def _least(work: _Import, body: LinedDict) -> float:
    """The score below which Keptn says fail: that of a warning, where there is one."""
    total = body.get("total_score")
    if not isinstance(total, LinedDict) or "pass" not in total:
        work.wrong(body.lines.get("total_score"), "total_score.pass is missing: how much must pass")
        return 100
    work.known(total, "total_score")
    found = {key: _percent(work, total, key) for key in ("pass", "warning") if total.get(key) is not None}
    least = min(found.values())
    if least < found["pass"]:
        work.notes.append(
            f"a score of {least:g} and more is GO, with warnings; set min_score_percent to {found['pass']:g} "
            "and it must pass"
        )
    return least


def _percent(work: _Import, total: LinedDict, key: str) -> float:
    match = _PERCENT.fullmatch(str(total[key]).strip())
    value = float(match[1]) if match else -1
    if not 0 <= value <= 100:
        work.wrong(total.lines.get(key), f"total_score.{key} must be a percentage such as 90%")
        return 100
    return value


def _comparison(work: _Import, body: LinedDict) -> None:
    """What relative criteria compare with: a policy knows the last GO alone."""
    comparison = body.get("comparison")
    if comparison is None:
        comparison = LinedDict()
    if not isinstance(comparison, LinedDict):
        work.wrong(body.lines.get("comparison"), "comparison must be a mapping")
        return
    work.known(comparison, "comparison")
    if not work.is_relative:
        return
    several = comparison.get("compare_with", "single_result") != "single_result"
    if several and comparison.get("number_of_comparison_results") != 1:
        work.wrong(
            comparison.lines.get("compare_with"),
            "relative criteria compare with several results, and a policy knows the last GO alone; "
            "set compare_with to single_result",
        )
    included = comparison.get("include_result_with_score", "all")
    if included != "pass":
        work.notes.append(f"relative criteria compare with the last GO, whatever its score; the file says {included}")


def _kind(name: str, objectives: Sequence[_Objective]) -> OwnKind:
    keys = [one.key for one in objectives]
    properties = {key: {"type": "number"} for key in keys}
    schema = {"type": "object", "required": sorted(keys), "properties": properties}
    return OwnKind.of(f"keptn.{name}", f"set of figures of {name}", schema, keys)


def _policy(
    name: str,
    file: str,
    kind: OwnKind,
    objectives: Sequence[_Objective],
    least: float,
    queries: Mapping[str, str],
    max_age_hours: float,
) -> str:
    common: dict[str, Any] = {"kind": kind.name, "scope": "version", "max_age_hours": max_age_hours}
    told = {
        "id": "figures_told",
        "title": "All figures are there",
        "severity": "required",
        "weight": 0,
        **common,
        "when": "derived.part_count == 1",
        "observed": "{derived.part_count} sets of figures",
        "wanted": "1",
    }
    rules = [told, *(rule for one in objectives for rule in _rules(one, common))]
    policy = {
        "name": name,
        "title": f"Service levels of {name}",
        "description": f"Imported from {file}.",
        "subject_mode": "version",
        "allow_warnings": True,
        "min_score_percent": least,
        "rules": rules,
    }
    comments = [f"# Figures: signals of the kind {kind.name}, one for each version."]
    comments += [f"# {one.key}: {_one_line(queries[one.sli])}" for one in objectives if one.sli in queries]
    written = yaml.safe_dump(policy, sort_keys=False, allow_unicode=True, width=1_000)
    return "\n".join(comments) + "\n" + str(written)


def _rules(one: _Objective, common: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if one.passes is None:
        return
    base = {
        "severity": "required" if one.is_key and one.warns is None else "advisory",
        "weight": one.weight if one.warns is None else one.weight / 2,
        **common,
        "observed": f"{_no_braces(one.sli)} is {{fact.{one.key}}}",
        "wanted": _no_braces(one.shown),
    }
    yield {"id": _id(one.key), "title": _no_braces(one.title), **base, "when": one.passes}
    if one.warns is not None:
        yield {
            "id": f"{_id(one.key)}_warning",
            "title": f"{_no_braces(one.title)} (no failure)",
            **base,
            "severity": "required" if one.is_key else "advisory",
            "wanted": _no_braces(one.warns_shown),
            "when": f"({one.passes}) || ({one.warns})",
        }


def _id(key: str) -> str:
    lower = key.lower().lstrip("_") or "x"
    return lower if lower[0].isalpha() else f"sli_{lower}"


def _no_braces(text: str) -> str:
    return text.replace("{", "(").replace("}", ")")


def _one_line(query: str) -> str:
    line = " ".join(query.split())
    return line if len(line) <= MAX_COMMENT_CHARS else line[: MAX_COMMENT_CHARS - 1] + "…"


__all__ = ["Imported", "PolicyError", "import_slo"]
