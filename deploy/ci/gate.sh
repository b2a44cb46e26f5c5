#!/bin/sh
# Send the reports of a build, judge it, and write why into a summary (Markdown). Exit code: 0 GO, 1 NO-GO, 2 could not judge.
# Wants HEADGATE_URL, HEADGATE_TOKEN, GATE, SUBJECT, VERSION; takes REPORTS (lines FORMAT=FILE), HEADGATE_SITE, WAIT (such as 15m), SUMMARY (a file),
# SIGN_WITH (a file with a private key), IDENTITY_TOKEN (the identity token of the job).
set -u
for name in HEADGATE_URL HEADGATE_TOKEN GATE SUBJECT VERSION; do
    eval "value=\${$name:-}"
    [ -n "$value" ] || { echo "gate.sh: set $name" >&2; exit 2; }
done
set -- --subject "$SUBJECT" --version "$VERSION"
[ -z "${HEADGATE_SITE:-}" ] || set -- "$@" --site "$HEADGATE_SITE"

# A report that never arrived must not leave an older, better one in charge unseen: then this build can't be judged.
missed=""
while IFS= read -r line; do
    [ -n "$line" ] || continue
    headgate report send "${line%%=*}" "${line#*=}" "$@" \
        ${SIGN_WITH:+--sign-with "$SIGN_WITH"} ${IDENTITY_TOKEN:+--identity-token IDENTITY_TOKEN}
    case $? in
        0) ;;
        1) echo "gate.sh: $line was refused; the gate counts it as broken" >&2 ;;
        *) missed="$missed $line" ;;
    esac
done <<REPORTS_END
${REPORTS:-}
REPORTS_END

headgate gate run "$GATE" "$@" ${WAIT:+--wait "$WAIT"}
code=$?
[ "$code" -gt 1 ] || headgate gate explain "$GATE" "$@" --markdown >"${SUMMARY:-/dev/null}"
if [ -n "$missed" ]; then
    echo "gate.sh: not sent:$missed" >&2
    exit 2
fi
exit "$code"
