"""schemathesis against the live OpenAPI document: what is declared is what is answered, and nothing ends as a 5xx."""

from __future__ import annotations

import re
from collections import Counter

from tests.outside.tools import run
from tests.outside.world import World, check

SECONDS = 45
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


def step(world: World) -> None:
    """Fuzz every operation as an owner, within a time."""
    token = world.token("fuzz", "owner")
    config = world.folder / "schemathesis.toml"
    config.write_text(f'[headers]\nAuthorization = "Bearer {token}"\n')
    command = [
        world.tools.schemathesis, "--config-file", str(config), "run", f"{world.stack.gateway_url}/openapi.json",
        "--checks", ",".join(CHECKS), "--exclude-path", ENDLESS, "--max-time", str(SECONDS), "--phases",
        "examples,coverage,fuzzing", "--workers", "1", "--seed", "1", "--request-timeout", "15",
        "--continue-on-failure", *(part for name in SUICIDAL for part in ("--exclude-operation-id", name)),
        "--warnings", "off", "--no-color", "--generation-database", "none",
    ]  # fmt: skip
    before = _answers(world)
    code, said = run(command, SECONDS * 4, world.folder)
    (world.folder / "fuzz.log").write_text(said)
    check(code == 0, f"schemathesis found faults:\n{said[-6000:]}")
    tested = re.search(r"Tested: (\d+)", said)
    check(tested is not None, f"schemathesis says nothing of what it tested:\n{said[-2000:]}")
    # A fuzzer whose token does not work finds nothing: some of its requests must have done something.
    answers = _answers(world)
    answers.subtract(before)
    check(answers["2"] >= 100 and answers["4"] >= 100, f"the fuzzer's requests were answered {dict(answers)}")
    check(answers["5"] == 0, f"5xx answers: {dict(answers)}")
    world.figure("operations fuzzed / 2xx / 4xx / 5xx / faults", "schemathesis",
                 f"{tested[1] if tested else 0} / {answers['2']} / {answers['4']} / {answers['5']} / 0")  # fmt: skip


def _answers(world: World) -> Counter[str]:
    """How many answers the gateway has given, by the first digit of the status."""
    found: Counter[str] = Counter()
    page = world.http.get("/metrics").text
    for status, count in re.findall(r'^http_requests_total\{.*status="(\d)\d\d"\} ([0-9.e+]+)$', page, re.MULTILINE):
        found[status] += int(float(count))
    return found
