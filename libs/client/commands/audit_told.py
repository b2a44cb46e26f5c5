"""How a check of the audit log went, for ``headgate audit verify``: as JSON, as text, and as an exit code."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from libs.client.commands.audit_tree import Tree, noted
from libs.client.verify import Report


def proven(sound: bool, report: Report, tree: Tree) -> bool:
    """Whether nothing contradicts another, and nothing is left to be proven."""
    return sound and not report.unproven_count and tree.beyond_size is None


def exit_code(sound: bool, report: Report, tree: Tree | None = None) -> int:
    """0: all was checked and holds; 1: it is broken; 2: something could not be checked here."""
    vouched = tree is not None and tree.state == "signed"
    unchecked = report.unread_count or report.unproven_count or (report.erased_count and not vouched)
    beyond = tree is not None and tree.beyond_size is not None
    return 1 if not sound else 2 if unchecked or beyond else 0


def as_json(report: Report) -> dict[str, Any]:
    """The check as the member ``local`` of the answer."""
    return {
        "valid": report.valid,
        "checked_count": report.checked_count,
        "first_seq": report.first_seq,
        "last_seq": report.last_seq,
        "last_hash": report.last_hash,
        "unread_count": report.unread_count,
        "erased_count": report.erased_count,
        "unproven_count": report.unproven_count,
        "unproven_seq": report.unproven_seq,
        "first_bad_seq": report.bad_seq,
        "problem": report.problem,
    }


def shown(report: Report, tree: Tree | None = None) -> list[Any]:
    """The check as people read it."""
    if not report.checked_count and report.problem is None:
        wrong = tree.shown() if tree is not None and not tree.valid else []
        return [Text("There are no entries to check.", style="yellow"), *wrong]
    if report.problem is not None:
        return [Text(f"Recomputed here: {report.problem}", style="red")]
    line = Text.assemble("Recomputed here: the chain ", ("holds", "green"))
    line.append(f", entries {report.first_seq} to {report.last_seq} ({report.checked_count})")
    parts: list[Any] = [line]
    if report.unread_count:
        noun = "entry is" if report.unread_count == 1 else "entries are"
        text = f"{report.unread_count} {noun} too large to be listed with content: only the links were checked there."
        parts.append(Text(text, style="yellow"))
    parts += _erased(report, tree)
    parts += tree.shown() if tree else []
    parts.append(noted(tree or Tree("unsigned"), report.last_seq, report.last_hash))
    return parts


def _erased(report: Report, tree: Tree | None) -> list[Text]:
    """What is known of entries that have no body any more."""
    parts = []
    if report.erased_count:
        noun = "entry has" if report.erased_count == 1 else "entries have"
        said, style = "what is shown of them stands in the tree.", ""
        if tree is None or tree.state != "signed":
            said, style = "no signed tree was looked at, so nobody vouches for what is shown of them.", "yellow"
        parts.append(Text(f"{report.erased_count} {noun} lost the body by now: {said}", style=style))
    if report.unproven_count:
        said = (
            f"Entry {report.unproven_seq} has no body ({report.unproven_count} in all), and what says that it was "
            "removed may lie behind the last entry: not proven here. Verify again in an hour, or the whole log."
        )
        parts.append(Text(said, style="yellow"))
    return parts
