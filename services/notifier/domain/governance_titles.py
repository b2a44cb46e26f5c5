"""Titles of what the gateway and governance tell; see `titles`."""

from __future__ import annotations

from services.notifier.domain.message import Severity

Title = tuple[Severity, str, str]  # how grave it is; in English, in Korean

GOVERNANCE: dict[str, Title] = {
    # gateway
    "gateway.refusals.counted": ("info", "Requests were refused", "거부된 요청 집계"),
    "gateway.site.created": ("info", "Site created: {title}", "사이트 생성: {title}"),
    "gateway.subscriber.created": ("info", "Subscriber created: {name}", "구독 클라이언트 생성: {name}"),
    "gateway.subscriber.removed": ("info", "Subscriber removed: {name}", "구독 클라이언트 삭제: {name}"),
    "gateway.subscriber.gapped": (
        "critical",
        "Subscriber {name} has missed events: they went by age",
        "구독 클라이언트 {name}: 보관 기간이 지나 놓친 이벤트 있음",
    ),
    "gateway.token.issued": ("info", "Token issued for {username}", "토큰 발급: {username}"),
    "gateway.token.revoked": ("info", "Token of {username} revoked", "토큰 폐기: {username}"),
    "gateway.token.rotated": ("info", "Token of {username} rotated", "토큰 교체: {username}"),
    "gateway.tokens.revoked": ("warning", "All tokens of {username} revoked", "모든 토큰 폐기: {username}"),
    "gateway.grant.ending": ("warning", "Grant of {username} ends soon: {role}", "권한 부여 만료 임박: {username}"),
    "gateway.token.expiring": ("warning", "Token of {username} ends soon: {label}", "토큰 만료 임박: {username}"),
    "gateway.token.aging": (
        "warning",
        "Token of {username}: rotate it ({label})",
        "토큰 교체 시기: {username}",
    ),
    "gateway.token.idling": ("info", "Token of {username} is not used: {label}", "토큰 미사용: {username}"),
    "gateway.user.created": ("info", "User created: {username} ({role})", "사용자 생성: {username} ({role})"),
    "gateway.user.erased": ("info", "Personal data erased: {username}", "개인정보 삭제: {username}"),
    "gateway.user.changed": ("info", "User changed: {username} ({role})", "사용자 변경: {username} ({role})"),
    "gateway.webhook.created": ("info", "Webhook created: {name}", "웹훅 생성: {name}"),
    "gateway.webhook.changed": ("info", "Webhook changed or removed: {name}", "웹훅 변경 또는 삭제: {name}"),
    # governance: verdicts (gate.decided is told by its verdict)
    "gate.go": ("resolved", "GO: {candidate} ({gate})", "GO: {candidate} ({gate})"),
    "gate.go_with_warnings": (
        "resolved",
        "GO with warnings: {candidate} ({gate})",
        "GO (경고 있음): {candidate} ({gate})",
    ),
    "gate.no_go": ("critical", "NO-GO: {candidate} ({gate})", "NO-GO: {candidate} ({gate})"),
    "gate.approval_wanted": (
        "warning",
        "Approval wanted: {candidate} ({gate})",
        "승인 필요: {candidate} ({gate})",
    ),
    "governance.gate.revoked": (
        "critical",
        "GO holds no more: {candidate} ({gate})",
        "GO 효력 상실: {candidate} ({gate})",
    ),
    # governance: approvals
    "governance.approval.given": (
        "info",
        "{person} approved {candidate} ({gate})",
        "{person} 승인: {candidate} ({gate})",
    ),
    "governance.approval.declined": (
        "warning",
        "{person} declined {candidate} ({gate})",
        "{person} 반려: {candidate} ({gate})",
    ),
    "governance.approval.withdrawn": (
        "warning",
        "Approval withdrawn: {candidate} ({gate})",
        "승인 철회: {candidate} ({gate})",
    ),
    "governance.approval.granted": (
        "resolved",
        "All approvals are given: {candidate} ({gate})",
        "승인 완료: {candidate} ({gate})",
    ),
    "governance.delegation.given": (
        "info",
        "{to_user} approves for {from_user}",
        "승인 위임: {from_user} → {to_user}",
    ),
    "governance.delegation.ended": (
        "info",
        "{to_user} approves for {from_user} no more",
        "승인 위임 종료: {from_user} → {to_user}",
    ),
    # governance: exceptions
    "governance.waiver.requested": (
        "warning",
        "Waiver asked for: {rule_id} of {candidate}",
        "예외 승인 요청: {candidate} {rule_id}",
    ),
    "governance.waiver.approved": (
        "warning",
        "Waiver in force: {rule_id} of {candidate}",
        "예외 발효: {candidate} {rule_id}",
    ),
    "governance.waiver.declined": (
        "info",
        "Waiver declined: {rule_id} of {candidate}",
        "예외 반려: {candidate} {rule_id}",
    ),
    "governance.waiver.withdrawn": (
        "info",
        "Waiver withdrawn: {rule_id} of {candidate}",
        "예외 철회: {candidate} {rule_id}",
    ),
    "governance.waiver.revoked": (
        "warning",
        "Waiver ended early: {rule_id} of {candidate}",
        "예외 조기 종료: {candidate} {rule_id}",
    ),
    "governance.baseline.requested": (
        "warning",
        "Baseline asked for: {candidate} ({gate})",
        "기준선 승인 요청: {candidate} ({gate})",
    ),
    "governance.baseline.approved": (
        "warning",
        "Baseline accepted: {candidate} ({gate})",
        "기준선 승인: {candidate} ({gate})",
    ),
    "governance.baseline.declined": (
        "info",
        "Baseline declined: {candidate} ({gate})",
        "기준선 반려: {candidate} ({gate})",
    ),
    "governance.baseline.withdrawn": (
        "info",
        "Baseline withdrawn: {candidate} ({gate})",
        "기준선 철회: {candidate} ({gate})",
    ),
    "governance.baseline.revoked": (
        "warning",
        "Baseline ended early: {candidate} ({gate})",
        "기준선 조기 종료: {candidate} ({gate})",
    ),
    "governance.exception.spent": ("warning", "An exception was made: {what}", "예외 사용: {what}"),
    "governance.override.given": (
        "critical",
        "NO-GO overridden: {candidate} ({gate}); a second person must confirm it",
        "NO-GO 긴급 해제: {candidate} ({gate}), 다른 사람의 확인 필요",
    ),
    "governance.override.confirmed": (
        "warning",
        "Override confirmed: {candidate} ({gate})",
        "긴급 해제 확인: {candidate} ({gate})",
    ),
    "governance.override.revoked": (
        "info",
        "Override ended: {candidate} ({gate})",
        "긴급 해제 종료: {candidate} ({gate})",
    ),
    "governance.exception.unconfirmed": (
        "critical",
        "Nobody confirmed the override in time, so it is over: {candidate} ({gate})",
        "긴급 해제 미확인으로 종료: {candidate} ({gate})",
    ),
    "governance.fact.retired": ("info", "Fact ended: {kind} of {candidate}", "사실 종료: {candidate} {kind}"),
    "governance.retirement.approved": (
        "info",
        "End of a fact approved: {kind} of {candidate}",
        "사실 종료 승인: {candidate} {kind}",
    ),
    "governance.retirement.revoked": (
        "info",
        "End of a fact taken back: {kind} of {candidate}",
        "사실 종료 취소: {candidate} {kind}",
    ),
    # governance: halts, labels
    "governance.line.halted": ("critical", "The line is stopped: {subjects}", "릴리스 중단: {subjects}"),
    "governance.line.lifted": ("resolved", "The line may run again: {subjects}", "릴리스 중단 해제: {subjects}"),
    "governance.label.created": ("info", "Label {label} set: {candidate}", "라벨 {label} 추가: {candidate}"),
    "governance.label.removed": ("info", "Label {label} removed: {candidate}", "라벨 {label} 제거: {candidate}"),
    # governance: documents
    "governance.freezes.published": (
        "warning",
        "Freeze calendars published (version {version})",
        "동결 일정 게시 (버전 {version})",
    ),
    "governance.groups.published": (
        "info",
        "Approval groups published (version {version})",
        "승인 그룹 게시 (버전 {version})",
    ),
    "governance.kinds.published": (
        "info",
        "Kinds of signals published (version {version})",
        "신호 종류 게시 (버전 {version})",
    ),
    "governance.probes.published": (
        "info",
        "Prometheus probes published (version {version})",
        "Prometheus 조회 게시 (버전 {version})",
    ),
    "governance.signers.published": (
        "info",
        "Trusted signers published (version {version})",
        "신뢰 서명자 게시 (버전 {version})",
    ),
    "governance.policies.published": (
        "warning",
        "Policy of {gate} published (version {version})",
        "{gate} 정책 게시 (버전 {version})",
    ),
    "governance.policies.drafted": (
        "info",
        "Draft of the policy of {gate} saved or dropped",
        "{gate} 정책 초안 저장 또는 폐기",
    ),
    "governance.policies.approved": ("info", "Policy text of {gate} approved", "{gate} 정책 문안 승인"),
    "governance.policies.backtest_begun": ("info", "Backtest of {gate} has begun", "{gate} 정책 백테스트 시작"),
    "governance.policies.backtested": (
        "info",
        "Backtest of {gate} has ended: {state}",
        "{gate} 정책 백테스트 종료: {state}",
    ),
    # governance: signals
    "governance.signal.recorded": ("info", "Signal stored: {kind} of {candidate}", "신호 저장: {candidate} {kind}"),
    "governance.signal.repeated": ("info", "Signals came again: {count}", "중복 신호: {count}건"),
    "governance.delivery.ignored": (
        "info",
        "Webhook {webhook} told of something not judged",
        "웹훅 {webhook}: 판정 대상 아님",
    ),
}
