#!/bin/sh
# Test a Headgate that was deployed, record it, and write what was found into a summary (Markdown). Exit code: 0 it is well, 1 it is not, 2 could not judge.
# Wants HEADGATE_URL, HEADGATE_TOKEN, DEPLOY_ID; takes ENVIRONMENT, VERSION, COMMIT, COMMITTED_AT (RFC 3339), ROLLBACK_GUIDE (a file),
# ROLLBACK (yes: it went back to an earlier version), WAIT (such as 5m, until it is ready), SUMMARY (a file).
set -u
for name in HEADGATE_URL HEADGATE_TOKEN DEPLOY_ID; do
    eval "value=\${$name:-}"
    [ -n "$value" ] || { echo "smoke.sh: set $name" >&2; exit 2; }
done
# The commit's own time counts (DORA's lead time); a shallow checkout has it, too.
if [ -n "${COMMIT:-}" ] && [ -z "${COMMITTED_AT:-}" ]; then
    COMMITTED_AT=$(git log -1 --format=%cI "$COMMIT" 2>/dev/null || :)
fi
said=$(headgate deploy smoke --deploy-id "$DEPLOY_ID" \
    ${ENVIRONMENT:+--environment "$ENVIRONMENT"} ${VERSION:+--version "$VERSION"} ${COMMIT:+--commit "$COMMIT"} \
    ${COMMITTED_AT:+--committed-at "$COMMITTED_AT"} ${ROLLBACK_GUIDE:+--rollback-guide "$ROLLBACK_GUIDE"} \
    ${ROLLBACK:+--rollback} ${WAIT:+--wait "$WAIT"})
code=$?
[ -z "$said" ] || printf '%s\n' "$said"
case $code in
    0) heading="deployed and well" ;;
    1) heading="deployed and not well" ;;
    *) heading="could not be judged" ;;
esac
# A longer fence than what was found may hold.
{ printf '## %s\n\n````````\n' "$heading"; printf '%s\n' "$said" | tr -d '`'; printf '````````\n'; } >"${SUMMARY:-/dev/null}"
exit "$code"
