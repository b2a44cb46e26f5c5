"""Templates that people write, in a sandbox: they read values and print them, in bounded work, and can do nothing else.

Jinja2's immutable sandbox, and a list of what is allowed: no calls, no macros, nothing that puts texts together but the
output itself. So no value grows, and work is what loops do: each round costs as much as it has to do, and a rendering
has `WORK` to spend. What is against the rules is refused before anything is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from jinja2 import (
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    filters,
    meta,
    nodes,
    pass_context,
    tests,
)
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_SOURCE_BYTES = 20 * 1024
MAX_OUTPUT_CHARS = 40_000
MAX_DEPTH = 60  # of nodes in each other; deeper is no template that a person wrote
MAX_LOOPS = 3  # in each other
WORK = 200_000
MAX_NUMBER = 10**15
MAX_JOINED_CHARS = 10_000
NAMES = frozenset({"event", "data", "message"})

_ALLOWED: frozenset[type[nodes.Node]] = frozenset({
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem,
    nodes.Slice, nodes.For, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.Filter, nodes.Test, nodes.Assign, nodes.List, nodes.Tuple, nodes.Keyword, nodes.Neg, nodes.Pos,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod,
})  # fmt: skip
_LISTS = frozenset(
    {"join", "map", "select", "reject", "selectattr", "rejectattr", "sort", "unique", "items", "min", "max", "reverse"}
)
_FILTERS = _LISTS | {"upper", "lower", "title", "capitalize", "trim", "default", "d", "length", "count", "first",
                     "last", "truncate", "round", "int", "float", "abs"}  # fmt: skip
_TESTS = frozenset(
    {"defined", "undefined", "none", "string", "number", "mapping", "sequence", "true", "false", "odd", "even"}
    | {"eq", "equalto", "==", "ne", "!=", "lt", "<", "gt", ">", "le", "<=", "ge", ">="}
)
_COSTLY = 50  # what a comparison or a filter costs, since it may look through a list
_INSTEAD = {
    nodes.Call: "calls, such as range(), are not for templates",
    nodes.Concat: "~ is not for templates: write {{ a }}{{ b }}",
    nodes.Pow: "** is not for templates",
    nodes.Macro: "macros are not for templates",
}
_ACTIVE = re.compile(
    r"<\s*/?\s*(script|style|iframe|object|embed|form|meta|link|base|svg|math)\b|[\s\"'/]on[a-z]+\s*=|javascript:",
    re.IGNORECASE,
)
_LINKS = frozenset({"message.link", "message.acknowledge_link"})
_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem"})


class BadTemplate(Exception):
    """A template that is refused or that failed: ``line`` counts from 1, ``reason`` is a sentence without its end."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


@dataclass(slots=True)
class _Work:
    left: int

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise TemplateError(f"it has more to do than a message is worth ({WORK} steps); loop over less")


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=autoescape, finalize=_printed, cache_size=0)
        known_filters: dict[str, Callable[..., Any]] = {name: filters.FILTERS[name] for name in _FILTERS}
        self.filters = {
            **known_filters,
            "join": _join,
            "round": _round,
            "counted": _counted,
            "counted_list": _counted_list,
        }
        self.tests = {name: tests.TESTS[name] for name in _TESTS}
        self.globals.clear()

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _check(tree)
        for loop in list(tree.find_all(nodes.For)):
            cost = nodes.Const(sum(map(_weight, loop.body)), lineno=loop.lineno)
            loop.iter = nodes.Filter(loop.iter, "counted", [cost], [], None, None, lineno=loop.lineno)
        for one in list(tree.find_all(nodes.Filter)):
            if one.name in _LISTS and one.node is not None:
                one.node = nodes.Filter(one.node, "counted_list", [], [], None, None, lineno=one.lineno)
        return tree.set_environment(self)  # type: ignore[return-value]

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Numbers alone, up to `MAX_NUMBER`: a text times a number could be of any size."""
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise TemplateError(f"{operator} is for numbers alone")
        found = self.binop_table[operator](left, right)
        if abs(found) > MAX_NUMBER:
            raise TemplateError(f"the number is too large after {operator}")
        return found

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A member of a mapping, or what a loop says of its round; objects have no attributes here."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        if isinstance(obj, Undefined):
            return getattr(obj, attribute)  # raises, saying what is not defined
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A member of a mapping, a list or a text."""
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        try:
            return obj[argument]
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)


def _check(tree: nodes.Template) -> None:
    """Raise `TemplateSyntaxError` for what is not allowed, without recursion."""
    stack: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    while stack:
        node, depth, loops = stack.pop()
        if reason := _refusal(node, depth, loops):
            raise TemplateSyntaxError(reason, node.lineno or 1)
        inner = loops + isinstance(node, nodes.For)
        stack += [(child, depth + 1, inner) for child in node.iter_child_nodes()]


def _refusal(node: nodes.Node, depth: int, loops: int) -> str:
    kind = type(node)
    if kind not in _ALLOWED:
        return _INSTEAD.get(kind, f"{kind.__name__.lower()} is not for templates")
    if depth > MAX_DEPTH:
        return "this is nested too deeply"
    if isinstance(node, nodes.For) and (node.recursive or loops >= MAX_LOOPS):
        return "recursive loops are not for templates" if node.recursive else f"at most {MAX_LOOPS} loops in each other"
    if isinstance(node, nodes.Name) and node.name.startswith("_"):
        return "names don't begin with _ here"
    if isinstance(node, nodes.Filter) and (node.name not in _FILTERS or node.dyn_args or node.dyn_kwargs):
        return f"there is no filter {node.name}; there are {', '.join(sorted(_FILTERS))}"
    if isinstance(node, nodes.Test) and (node.name not in _TESTS or node.dyn_args or node.dyn_kwargs):
        return f"there is no test {node.name}; there are {', '.join(sorted(filter(str.isalpha, _TESTS)))}"
    return ""


def _weight(node: nodes.Node) -> int:
    """What a node costs each time, with all in it; a loop in it pays for its rounds itself."""
    weight, stack = 0, [node]
    while stack:
        one = stack.pop()
        looks = isinstance(one, nodes.Operand | nodes.Filter | nodes.Test)
        weight += _COSTLY if looks else 1
        if isinstance(one, nodes.For):
            stack.append(one.iter)
        else:
            stack += one.iter_child_nodes()
    return weight


def _printed(value: Any) -> Any:
    """What ``{{ … }}`` prints: texts and numbers, nothing for what is null, and no lists or mappings as they are."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Undefined):
        return value
    raise TemplateError("a list or an object can't be printed whole; name its fields, or join it")


def _work_of(context: Context) -> _Work:
    found = context.resolve("_work")
    assert isinstance(found, _Work)  # noqa: S101 - `render` gives it
    return found


@pass_context
def _counted(context: Context, value: Iterable[Any], weight: int) -> Iterator[Any]:
    work = _work_of(context)
    for one in value:
        work.spend(weight + 1)
        yield one


@pass_context
def _counted_list(context: Context, value: Iterable[Any]) -> Any:
    work = _work_of(context)
    if isinstance(value, Mapping | Undefined):
        work.spend(_COSTLY + (0 if isinstance(value, Undefined) else len(value)))
        return value
    found = list(islice(value, WORK))
    work.spend(_COSTLY + 5 * len(found))
    return found


def _join(value: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
    if attribute is not None:
        raise TemplateError("write map(attribute=…)|join(…)")
    joined = str(d).join(str(_printed(one)) for one in value)
    if len(joined) > MAX_JOINED_CHARS:
        raise TemplateError(f"what is joined has more than {MAX_JOINED_CHARS} characters; join less")
    return joined


def _round(value: float, precision: int = 0) -> float:
    return round(value, max(min(precision, 10), 0)) if precision else round(value)


_TEXT, _HTML = _Environment(autoescape=False), _Environment(autoescape=True)


@lru_cache(maxsize=512)
def compiled(source: str, *, html: bool = False) -> Template:
    """A template that may be rendered. Raises `BadTemplate` with the line."""
    if len(source.encode()) > MAX_SOURCE_BYTES:
        raise BadTemplate(1, f"a template has at most {MAX_SOURCE_BYTES} bytes")
    environment = _HTML if html else _TEXT
    try:
        unknown = meta.find_undeclared_variables(environment.parse(source)) - NAMES
        if unknown:
            wanted = ", ".join(sorted(unknown))
            raise BadTemplate(1, f"{wanted} is not known here; a template reads event, data and message")
        return environment.from_string(source)
    except TemplateSyntaxError as error:
        raise BadTemplate(error.lineno, (error.message or "it can't be read").rstrip(".")) from None
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError, TemplateError) as error:
        raise BadTemplate(1, f"it can't be read ({type(error).__name__})") from None


def render(template: Template, values: Mapping[str, Any], limit: int = MAX_OUTPUT_CHARS) -> str:
    """The template's text. Raises `BadTemplate` if it fails, has too much to do or says more than ``limit``."""
    found, size = [], 0
    try:
        for piece in template.generate(**values, _work=_Work(WORK)):
            found.append(piece)
            size += len(piece)
            if size > limit:
                raise BadTemplate(1, f"it makes more than {limit} characters")
    except BadTemplate:
        raise
    except Exception as error:  # whatever a template does wrong, it is the template that is wrong
        said = str(error).rstrip(".")[:200] or type(error).__name__
        raise BadTemplate(_line_of(error), said) from None
    return "".join(found)


def _line_of(error: BaseException) -> int:
    """The template's line in which it failed, as Jinja2 writes it into the traceback."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def html_problem(source: str) -> BadTemplate | None:
    """What is wrong with the markup of a template for HTML, if anything is; its syntax has been looked at before.

    Escaping makes a value harmless between tags and nowhere else, so that is where values may stand.
    """
    if found := _ACTIVE.search(source):
        return BadTemplate(source.count("\n", 0, found.start()) + 1, f"{found[0].strip()} is not for messages")
    in_tag, opened, said = False, 0, ""
    for line, kind, text in _HTML.lex(source):
        if kind == "data":
            in_tag = text.rfind("<") > text.rfind(">") or (in_tag and ">" not in text)
        elif kind == "variable_begin":
            opened, said = line, ""
        elif kind == "variable_end":
            if in_tag and said not in _LINKS:
                return BadTemplate(opened, "a value may stand between tags only; in one, message.link alone")
        elif opened:
            said += text.strip()
    return None
