"""A made-up service, as its author would add it: a line in the list, a contract package, a folder. For a test."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]

FILES = {
    "libs/common/contracts/notary/__init__.py": '''
"""Notary: puts seals on papers, and counts the verdicts that it heard of."""

from libs.common.contracts.collect import collect

CONTRACT = collect(__name__, hears=("governance.gate.decided",), asks=("governance.gates.list",))
''',
    "libs/common/contracts/notary/seals.py": '''
"""Seals."""

from libs.common.contracts.base import GET, POST, Command, Event, Line, Model, Nothing, Open, Query


class SealMake(Model):
    paper: Line


class Seal(Open):
    seal_id: int
    paper: str


class Shelf(Open):
    papers: list[str]
    verdict_count: int
    gates: list[str]


make_seal = Command("notary.seal.make", body=SealMake, result=Seal, permission="gate:run",
                    http=POST("/api/notary/seals", status=201), summary="Seal a paper")
show_shelf = Query("notary.shelf.get", params=Nothing, result=Shelf, permission="gate:read",
                   http=GET("/api/notary/shelf"), summary="What the notary knows")
seal_made = Event("notary.seal.made", data=Seal, summary="A paper was sealed")
''',
    "services/notary/__init__.py": "",
    "services/notary/__main__.py": """
from libs.common.runtime import main
from services.notary.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
""",
    "services/notary/service.py": '''
"""The notary's table of contents."""

from libs.common.contracts.notary import CONTRACT
from libs.common.service import Service
from services.notary import seals

SERVICE = Service.of(CONTRACT, seals.TABLE)
''',
    "services/notary/seals.py": '''
"""Seals and what was heard."""

from libs.common.contracts.base import Nothing
from libs.common.contracts.governance.gates import list_gates
from libs.common.contracts.governance.runs import GateDecided, gate_decided
from libs.common.contracts.notary import seals as contract
from libs.common.service import Read, Table, Tx

INSERT_SEAL = "INSERT INTO seal (site, paper) VALUES ($1, $2) RETURNING seal_id"
SELECT_PAPERS = "SELECT paper FROM seal WHERE site = $1 ORDER BY seal_id LIMIT 100"
COUNT_VERDICT = "INSERT INTO verdict (run_id) VALUES ($1)"
SELECT_VERDICTS = "SELECT count(*) FROM verdict"


async def make_seal(tx: Tx, body: contract.SealMake) -> contract.Seal:
    """Seal it."""
    seal_id = await tx.connection.fetchval(INSERT_SEAL, tx.site, body.paper)
    seal = contract.Seal(seal_id=seal_id, paper=body.paper)
    tx.emit(contract.seal_made, seal, subject=str(seal_id))
    return seal


async def show_shelf(read: Read, _params: Nothing) -> contract.Shelf:
    """Everything."""
    gates = await read.ask(list_gates, Nothing())
    return contract.Shelf(
        papers=[row["paper"] for row in await read.pool.fetch(SELECT_PAPERS, read.site)],
        verdict_count=await read.pool.fetchval(SELECT_VERDICTS),
        gates=[gate.gate for gate in gates],
    )


async def hear(tx: Tx, data: GateDecided) -> None:
    """Count it."""
    await tx.connection.execute(COUNT_VERDICT, data.run_id)


TABLE = Table(
    commands={contract.make_seal: make_seal},
    queries={contract.show_shelf: show_shelf},
    events={gate_decided: hear},
)
''',
    "services/notary/migrations/0001_seals.sql": """
CREATE TABLE seal (seal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, site text NOT NULL, paper text NOT NULL);
CREATE TABLE verdict (run_id bigint PRIMARY KEY);
GRANT SELECT, INSERT ON seal, verdict TO headgate_notary;
""",
    "tests/integration/test_notary.py": '''
"""The new service at work: routes, database, bus, rights, supervisor, status and audit, none of it told of it."""

import pytest

from deploy.local import LocalStack
from tests.integration.test_permissions import login
from tests.local_traffic import await_that, client

pytestmark = pytest.mark.integration


async def test_the_new_service_works_with_exactly_its_rights(local_stack: LocalStack) -> None:
    with client(local_stack) as http:
        assert http.get("/api/status").json()["services"]["notary"] == "up"
        made = http.post("/api/notary/seals", json={"paper": "a deed"})
        assert (made.status_code, made.json()) == (201, {"seal_id": 1, "paper": "a deed"})
        assert http.post("/api/ops/governance/gate/run", json={}).status_code == 200
        await_that("the verdict", lambda: http.get("/api/notary/shelf").json()["verdict_count"])
        shelf = http.get("/api/notary/shelf").json()
        assert (shelf["papers"], "operations" in shelf["gates"]) == (["a deed"], True)
        await_that("the audit entry", lambda: http.get("/api/audit/entries?type=notary.seal.made").json()["items"])
        assert http.get("/api/dead-letters/notary").json()["items"] == []
        assert "/api/notary/shelf" in http.get("/openapi.json").json()["paths"]
    async with login(local_stack, "notary") as user:
        assert await user.may_publish("headgate.query.governance.gates.list")
        assert not await user.may_publish("headgate.query.governance.signals.list")
        assert not await user.may_publish("headgate.command.governance.gate.run.1")
''',
}


def move_in(tree: Path) -> Path:
    """Copy this repository's code into ``tree`` and add the service; returns the tree."""
    for folder in ("libs", "services", "deploy", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))
    roster = tree / "libs" / "common" / "roster.py"
    before = roster.read_text()
    after = before.replace('    "operations",\n', '    "operations",\n    "notary",\n')
    assert len(after.splitlines()) == len(before.splitlines()) + 1  # one line in a list
    roster.write_text(after)
    return tree
