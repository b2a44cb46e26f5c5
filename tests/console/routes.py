"""The pages of the console, with an address for each that shows something."""

from __future__ import annotations

import re
from pathlib import Path

from services.gateway.console import serving
from tests.console.filling import GATE, Filled

PATTERN = re.compile(r'pattern: "([^"]+)"')


def patterns() -> list[str]:
    """Of all routes, as `web/routes.js` lists them."""
    return PATTERN.findall((Path(serving.__file__).parent / "web" / "routes.js").read_text("utf-8"))


def address(pattern: str, filled: Filled) -> str:
    """An address that fits the pattern; fails for a name that nothing is known of."""
    values = {
        "gate": GATE,
        "run": str(filled.no_go_run),
        "name": "olga",
        "username": "olga",
        "trace": "0" * 32,
        "document": "freezes",
    }
    made = re.sub(r":(\w+)", lambda match: values[match[1]], pattern)
    return "" if made == "/" else made + (f"?gate={GATE}" if made == "/board" else "")
