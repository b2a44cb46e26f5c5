"""YAML as policies may use it: plain mappings, lists and values, and every line number kept.

Duplicate keys, anchors, aliases and tags are refused: each could make a policy mean something else than it reads.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from libs.judge.policy_model import PolicyError

MAX_POLICY_BYTES = 512 * 1024


class LinedDict(dict[str, object]):
    """A mapping that knows in which line of the file it and each value begins (from 1; 0: nowhere)."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class _PlainLoader(yaml.SafeLoader):
    """The safe loader without anchors and aliases, so no small file can grow large."""

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.composer.ComposerError(None, None, "anchors and aliases are not allowed", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.composer.ComposerError(None, None, "tags are not allowed", event.start_mark)
        return super().compose_node(parent, index)  # type: ignore[arg-type]  # the stub wants an int


def read_yaml(content: bytes, file: str) -> LinedDict:
    """The mapping in a policy file. Raises PolicyError with file, line and column."""
    value = next(_documents(content, file, several=False), None)
    if not isinstance(value, LinedDict):
        raise PolicyError(f"{file}: a policy is a mapping with name, title and rules")
    return value


def read_documents(content: bytes, file: str) -> list[object]:
    """Every document of a file, those between ``---``, as plain values. Raises PolicyError like `read_yaml`."""
    return list(_documents(content, file, several=True))


def _documents(content: bytes, file: str, *, several: bool) -> Iterator[object]:
    if len(content) > MAX_POLICY_BYTES:
        raise PolicyError(f"{file}: the file has {len(content)} bytes, and at most {MAX_POLICY_BYTES} are read")
    try:
        loader = _PlainLoader(content.decode())
        while several and loader.check_node():
            if (node := loader.get_node()) is not None:
                yield _plain(loader, node, file)
        if not several and (node := loader.get_single_node()) is not None:
            yield _plain(loader, node, file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise PolicyError(f"{file}{place}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError(f"{file}: not readable as UTF-8 YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise PolicyError(f"{file}: nested too deep") from None


def _plain(loader: _PlainLoader, node: yaml.Node, file: str) -> object:
    if isinstance(node, yaml.MappingNode):
        mapping = LinedDict(node.start_mark.line + 1)
        for key_node, value_node in node.value:
            key = _plain(loader, key_node, file)
            place = f"{file}, line {key_node.start_mark.line + 1}, column {key_node.start_mark.column + 1}"
            if not isinstance(key, str):
                raise PolicyError(f"{place}: keys must be text")
            if key in mapping:
                raise PolicyError(f"{place}: the key {key} stands here a second time")
            mapping[key] = _plain(loader, value_node, file)
            mapping.lines[key] = value_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, file) for item in node.value]
    value: object = loader.construct_object(node)
    return value
