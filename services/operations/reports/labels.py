"""What the page of a quality report says beside its figures, in the languages that people read it in."""

from __future__ import annotations

from collections.abc import Mapping

LABELS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "weekly": "Weekly quality report", "monthly": "Monthly quality report", "made": "made at", "to": "to",
        "running": "This month still runs: more will come in.",
        "incomplete": "Not all could be read. What is missing is named below, and is no zero.",
        "summary": "At a glance", "runs": "runs of jobs", "findings": "critical findings of daily checks",
        "deliveries": "deliveries", "arrived": "arrived", "open": "open items", "urgent": "of required rules",
        "nobody": "that belong to nobody", "verdicts": "verdicts of gates", "no_go": "of these NO-GO",
        "preflight": "preflight checks in error", "noise": "noise of alerts", "nothing": "no data",
        "streak": "Weeks with a report", "in_a_row": "in a row, wanted are", "grace": "in its first weeks",
        "week_of": "week of", "counts": "counts", "counts_not": "no report that counts",
        "checks": "Daily checks", "no_checks": "No daily check was made.", "critical": "critical", "warning": "warning",
        "failed": "failed", "success": "success", "of_check": "the check itself failed",
        "jobs": "Jobs", "job": "job", "total": "runs", "rate": "success rate", "no_jobs": "No job ran.",
        "parts": "What was read", "part": "part", "state": "state", "reason": "reason",
        "read": "read", "empty": "nothing to count", "missing": "could not be read", "absent": "not there yet",
        "advice": "What to do", "sent": "Deliveries", "delivered": "arrived", "given_up": "given up",
    },
    "ko": {
        "weekly": "주간 품질 보고서", "monthly": "월간 품질 보고서", "made": "작성", "to": "~",
        "running": "아직 끝나지 않은 달입니다. 수치가 더 늘어납니다.",
        "incomplete": "읽지 못한 항목이 있습니다. 아래에 표시된 빈 값은 0이 아닙니다.",
        "summary": "한눈에 보기", "runs": "작업 실행", "findings": "일일 점검의 심각 항목",
        "deliveries": "알림 전송", "arrived": "전달됨", "open": "미완료 항목", "urgent": "필수 규칙",
        "nobody": "담당자 없음", "verdicts": "게이트 판정", "no_go": "NO-GO",
        "preflight": "사전 점검 오류", "noise": "알림 소음", "nothing": "자료 없음",
        "streak": "보고서가 작성된 주", "in_a_row": "주 연속, 목표", "grace": "시작 후 유예 기간",
        "week_of": "주 시작일", "counts": "인정됨", "counts_not": "인정되는 보고서 없음",
        "checks": "일일 점검", "no_checks": "일일 점검이 실행되지 않았습니다.", "critical": "심각", "warning": "경고",
        "failed": "실패", "success": "성공", "of_check": "점검 자체가 실패함",
        "jobs": "작업", "job": "작업", "total": "실행", "rate": "성공률", "no_jobs": "실행된 작업이 없습니다.",
        "parts": "읽은 항목", "part": "항목", "state": "상태", "reason": "이유",
        "read": "읽음", "empty": "집계할 것 없음", "missing": "읽지 못함", "absent": "아직 없음",
        "advice": "조치 사항", "sent": "알림 전송", "delivered": "전달됨", "given_up": "포기함",
    },
}  # fmt: skip
