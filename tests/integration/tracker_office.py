"""An edge and a tracker on real servers, for tests of work on items as people do it."""

from __future__ import annotations

from typing import Any

from libs.common.contracts.governance.runs import RuleStatus, gate_decided
from libs.common.contracts.tracker.items import BASE
from tests.http_edge import Http
from tests.verdicts import decided, rule

SITE = "north"


class Office:
    """An edge, a tracker behind it, and governance's part played by the test. ``client`` is the owner's."""

    def __init__(self, http: Http) -> None:
        self.http = http
        self.client = http.client
        self.number = 0

    async def judge(self, **rules: RuleStatus) -> dict[str, dict[str, Any]]:
        """A run of the operations gate; the site's items afterwards, by rule."""
        self.number += 1
        data = decided(
            *(rule(name, status) for name, status in rules.items()),
            run_number=self.number,
            decision="no_go" if "fail" in rules.values() else "go",
            site=SITE,
            at=self.http.stack.clock(),
        )
        await self.http.stack.publish(gate_decided, data, site=SITE)
        await self.http.stack.idle("tracker")
        answer = await self.client.get(f"{BASE}/items", params={"site": SITE, "include_inactive": True})
        assert answer.status_code == 200, answer.text
        return {item["rule_id"]: item for item in answer.json()}

    async def ask(self, method: str, path: str, client: Any = None, **more: Any) -> Any:
        """A request about the site, below the tracker's path."""
        params = {"site": SITE, **more.pop("params", {})}
        return await (client or self.client).request(method, f"{BASE}{path}", params=params, **more)
