"""The two documents, as served, through the tools of those who made their formats."""

from __future__ import annotations

import json
from collections import Counter

from tests.outside.tools import HERE, MODULES, run
from tests.outside.world import World, check


def step(world: World) -> None:
    """AsyncAPI through its own parser, OpenAPI through spectral: no error, and no warning from spectral."""
    for name in ("asyncapi", "openapi"):
        answer = world.http.get(f"/{name}.json")
        (world.folder / f"{name}.json").write_bytes(answer.content)
    code, said = run([world.tools.node, "asyncapi.mjs", world.folder / "asyncapi.json"], 120)
    check(code == 0, f"@asyncapi/parser: {said[-1500:]}")
    parsed = json.loads(said.splitlines()[-1])
    errors = [problem for problem in parsed["problems"] if problem["severity"] == 0]
    check(not errors and parsed["channels"] > 0, f"the AsyncAPI document is wrong: {errors[:5]}")
    world.figure("AsyncAPI document: channels / errors", "@asyncapi/parser", f"{parsed['channels']} / {len(errors)}")
    report = world.folder / "spectral.json"
    spectral = [str(MODULES / ".bin" / "spectral"), "lint", "--ruleset", str(HERE / "spectral.yaml"), "--quiet"]
    code, said = run([*spectral, "--format", "json", "--output", str(report), str(world.folder / "openapi.json")], 120)
    check(report.exists(), f"spectral: {said[-1500:]}")
    problems = json.loads(report.read_text())
    counted = Counter(problem["code"] for problem in problems)
    check(code == 0 and not problems, f"the OpenAPI document is wrong: {dict(counted)}, such as {problems[:2]}")
    paths = len(json.loads((world.folder / "openapi.json").read_text())["paths"])
    world.figure("OpenAPI document: paths / problems", "spectral", f"{paths} / {len(problems)}")
