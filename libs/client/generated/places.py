"""Which command an operation has: ``headgate GROUP COMMAND``, one for each, from its name alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from libs.client.generated.faces import FACES, by_hand
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Operation

VERBS = {"get": "show"}
ALONE = frozenset({"login", "logout", "me", "status", "up", "migrate", "operations", "call", "command", "sla", "dora"})


def with_routes() -> Iterator[Operation]:
    """Every operation that HTTP has, in the contracts' order."""
    for contract in CONTRACTS.values():
        for operation in contract.operations():
            if operation.http is not None:
                yield operation


def twin(word: str) -> str:
    """The plural of a singular and the other way round."""
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return word[:-1] if word.endswith("s") else f"{word}s"


def _named_groups() -> set[str]:
    said = {face.path for face in FACES.values()} | {path for one in with_routes() if (path := by_hand(one))}
    return {path.partition(" ")[0] for path in said if " " in path}


@cache
def places() -> Mapping[str, str]:
    """The path of every operation's command by the operation's name, such as ``governance.runs.list: gate history``.

    An entry in `FACES` or a command by hand goes before the rule. By the rule a noun goes into the group of its name,
    in singular or plural, that there is already. Where the place is taken, the service's name goes before the noun.
    """
    groups, nouns = _named_groups(), {operation.name.split(".")[1] for operation in with_routes()}
    found: dict[str, str] = {}
    taken: set[str] = set()
    for operation in with_routes():
        if path := FACES[operation.name].path if operation.name in FACES else by_hand(operation):
            found[operation.name] = path
            taken.add(path)
    for operation in with_routes():
        if operation.name not in found:
            service, noun, verb = operation.name.split(".")
            group = _group(noun, groups, nouns)
            command = VERBS.get(verb, verb.replace("_", "-"))
            path = f"{group} {command}"
            if path in taken or group in ALONE:
                path = f"{service}-{group} {command}"
            found[operation.name] = path
            taken.add(path)
    return found


def _group(noun: str, known: set[str], nouns: set[str]) -> str:
    plural = noun if noun.endswith("s") or twin(noun) not in nouns else twin(noun)
    word = plural.replace("_", "-")
    return twin(word) if word not in known and twin(word) in known else word


@cache
def groups() -> Mapping[str, tuple[Operation, ...]]:
    """The operations of each group whose command is made, by the group's name; "" are commands without a group."""
    found: dict[str, list[Operation]] = {}
    for operation in with_routes():
        if by_hand(operation) is None:
            group, space, _ = places()[operation.name].partition(" ")
            found.setdefault(group if space else "", []).append(operation)
    return {group: tuple(operations) for group, operations in found.items()}
