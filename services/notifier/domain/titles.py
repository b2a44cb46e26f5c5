"""The title of each event for people, in English and in Korean, and how grave it is.

Braces name fields of the event's data, of the item in it, or what `stories` adds: ``{candidate}`` (subject and
version), ``{place}`` (gate and subject), ``{who}`` (who did it). What an event lacks is left out.
"""

from __future__ import annotations

from services.notifier.domain.message import Severity

Title = tuple[Severity, str, str]

TITLES: dict[str, Title] = {
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
    "gateway.user.created": ("info", "User created: {username} ({role})", "사용자 생성: {username} ({role})"),
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
    # tracker: items
    "tracker.item.opened": ("critical", "To do: {rule_id} of {place}", "조치 필요: {place} {rule_id}"),
    "tracker.item.updated": ("info", "Changed: {rule_id} of {place}", "항목 변경: {place} {rule_id}"),
    "item.claimed": ("info", "Said to be done: {rule_id} of {place}", "완료 보고: {place} {rule_id}"),
    "item.blocked": ("warning", "Blocked: {rule_id} of {place}", "진행 불가: {place} {rule_id}"),
    "tracker.item.reopened": ("critical", "Fails again: {rule_id} of {place}", "재발: {place} {rule_id}"),
    "item.refused": (
        "critical",
        "Not done after all: {rule_id} of {place} still fails",
        "완료 보고 거부: {place} {rule_id} 여전히 실패",
    ),
    "tracker.item.assigned": (
        "info",
        "{assignee} does: {rule_id} of {place}",
        "담당 배정 {assignee}: {place} {rule_id}",
    ),
    "item.released": ("warning", "Nobody does it any more: {rule_id} of {place}", "담당자 없음: {place} {rule_id}"),
    "tracker.item.resolved": ("resolved", "Resolved: {rule_id} of {place}", "해결: {place} {rule_id}"),
    "tracker.escalation.raised": (
        "critical",
        "Due (level {level} of {levels}): {rule_id} of {place}",
        "기한 임박 (단계 {level}/{levels}): {place} {rule_id}",
    ),
    "escalation.overdue": (
        "critical",
        "Overdue (level {level} of {levels}): {rule_id} of {place}",
        "기한 초과 (단계 {level}/{levels}): {place} {rule_id}",
    ),
    "tracker.escalation.unreached": (
        "critical",
        "Nobody could be told (last level {level}): {rule_id}",
        "아무에게도 알리지 못함 (마지막 단계 {level}): {rule_id}",
    ),
    "notifier.escalation.failed": (
        "critical",
        "Level {level} of item {item_id} reached nobody",
        "항목 {item_id} 단계 {level}: 아무에게도 전달되지 않음",
    ),
    "notifier.escalation.delivered": (
        "info",
        "Level {level} of item {item_id} was told",
        "항목 {item_id} 단계 {level} 전달됨",
    ),
    "tracker.escalation.acknowledged": (
        "info",
        "Escalation of item {item_id} acknowledged",
        "항목 {item_id} 에스컬레이션 확인",
    ),
    "tracker.escalation.unacknowledged": (
        "warning",
        "Escalation of item {item_id} goes on",
        "항목 {item_id} 에스컬레이션 재개",
    ),
    "tracker.escalation.snoozed": ("info", "Escalation of item {item_id} rests", "항목 {item_id} 에스컬레이션 보류"),
    "tracker.escalation.woken": (
        "warning",
        "Escalation of item {item_id} rests no more",
        "항목 {item_id} 에스컬레이션 보류 해제",
    ),
    "tracker.comment.added": ("info", "{author} commented on item {item_id}", "{author} 댓글: 항목 {item_id}"),
    "tracker.comment.withdrawn": ("info", "Comment withdrawn: item {item_id}", "댓글 철회: 항목 {item_id}"),
    "tracker.link.added": ("info", "Link added to item {item_id}", "링크 추가: 항목 {item_id}"),
    "tracker.link.removed": ("info", "Link removed from item {item_id}", "링크 제거: 항목 {item_id}"),
    # tracker: boards and people
    "tracker.board.synced": ("info", "Board brought up to date: {place}", "보드 동기화: {place}"),
    "tracker.board.reopened": ("warning", "Board is active again: {place}", "보드 재개: {place}"),
    "tracker.board.completed": ("resolved", "Board completed: {place}", "보드 완료: {place}"),
    "board.forced": (
        "warning",
        "Board completed by force, with exceptions: {place}",
        "보드 강제 완료 (예외 있음): {place}",
    ),
    "tracker.board.retired": ("info", "Subject retired: {place}", "대상 은퇴: {place}"),
    "tracker.bulk.patched": ("info", "Items changed at once: {changed_count}", "항목 일괄 변경: {changed_count}건"),
    "tracker.absence.added": ("info", "{username} will be away", "부재 예정: {username}"),
    "tracker.absence.cancelled": ("info", "{username} will not be away", "부재 취소: {username}"),
    "tracker.person.limited": ("info", "Limit of open items changed: {username}", "담당 한도 변경: {username}"),
    "tracker.assignment.published": (
        "info",
        "Assignment policy published (version {version})",
        "배정 정책 게시 (버전 {version})",
    ),
    "tracker.autopilot_policy.published": (
        "info",
        "Autopilot policy published (version {version})",
        "자동 운영 정책 게시 (버전 {version})",
    ),
    "tracker.autopilot.previewed": (
        "warning",
        "A plan of the autopilot waits for approval",
        "자동 운영 계획 승인 대기",
    ),
    "tracker.autopilot.switched": (
        "warning",
        "The autopilot was stopped, or may act again",
        "자동 운영 중지 또는 재개",
    ),
    "tracker.autopilot.undone": ("warning", "A run of the autopilot was taken back", "자동 운영 실행 취소"),
    "tracker.calendar.published": (
        "info",
        "Business calendar published (version {version})",
        "업무 달력 게시 (버전 {version})",
    ),
    "tracker.calendar.previewed": (
        "info",
        "Calendar preview: {moved_count} deadlines would move",
        "달력 미리보기: 기한 {moved_count}건 변경 예상",
    ),
    "tracker.calendar.applied": (
        "info",
        "The new calendar moved {moved_count} deadlines",
        "새 달력 적용: 기한 {moved_count}건 변경",
    ),
    "tracker.chains.published": (
        "info",
        "Escalation chains published (version {version})",
        "에스컬레이션 체인 게시 (버전 {version})",
    ),
    "tracker.sla_rules.published": (
        "info",
        "SLA rules published (version {version})",
        "SLA 규칙 게시 (버전 {version})",
    ),
    # notifier
    "notifier.delivery.retried": ("info", "Deliveries sent again: {retried_count}", "재전송: {retried_count}건"),
    "notifier.subscription.replayed": ("info", "Events replayed: {event_count}", "이벤트 재생: {event_count}건"),
    "notifier.subscription.created": ("info", "Subscription created: {name}", "구독 생성: {name}"),
    "notifier.subscription.changed": (
        "info",
        "Subscription changed: {name} ({status})",
        "구독 변경: {name} ({status})",
    ),
    "notifier.subscription.disabled": (
        "critical",
        "Subscription disabled: {name}; its receiver wants no more",
        "구독 중지: {name}, 수신 측에서 거부",
    ),
    "notifier.subscription.tested": ("info", "This is a test", "테스트 메시지"),
    # what every service tells
    "*.command.refused": ("warning", "{service}: command refused: {operation}", "{service}: 명령 거부: {operation}"),
    "*.deadletter.buried": (
        "critical",
        "{service}: a message could not be applied ({message_type})",
        "{service}: 처리하지 못한 메시지 ({message_type})",
    ),
    "*.deadletter.replayed": (
        "resolved",
        "{service}: a dead letter was applied",
        "{service}: 미처리 메시지 재처리 완료",
    ),
    "*.deadletter.dropped": ("resolved", "{service}: a dead letter was given up", "{service}: 미처리 메시지 폐기"),
    "*.job.finished": ("resolved", "Job {job_name}: {status}", "작업 {job_name}: {status}"),
    "job.warning": ("warning", "Job {job_name} ended with a warning", "작업 {job_name}: 경고"),
    "job.critical": ("critical", "Job {job_name} found something critical", "작업 {job_name}: 심각"),
    "job.failed": ("critical", "Job {job_name} failed", "작업 {job_name}: 실패"),
}


def title_of(name: str, kind: str = "") -> Title | None:
    """The title of a kind of an event, else of the event's name, else of what every service tells; else None."""
    return TITLES.get(kind) or TITLES.get(name) or TITLES.get("*." + name.partition(".")[2])
