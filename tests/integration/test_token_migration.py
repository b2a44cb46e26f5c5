"""Tokens of an installation from before the policy of tokens go on after the upgrade."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from libs.common import migrations
from services.gateway.identity.bootstrap import digest_of
from tests.http_edge import OWNER, Http
from tests.stack import PASSWORDS, Stack

pytestmark = pytest.mark.integration
UNUSED, USED, KEEPER = "hg_" + "unused-_" * 5, "hg_" + "used" * 10, "hg_" + "keeper" * 7
INSERT = """
INSERT INTO gateway.tokens (secret_sha256, username, label, sites, created_at, expires_at, last_used_at)
VALUES ($1, $2, $3, '{*}', now() - interval '200 days', now() + interval '30 days', $4)
"""


def _is_old(service: str, script: str) -> bool:
    return service != "gateway" or script.startswith("common/") or script < "0007"


async def test_tokens_of_before_go_on(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = await stack.superuser()
    try:
        await admin.execute("DROP SCHEMA gateway CASCADE")
        every = migrations.scripts
        with monkeypatch.context() as patched:
            patched.setattr(
                migrations, "scripts", lambda service: [one for one in every(service) if _is_old(service, one[0])]
            )
            await migrations.migrate(admin, PASSWORDS)
        for name, role in (("owner", "owner"), ("headgate-keeper", "keeper")):
            await admin.execute(
                "INSERT INTO gateway.users (username, role, sites, created_at) VALUES ($1, $2, '{*}', now())",
                name,
                role,
            )
        await admin.execute(INSERT, digest_of(OWNER), "owner", "bootstrap", None)
        await admin.execute(INSERT, digest_of(UNUSED), "owner", "never used", None)
        await admin.execute(INSERT, digest_of(USED), "owner", "used", stack.clock())
        await admin.execute(INSERT, digest_of(KEEPER), "headgate-keeper", "derived from the cluster secret", None)
        await migrations.migrate(admin, PASSWORDS)
    finally:
        await admin.close()
    http = await Http(stack).open(bootstrap_token=SecretStr(OWNER))
    try:
        for secret in (OWNER, UNUSED, USED, KEEPER):
            assert (await http.of(secret).get("/api/me")).status_code == 200, secret
        rows = {row["label"]: row for row in (await http.client.get("/api/tokens")).json()}
        assert [row["standing"] for row in (rows["bootstrap"], rows["never used"], rows["used"])] == [
            True,
            False,
            False,
        ]
        assert rows["derived from the cluster secret"]["standing"]
        assert {row["permissions"] for row in rows.values()} == {None}
        assert (await http.client.get("/api/me")).json()["narrowed"] is False
    finally:
        await http.close()
