"""schemathesis against the live OpenAPI document: what is declared is what is answered, and nothing ends as a 5xx."""

from __future__ import annotations

import re
from collections import Counter

from libs.common.contracts.roles import ROLES
from tests.outside.tools import run
from tests.outside.world import SUBJECT, World, check

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)
ENDLESS = "/api/events"
# The fuzzer would take away its own rights with these; tests/integration sends them what is hostile.
SUICIDAL = ("gateway.token.revoke", "gateway.user.patch")
NARROW = ["signal:write", "gate:read", "gate:run", "remediation:read"]
# Who fuzzes, for how many seconds. Whoever may do less gets further into other branches of what refuses.
CALLERS = {
    "owner": 90,
    "commander": 30,
    "manager": 30,
    "operator": 30,
    "auditor": 30,
    "viewer": 30,
    "a narrow token": 20,
}
LEAST = {"owner": 20}  # of answers 2xx and 4xx, also on a loaded machine; of the others one each: they came in


def step(world: World) -> None:
    """Fuzz every operation as each kind of caller, each within its time."""
    for who, seconds in CALLERS.items():
        _fuzz(world, who, seconds)


def _token(world: World, who: str) -> str:
    """The token of a new caller of this kind."""
    if who in ROLES:
        return world.token(f"fuzz-{who}", who)
    body = {"label": "fuzz", "permissions": NARROW, "subjects": [f"{SUBJECT}*"]}
    return str(world.post("/api/tokens", status=201, json=body)["token"])


def _fuzz(world: World, who: str, seconds: int) -> None:
    config = world.folder / "schemathesis.toml"
    config.write_text(f'[headers]\nAuthorization = "Bearer {_token(world, who)}"\n')
    command = [
        world.tools.schemathesis, "--config-file", str(config), "run", f"{world.stack.gateway_url}/openapi.json",
        "--checks", ",".join(CHECKS), "--exclude-path", ENDLESS, "--max-time", str(seconds), "--phases",
        "examples,coverage,fuzzing", "--workers", "1", "--seed", "1", "--request-timeout", "15",
        "--continue-on-failure", *(part for name in SUICIDAL for part in ("--exclude-operation-id", name)),
        "--warnings", "off", "--no-color", "--generation-database", "none",
    ]  # fmt: skip
    before = _answers(world)
    code, said = run(command, seconds * 4 + 60, world.folder)
    (world.folder / f"fuzz-{who.replace(' ', '-')}.log").write_text(said)
    check(code == 0, f"schemathesis found faults as {who}:\n{said[-6000:]}")
    tested = re.search(r"Tested: (\d+)", said)
    check(tested is not None, f"schemathesis says nothing of what it tested as {who}:\n{said[-2000:]}")
    # A fuzzer whose token does not work finds nothing: some of its requests must have done something.
    answers = _answers(world)
    answers.subtract(before)
    least = LEAST.get(who, 1)
    check(min(answers["2"], answers["4"]) >= least, f"what was fuzzed as {who} was answered {dict(answers)}")
    check(answers["5"] == 0, f"5xx answers to {who}: {dict(answers)}")
    world.figure(f"operations fuzzed as {who} / 2xx / 4xx / 5xx / faults", "schemathesis",
                 f"{tested[1] if tested else 0} / {answers['2']} / {answers['4']} / {answers['5']} / 0")  # fmt: skip


def _answers(world: World) -> Counter[str]:
    """How many answers the gateway has given, by the first digit of the status."""
    found: Counter[str] = Counter()
    page = world.http.get("/metrics").text
    for status, count in re.findall(r'^http_requests_total\{.*status="(\d)\d\d"\} ([0-9.e+]+)$', page, re.MULTILINE):
        found[status] += int(float(count))
    return found
