"""The sentences of quality reports, in the languages that people read them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ADVICE: Mapping[str, Mapping[str, str]] = {
    "en": {
        "missing": "Not all could be read ({parts}): mend that first, the figures here are not the whole story.",
        "critical": "{count} critical findings in daily checks: see the newest (`headgate ops check`) and mend each.",
        "preflight": "{count} preflight checks are in error: `headgate preflight show --refresh` says what to do.",
        "failed_checks": "{count} daily checks failed themselves: see `headgate jobs runs ops_daily_check`.",
        "no_checks": "No daily check was made: see why the job ops_daily_check does not run (`headgate jobs list`).",
        "jobs": "Jobs failed or ended as critical: {jobs}. `headgate jobs runs JOB` has the reasons.",
        "deliveries": "Only {percent} % of deliveries arrived: `headgate guard show` says which receivers fail.",
        "noise": "Too many alerts were wrong, or were missed: look at what triggers them.",
        "duties": "{count} open items are of required rules: `headgate items list` says whose they are.",
        "unassigned": "{count} open items belong to nobody: assign them.",
        "streak": "A report was made in {weeks} weeks in a row, wanted are {target}: keep the weekly job running.",
        "calm": "Nothing needs to be done.",
    },
    "ko": {
        "missing": "읽지 못한 항목이 있습니다({parts}). 먼저 복구하세요. 아래 수치는 전체가 아닙니다.",
        "critical": (
            "일일 점검에서 심각한 항목이 {count}건 발견되었습니다. 최신 점검(`headgate ops check`)을 보고 하나씩 "
            "해결하세요."
        ),
        "preflight": "사전 점검 {count}건이 오류입니다. `headgate preflight show --refresh`가 조치 방법을 알려 줍니다.",
        "failed_checks": "일일 점검 {count}건이 실패했습니다. `headgate jobs runs ops_daily_check`를 확인하세요.",
        "no_checks": (
            "일일 점검이 한 번도 실행되지 않았습니다. ops_daily_check 작업이 왜 돌지 않는지 확인하세요(`headgate "
            "jobs list`)."
        ),
        "jobs": "실패했거나 심각으로 끝난 작업: {jobs}. 이유는 `headgate jobs runs JOB`에 있습니다.",
        "deliveries": "알림의 {percent} %만 전달되었습니다. `headgate guard show`에서 실패하는 수신처를 확인하세요.",
        "noise": "잘못된 알림이나 놓친 알림이 너무 많습니다. 발생 조건을 살펴보세요.",
        "duties": "필수 규칙의 미완료 항목이 {count}건 있습니다. 담당자는 `headgate items list`에서 확인하세요.",
        "unassigned": "담당자가 없는 항목이 {count}건 있습니다. 담당자를 지정하세요.",
        "streak": "보고서가 {weeks}주 연속 작성되었습니다(목표 {target}주). 주간 작업이 계속 돌도록 하세요.",
        "calm": "필요한 조치가 없습니다.",
    },
}


def advice(found: Sequence[tuple[str, Mapping[str, object]]], language: str) -> list[str]:
    """The sentences of recommendations."""
    return [ADVICE[language][name].format(**values) for name, values in found]
