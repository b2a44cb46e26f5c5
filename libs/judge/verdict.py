"""The verdict: a pure function of policy, facts and time.

Only a condition that gives true over valid, fresh facts passes a rule. The newest signal of a part is the fact, also if
it is broken. Missing, stale, future or broken facts fail the rule, with a sentence that says what was observed and what
is wanted. Decision and status follow section 1.2 of the facility system's rules: NO_GO for a failed required rule, for
a warning where warnings aren't allowed, or for a weighted score below the minimum. Beyond it: a rule in shadow mode is
judged and told and counts nowhere, and where no good fact is there at all the verdict is NO_GO, whatever the rules ask.

What people decided (`standing`) is weighed last: a waiver takes a failing rule out of the count, a hold forbids GO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from libs.judge import emergency
from libs.judge.accepted import AcceptedUsed, words
from libs.judge.accepted import used as used_baseline
from libs.judge.accepted import without as without_accepted
from libs.judge.approval_evidence import evidence_of
from libs.judge.approvals import Approved, Evidence, weigh
from libs.judge.artifacts import moved, of_another
from libs.judge.budget import budget_result
from libs.judge.derive import COMPARED_KINDS
from libs.judge.emergency import OverrideUsed, overriding
from libs.judge.evidence import Hearing, bounded
from libs.judge.facts import Fact, Facts
from libs.judge.history import BY_CLOCK, HORIZON, PastRun, turns_at
from libs.judge.history import KIND as HISTORY
from libs.judge.kinds import reads_too
from libs.judge.policy_model import Policy, Rule, look_up
from libs.judge.results import Decision, RuleResult, RuleStatus, RunStatus, Summary, Verdict
from libs.judge.retirements import retire
from libs.judge.stages import StageTerms, chosen, look
from libs.judge.standing import NOBODY_DECIDED, Hold, Standing, Waiver, holds, moments, used, without
from libs.judge.trust import expiry, missing, needed, of_needs, stale, unrepeated, without_zone
from libs.judge.voices import unheard

__all__ = ["Decision", "Fact", "Facts", "RuleResult", "RuleStatus", "RunStatus", "Summary", "Verdict", "judge"]

MAX_REASONS = 3
AT_FIRST = ("no verdict was made before", "what counts from the first one on")


def judge(policy: Policy, facts: Facts, now: datetime, standing: Standing = NOBODY_DECIDED) -> Verdict:
    """Judge ``facts`` by ``policy`` at ``now`` (with a zone). The same input always gives the same verdict.

    Raises ValueError only if ``now`` has no zone.
    """
    if now.tzinfo is None:
        raise ValueError("now must have a time zone")
    given, left = facts, retire(facts, standing.retirements, two_persons=policy.retirements.two_persons)
    facts, hearing = left.facts, Hearing(policy, left.facts, now)
    whole = Hearing(policy, replace(facts, current=(*facts.current, *left.shown)), now) if left.shown else hearing
    results = tuple(_weigh(hearing, whole, rule, standing, left.remarks) for rule in policy.rules)
    enforced = tuple(result for result in results if result.status != "shadow")
    counted = (*enforced, *budget_result(policy, standing.spent, now))
    of_history = {rule.id for rule in policy.rules if rule.kind == HISTORY}  # what was decided before is no fact
    told = [result for result in enforced if result.id not in of_history]
    summary = _summary(counted)
    held, evidence, approved = _held(policy, given, standing, results, now)
    reasons = [*(hold.message for hold in held), *moved(facts)]
    reasons += [result.message for result in counted if result.status == "fail"]
    if not enforced:
        reasons.append("The policy enforces no rule; wanted at least 1.")
    if not policy.allow_warning and summary.warning_count:
        reasons.append(f"{summary.warning_count} optional rules are not passed; wanted 0, as warnings are not allowed.")
    if summary.weighted_score_percent < policy.min_weighted_score_percent:
        reasons.append(
            f"The weighted score is {summary.weighted_score_percent:g} percent; "
            f"wanted at least {policy.min_weighted_score_percent:g} percent."
        )
    if not reasons and not _any_good(told):
        reasons.append("No good fact was received of what the policy needs; wanted at least 1.")
    override = None if moved(facts) else _override(standing, held, reasons, evidence, now)
    if override is not None:
        reasons = []
    warned = summary.warning_count or summary.waived_count or override
    status: RunStatus = "critical" if reasons else "warning" if warned else "success"
    changes = [result.expires_at for result in counted if result.expires_at is not None]
    # Only a GO can end because nothing good is left; of a NO_GO, capsules of before say nothing of it.
    turns = [*map(_turns_at, policy.rules, results), *([] if reasons else [_all_stale_at(told)])]
    changes += [at for at in turns if at is not None]
    changes += [] if approved.ends_at is None else [approved.ends_at]
    changes += [] if override is None else [override.until]
    # A GO does not end because more of it will pass.
    changes += [one.passes_at for one in counted if one.passes_at is not None] if reasons else []
    in_force = {waiver.waiver_id for waiver in standing.waivers_of(facts.version, now)}
    used_ones = {waiver.waiver_id for result in results for waiver in result.waivers}
    return Verdict(
        decision="no_go" if reasons else "go",
        verdict="NO_GO" if reasons else "GO_WITH_WARNINGS" if status == "warning" else "GO",
        status=status,
        rules=(*results, *counted[len(enforced) :]),
        summary=summary,
        reasons=tuple(reasons),
        next_change_at=min((*changes, *moments(standing, now)), default=None),
        baseline_run=facts.baseline_run,
        holds=held,
        unused_waivers=tuple(sorted(in_force - used_ones)),
        evidence="" if evidence is None else evidence.sha256,
        approvals=approved.shown,
        labels=tuple(sorted(one.label for one in standing.labels)),
        override=override,
    )


def _held(
    policy: Policy, facts: Facts, standing: Standing, results: Sequence[RuleResult], now: datetime
) -> tuple[tuple[Hold, ...], Evidence | None, Approved]:
    """What forbids GO beside the rules, the evidence where people have said or must say something of it, and the
    approvals. A labelled version needs one more.
    """
    held, more = holds(standing, now), int(bool(standing.labels))
    if not policy.approvals and not more and not standing.overrides:
        return held, None, Approved()
    evidence = evidence_of(policy, facts, standing, results, now)
    approved = weigh(policy.approvals, more, standing.approvals, evidence, now)
    return (*held, *(Hold("approval", sentence) for sentence in approved.missing)), evidence, approved


def _override(
    standing: Standing, held: Sequence[Hold], reasons: Sequence[str], evidence: Evidence | None, now: datetime
) -> OverrideUsed | None:
    """What makes it GO against these reasons. Nobody overrides a halt: who stops the line always wins. Nor does an
    override go over to another artifact than the one that was seen.
    """
    if not reasons or evidence is None or any(hold.kind == "halt" for hold in held):
        return None
    found = overriding(standing.overrides, evidence, now)
    return None if found is None else emergency.used(found, reasons)


def _any_good(results: Sequence[RuleResult]) -> bool:
    """Whether a rule that counts has read anything that can be judged: what is missing, old or broken says nothing."""
    return any(result.passed or result.has_evidence for result in results)


def _all_stale_at(results: Sequence[RuleResult]) -> datetime | None:
    """When the last evidence grows too old, so that nothing good is there any more; None: never."""
    ends = [result.stale_at for result in results if result.has_evidence]
    return max((end for end in ends if end is not None), default=None) if None not in ends else None


def _status(rule: Rule, passed: bool, now: datetime) -> RuleStatus:
    if rule.mode == "shadow":
        return "shadow"
    if passed:
        return "pass"
    begun = rule.effective_at is None or rule.effective_at <= now
    return "fail" if rule.required and begun else "warning"


def _turns_at(rule: Rule, result: RuleResult) -> datetime | None:
    """When a warning of a required rule becomes a failure."""
    return rule.effective_at if rule.required and result.status == "warning" else None


def _summary(results: Sequence[RuleResult]) -> Summary:
    counted = [result for result in results if result.status != "waived"]
    total = float(sum(result.weight for result in counted))
    passed = float(sum(result.weight for result in counted if result.passed))
    nothing_left = any(result.weight > 0 for result in results if result.status == "waived")
    return Summary(
        total_rules=len(results),
        required_rules=sum(result.required for result in results),
        passed_rules=sum(result.passed for result in results),
        failure_count=sum(result.status == "fail" for result in results),
        warning_count=sum(result.status == "warning" for result in results),
        weighted_total=round(total, 4),
        weighted_passed=round(passed, 4),
        weighted_score_percent=round(100 * passed / total, 2) if total > 0 else 0.0 if nothing_left else 100.0,
        waived_count=len(results) - len(counted),
    )


def _weigh(
    hearing: Hearing, whole: Hearing, rule: Rule, standing: Standing, remarks: Sequence[tuple[str, str]]
) -> RuleResult:
    """What the facts say of a rule, and if they fail it, whether a waiver takes it out of the count.

    ``whole``: with the facts that were retired and yet show what they show.
    """
    result, facts, now = _shown(hearing, whole, rule), whole.facts, hearing.now
    read = {rule.kind, *reads_too(rule.kind), *(need.kind for need in rule.needs)}
    ended = [words for kind, words in remarks if kind in read]
    baselines = standing.baselines_of(facts.line, now) if rule.scope == "version" else []
    of_kind = [one for one in baselines if any(part.kind == rule.kind for part in one.parts)]
    if said := (*(words(one, now) for one in of_kind), *ended, *unheard(rule, hearing.facts)):
        result = replace(result, notes=bounded((*said, *result.notes)))
    if result.passed or result.status == "shadow":
        return result
    mine = [waiver for waiver in standing.waivers_of(facts.version, now) if waiver.rule_id == rule.id]
    of_findings = {waiver.fingerprint: waiver for waiver in mine if waiver.fingerprint}
    if result.has_evidence:
        # The one needs the other only where it does not suffice by itself.
        for findings, accepted in ((of_findings, ()), ({}, baselines), (of_findings, baselines)):
            rest, seen = without(facts, rule.kind, findings)
            rest, met = without_accepted(rest, rule.kind, accepted)
            if (seen or met) and _judge_rule(Hearing(hearing.policy, rest, now), rule).passed:
                return _waived(result, [findings[name] for name in sorted(seen)], [used_baseline(*one) for one in met])
    of_rule = [w for w in mine if not w.fingerprint and (result.has_evidence or w.without_evidence)]
    # Of several the one that lasts longest is enough.
    return _waived(result, [max(of_rule, key=lambda one: (one.ends_at, -one.waiver_id))]) if of_rule else result


def _shown(hearing: Hearing, whole: Hearing, rule: Rule) -> RuleResult:
    """What the facts say; a report that was retired can't fail the rule by its age any more, but by what it shows."""
    result = _judge_rule(hearing, rule)
    if not result.passed or whole is hearing:
        return result
    again = _judge_rule(whole, replace(rule, max_age=None))
    note = "a report that was retired still fails the rule: send it again passing, or judge a new version"
    return result if again.passed else replace(again, notes=bounded((note, *again.notes)))


def _waived(result: RuleResult, waivers: Sequence[Waiver], accepted: Sequence[AcceptedUsed] = ()) -> RuleResult:
    ends = [*(one.ends_at for one in waivers), *(one.ends_at for one in accepted)]
    return replace(
        result,
        status="waived",
        waivers=tuple(map(used, waivers)),
        accepted=tuple(accepted),
        expires_at=min([*ends, *([result.stale_at] if result.stale_at is not None else [])]),
    )


def _judge_rule(hearing: Hearing, rule: Rule) -> RuleResult:
    if rule.stage is not None:
        return _judge_stage(hearing, rule, rule.stage)
    now, found = hearing.now, hearing.evidence(rule)
    beside_it = hearing.beside(rule) if rule.needs else None
    beside: list[Fact] = []
    values: dict[str, Any] = {**found.values, "rule": _rule_values(rule)}
    has_evidence = False
    wrong = without_zone([*found.zoneless, *(of_needs(rule, beside_it) if beside_it else [])])
    if not wrong:
        wrong = list(found.wrong)
        if found.is_missing and not wrong:
            wrong = _nothing_before(rule) if rule.kind == HISTORY else [missing(rule, found.version, hearing.facts.own)]
        elif not wrong:
            unjudged, failed = _condition_failures(rule, values)
            old = stale(rule, found.ages_by(rule.age_of), found.current, now, hearing.facts.own)
            has_evidence = found.is_whole and not (unjudged or old)
            wrong = [*failed, *old] or _unasked(values["params"], values["derived"])
            wrong += unrepeated(rule, found.current, now) if wrong else []
        if beside_it is not None:
            beside, lacking = needed(rule, beside_it, now)
            lacking += of_another(beside, beside_it, required=hearing.policy.digest_required)
            has_evidence = has_evidence and not lacking
            wrong = [*wrong, *lacking]
    passed = not wrong
    stale_at = expiry(rule, found.ages_by(rule.age_of), beside) if has_evidence else None
    passes_at = None
    if has_evidence and found.past and BY_CLOCK in rule.condition.expression:
        stale_at, passes_at = _by_the_hour(rule, found.past, values, stale_at, now)
    if passed and rule.kind == HISTORY and found.is_missing:
        observed, wanted = AT_FIRST
    elif passed:
        observed, wanted = rule.sentence.render(values)
    else:
        observed = " and ".join(dict.fromkeys(observed for observed, _ in wrong))
        wanted = " and ".join(dict.fromkeys(wanted for _, wanted in wrong))
    compared = rule.kind in COMPARED_KINDS and rule.scope == "version"
    against = (str(hearing.facts.baseline_run) if found.has_baseline else "none") if compared else None
    message = f"{observed[:1].upper()}{observed[1:]}; wanted {wanted}."
    return RuleResult(
        id=rule.id,
        required=rule.required,
        status=_status(rule, passed, now),
        passed=passed,
        weight=rule.weight,
        message=f"{message} {_without_baseline(hearing.facts)}" if against == "none" else message,
        detail={name: look_up(lookup, values) for name, lookup in rule.detail.items()},
        observed=observed,
        wanted=wanted,
        facts_used=_with(found.signals, beside),
        owner_role=rule.owner_role,
        sla_hours=rule.sla_hours,
        action=rule.action,
        baseline=against,
        expires_at=stale_at if passed else None,
        notes=found.notes,
        has_evidence=has_evidence,
        stale_at=stale_at,
        passes_at=passes_at,
    )


def _judge_stage(hearing: Hearing, rule: Rule, terms: StageTerms) -> RuleResult:
    facts, policy, now = hearing.facts, hearing.policy, hearing.now
    go = chosen(facts.stages, terms.gate, facts.line)
    found = look(terms, go, facts.version, facts.artifact_digest, now, digest_required=policy.digest_required)
    passed, go = not found.wrong, found.go
    observed, wanted = found.wrong[0] if found.wrong else (f"the GO of the gate {terms.gate} holds", "one that holds")
    detail = {"gate": terms.gate, **({} if go is None else {"run_id": go.run_id, "since": go.since.isoformat()})}
    return RuleResult(
        id=rule.id,
        required=rule.required,
        status=_status(rule, passed, now),
        passed=passed,
        weight=rule.weight,
        message=f"{observed[:1].upper()}{observed[1:]}; wanted {wanted}.",
        detail=detail,
        observed=observed,
        wanted=wanted,
        facts_used=(),
        owner_role=rule.owner_role,
        sla_hours=rule.sla_hours,
        action=rule.action,
        expires_at=found.ends_at,
        has_evidence=go is not None,
        stale_at=found.ends_at,
        passes_at=found.passes_at,
    )


def _with(signals: tuple[int, ...], beside: Sequence[Fact]) -> tuple[int, ...]:
    return tuple(sorted({*signals, *(fact.signal_id for fact in beside)})) if beside else signals


def _without_baseline(facts: Facts) -> str:
    return f"Baseline: none in the line {facts.line}." if facts.line else "Baseline: none."


def _rule_values(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "required": rule.required,
        "weight": rule.weight,
        f"max_age_{rule.max_age_unit}": rule.max_age,
    }


def _nothing_before(rule: Rule) -> list[tuple[str, str]]:
    return [] if rule.passes_at_first else [("no verdict was made before", "at least one")]


def _by_the_hour(
    rule: Rule, past: Sequence[PastRun], values: Mapping[str, Any], stale_at: datetime | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """When a rule over hours stops passing, or else begins to, by the clock alone."""
    passes = partial(_passes_over, rule, values)
    if passes(values["derived"]):
        turns = turns_at(past, now, passes) or now + HORIZON
        return (turns if stale_at is None else min(stale_at, turns)), None
    begins = turns_at(past, now, lambda derived: not passes(derived))
    return stale_at, begins if begins is None or stale_at is None or begins < stale_at else None


def _passes_over(rule: Rule, values: Mapping[str, Any], derived: Mapping[str, Any]) -> bool:
    return not _condition_failures(rule, {**values, "derived": derived})[1]


def _condition_failures(rule: Rule, values: Mapping[str, Any]) -> tuple[bool, list[tuple[str, str]]]:
    """Whether the condition could not be judged, and what is wrong."""
    visible = {name: values[name] for name in ("fact", "parts", "baseline", "params", "derived")}
    outcome = rule.condition.evaluate(visible)
    if outcome.passed:
        return False, []
    if outcome.reason:
        return True, [(f"the condition could not be judged ({outcome.reason})", rule.sentence.render(values)[1])]
    matching = [reason.sentence for reason in rule.reasons if reason.when.evaluate(visible).passed]
    return False, [sentence.render(values) for sentence in matching[:MAX_REASONS] or [rule.sentence]]


def _unasked(parameters: Mapping[str, Any], derived: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What no condition may overlook, also one that was written before there were words for it."""
    found = []
    if incomplete := derived.get("incomplete"):
        found.append((f"a report is incomplete: {', '.join(incomplete)}", "whole reports"))
    if open_count := derived.get("still_failing_count"):
        named = ", ".join(derived["still_failing"])
        found.append((f"{open_count} tests were not shown passing since they failed ({named})", "each shown passing"))
    if "max_flaky" not in parameters and (flaky_count := derived.get("flaky")):
        named = ", ".join(derived["flaky_tests"])
        found.append((f"{flaky_count} tests are flaky ({named})", "0 flaky, as the policy has no max_flaky"))
    return found
