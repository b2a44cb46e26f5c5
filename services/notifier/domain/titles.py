"""The title of each event for people, in English and in Korean, and how grave it is.

Braces name fields of the event's data, of the item in it, or what `stories` adds: ``{candidate}`` (subject and
version), ``{place}`` (gate and subject), ``{who}`` (who did it). What an event lacks is left out.
"""

from __future__ import annotations

from services.notifier.domain.governance_titles import GOVERNANCE, Title

TITLES: dict[str, Title] = {
    **GOVERNANCE,
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
    "notifier.channel.created": ("info", "Channel made: {name} ({kind})", "채널 생성: {name} ({kind})"),
    "notifier.channel.changed": ("info", "Channel changed: {name} ({status})", "채널 변경: {name} ({status})"),
    "notifier.channel.disabled": (
        "critical",
        "Channel disabled: {name}; who is there wants no more",
        "채널 중지: {name}, 수신 측에서 거부",
    ),
    "notifier.channel.tested": ("info", "This is a test of the channel {name}", "채널 {name} 테스트 메시지"),
    "notifier.templates.published": (
        "info",
        "Message templates published (version {version})",
        "메시지 템플릿 게시 (버전 {version})",
    ),
    "notifier.retention_policy.published": (
        "info",
        "Retention policy published (version {version})",
        "보관 정책 게시 (버전 {version})",
    ),
    "notifier.noise_policy.published": (
        "info",
        "Noise policy published (version {version})",
        "알림 소음 정책 게시 (버전 {version})",
    ),
    "notifier.mttr_slo.published": (
        "info",
        "MTTR objective published (version {version})",
        "MTTR 목표 게시 (버전 {version})",
    ),
    "notifier.mttr_slo.breached": (
        "warning",
        "Receivers take too long to recover",
        "수신 측 복구 시간 목표 초과",
    ),
    "notifier.circuit.opened": (
        "critical",
        "A receiver keeps failing: what is for it is held back ({event_name})",
        "수신 측 연속 실패, 전송 보류 ({event_name})",
    ),
    "notifier.circuit.closed": (
        "resolved",
        "A receiver is well again: what was held back is sent ({event_name})",
        "수신 측 복구, 보류된 전송 재개 ({event_name})",
    ),
    "notifier.circuit.probed": ("info", "A receiver was probed by hand", "수신 측 수동 점검"),
    "notifier.verdict.given": ("info", "A person judged an alert", "알림 평가 기록"),
    "metrics.slo.changed": ("warning", "SLO {title}: {status}", "SLO {title}: {status}"),
    "operations.alert.raised": (
        "critical",
        "A daily check found something",
        "일일 점검에서 문제 발견",
    ),
    "operations.risk.raised": (
        "warning",
        "The security risk of {site} has risen to {level}",
        "{site}의 보안 위험 상승: {level}",
    ),
    "operations.risk.lowered": (
        "resolved",
        "The security risk of {site} has fallen to {level}",
        "{site}의 보안 위험 하락: {level}",
    ),
    "audit.fork.seen": (
        "critical",
        "The witness {witness} saw another history of the audit log",
        "증인 {witness}이(가) 감사 로그의 다른 이력을 보았음",
    ),
    "audit.checkpoint.witnessed": ("info", "{witness} cosigns the audit log", "{witness}이(가) 감사 로그에 연서함"),
    "audit.log_key.added": ("warning", "Another key signs the audit log", "감사 로그 서명 키 변경"),
    "audit.log.rolled_over": ("info", "The audit log was rolled over", "감사 로그 전환"),
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
    "*.preflight.finished": (
        "info",
        "{service}: a process has looked around at start ({overall_status})",
        "{service}: 시작 점검 완료 ({overall_status})",
    ),
    "preflight.failed": (
        "critical",
        "{service}: what a process needs at start is not well ({overall_status})",
        "{service}: 시작 점검에서 문제 발견 ({overall_status})",
    ),
    "*.job.finished": ("resolved", "Job {job_name}: {status}", "작업 {job_name}: {status}"),
    "job.warning": ("warning", "Job {job_name} ended with a warning", "작업 {job_name}: 경고"),
    "job.critical": ("critical", "Job {job_name} found something critical", "작업 {job_name}: 심각"),
    "job.failed": ("critical", "Job {job_name} failed", "작업 {job_name}: 실패"),
}


def title_of(name: str, kind: str = "") -> Title | None:
    """The title of a kind of an event, else of the event's name, else of what every service tells; else None."""
    return TITLES.get(kind) or TITLES.get(name) or TITLES.get("*." + name.partition(".")[2])
