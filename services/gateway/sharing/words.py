"""What the page of a share says, in English and Korean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

State = Literal["ask", "shown", "unknown", "later", "form"]
Language = Literal["en", "ko"]

# Unknown, expired, revoked, used up and without right any more are one answer: whoever asks learns nothing of a link.
STATUSES: Mapping[State, int] = {"ask": 200, "shown": 200, "unknown": 404, "later": 503, "form": 400}
TEXTS: Mapping[Language, Mapping[State, tuple[str, str]]] = {
    "en": {
        "ask": (
            "Somebody shared something with you",
            "Opening counts as one use of the link. What you see is read-only and as it is at this moment.",
        ),
        "shown": ("", "Shown as it is at {at}. Read-only; whoever shared it can end the link at any time."),
        "unknown": (
            "This link opens nothing",
            "It is not whole, its time is over, it was used as often as it may be, or it was ended. Ask whoever sent "
            "it for another one.",
        ),
        "later": ("Not now", "A part that this needs can't be reached. Try again in a minute."),
        "form": ("Nothing was opened", "Open the link again, and press one of its buttons."),
    },
    "ko": {
        "ask": (
            "공유된 내용이 있습니다",
            "열면 링크 사용 횟수가 한 번 늘어납니다. 읽기 전용이며 지금 이 순간의 내용을 보여 줍니다.",
        ),
        "shown": ("", "{at} 기준의 내용입니다. 읽기 전용이며, 공유한 사람이 언제든지 링크를 끝낼 수 있습니다."),
        "unknown": (
            "열 수 없는 링크입니다",
            "링크가 온전하지 않거나, 기한이 지났거나, 사용 횟수를 다 썼거나, 종료되었습니다. 보낸 사람에게 새 링크를 "
            "요청하십시오.",
        ),
        "later": ("지금은 안 됩니다", "필요한 부분에 연결할 수 없습니다. 잠시 뒤 다시 하십시오."),
        "form": ("열린 것이 없습니다", "링크를 다시 열고 단추를 누르십시오."),
    },
}
ASK: Mapping[Language, Mapping[str, str]] = {
    "en": {"field": "The link, or what follows its #", "show": "Show", "file": "Download as JSON"},
    "ko": {"field": "링크 전체 또는 # 뒤의 글자", "show": "보기", "file": "JSON으로 내려받기"},
}
TITLES: Mapping[Language, Mapping[str, str]] = {
    "en": {"run": "Verdict", "plan": "Remediation plan", "board": "Remediation board", "capsule": "Decision capsule"},
    "ko": {"run": "판정", "plan": "조치 계획", "board": "조치 보드", "capsule": "결정 캡슐"},
}
# Names of facts and columns.
NAMES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "verdict": "Verdict", "gate": "Gate", "site": "Site", "subject": "Subject", "version": "Version",
        "line": "Line", "run": "Run", "decided_at": "Decided", "score": "Score", "valid_until": "Valid until",
        "reasons": "Why not", "rules": "Rules", "rule": "Rule", "status": "State", "message": "What was found",
        "items": "Items", "priority": "Priority", "owner": "Owner", "due_at": "Due", "action": "What to do",
        "reason": "Why", "assignee": "Assignee", "active": "Open", "done": "Done", "overdue": "Overdue",
        "critical": "Critical", "sha256": "SHA-256 of its body", "check": "Check it", "more": "Not shown here",
    },
    "ko": {
        "verdict": "판정", "gate": "게이트", "site": "사이트", "subject": "대상", "version": "버전",
        "line": "라인", "run": "실행", "decided_at": "판정 시각", "score": "점수", "valid_until": "유효 기한",
        "reasons": "막는 이유", "rules": "규칙", "rule": "규칙", "status": "상태", "message": "확인한 내용",
        "items": "항목", "priority": "우선순위", "owner": "담당 역할", "due_at": "기한", "action": "할 일",
        "reason": "이유", "assignee": "담당자", "active": "열림", "done": "완료", "overdue": "기한 지남",
        "critical": "치명", "sha256": "본문의 SHA-256", "check": "검증 방법", "more": "여기 없는 항목",
    },
}  # fmt: skip
