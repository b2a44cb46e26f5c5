"""The sandbox of templates: what they may do, and that nothing they do costs more than a message is worth."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from services.notifier.words.sandbox import MAX_SOURCE_BYTES, BadTemplate, compiled, html_problem, render

DATA: dict[str, Any] = {
    "gate": "release",
    "items": [{"name": "b", "count": 2}, {"name": "a", "count": 1}],
    "none": None,
    "yes": True,
    "text": "<b>",
    "long": ["x" * 2000] * 1000,
}
LOOP, END = "{% for a in data.long %}", "{% endfor %}"
SLOWEST_S = 2.0  # of the processor; each of these takes a few hundredths of a second on an idle machine


def rendered(source: str, *, html: bool = False, **values: Any) -> str:
    return render(compiled(source, html=html), {"event": {}, "message": {}, "data": DATA, **values})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ data.gate }}: {{ data['items'] | length }}", "release: 2"),
        ("{% for a in data.items %}{{ loop.index }}{{ a.name }}{% if loop.first %},{% endif %}{% endfor %}", "1b,2a"),
        ("{{ data.items | map(attribute='name') | sort | join(', ') }}", "a, b"),
        ("{% for one in data.items | selectattr('count', 'gt', 1) %}{{ one.name }}{% else %}-{% endfor %}", "b"),
        ("{% for key, value in data.items[0] | items %}{{ key }}={{ value }};{% endfor %}", "name=b;count=2;"),
        ("{{ data.none }}{{ data.yes }}", "true"),
        ("{{ data.gone | default('nothing') }}{{ data.gone is defined }}", "nothingfalse"),
        ("{{ 2 + 3 * 4 }} {{ 7 // 2 }} {{ 2.456 | round(1) }}", "14 3 2.5"),
        ("{% set word = data.gate | upper %}{{ word[:3] }}", "REL"),
        ("{{ 'a' if data.gate == 'release' else 'b' }}", "a"),
        ("{% raw %}{{ data }}{% endraw %}{# no #}", "{{ data }}"),
        ("{{ data.text }}", "<b>"),
    ],
)  # fmt: skip
def test_a_template_reads_and_prints(source: str, text: str) -> None:
    assert rendered(source) == text


def test_what_is_printed_into_html_is_escaped() -> None:
    assert rendered("<i>{{ data.text }}</i>{{ '<hr>' }}", html=True) == "<i>&lt;b&gt;</i>&lt;hr&gt;"
    assert rendered("{{ data.items | map(attribute='name') | join('<br>') }}", html=True) == "b&lt;br&gt;a"


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("{% for i in range(10**9) %}x{% endfor %}", 1, "calls"),
        ("\n\n{{ 10**9 }}", 3, r"\*\*"),
        ("{{ data.gate ~ data.gate }}", 1, "write {{ a }}{{ b }}"),
        ("{% macro a() %}{{ a() }}{% endmacro %}", 1, "macros"),
        ("{% for i in data.items recursive %}{{ loop(data.items) }}{% endfor %}", 1, "calls|recursive"),
        ("{% set a %}x{% endset %}", 1, "assignblock"),
        ("{% include 'x' %}", 1, "include"),
        ("{% import 'x' as y %}", 1, "import"),
        ("{% block a %}{% endblock %}", 1, "block"),
        ("{% filter upper %}a{% endfilter %}", 1, "filter"),
        ("{{ data.text | safe }}", 1, "no filter 'safe'|no filter safe|No filter"),
        ("{{ data.items | sum }}", 1, "no filter|No filter"),
        ("{{ 'x' is callable }}", 1, "no test|No test"),
        ("{{ _work }}", 1, "names don't begin"),
        ("{% set _work = 1 %}", 1, "names don't begin"),
        ("{{ secrets }}", 1, "secrets is not known here"),
        ("{{ a", 1, "end of"),
        ("{% if %}", 1, "."),
        ("{{ {'a': 1} }}", 1, "dict"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", 1, "."),
        ("{{ " + "-" * 5000 + "1 }}", 1, "."),
        ("{{ " + "not " * 4000 + "1 }}", 1, "."),
        ("{{ data" + ".a" * 5000 + " }}", 1, "."),
        ("{{ 1" + "+1" * 5000 + " }}", 1, "."),
        ("{{ 1" + "+1" * 100 + " }}", 1, "nested too deeply"),
        ("{{ " + "9" * 20_000 + " }}", 1, "."),
        ("{% if 1 %}" * 800 + "{% endif %}" * 800, 1, "."),
        ("{% for a in data %}" * 4 + "{% endfor %}" * 4, 1, "at most 3 loops"),
        ("x" * (MAX_SOURCE_BYTES + 1), 1, "at most"),
        ("é" * MAX_SOURCE_BYTES, 1, "at most"),
    ],
)  # fmt: skip
def test_what_is_not_for_templates_is_refused_with_its_line(source: str, line: int, reason: str) -> None:
    began = time.thread_time()
    with pytest.raises(BadTemplate, match=reason) as refused:
        compiled(source)
    assert refused.value.line == line
    assert time.thread_time() - began < SLOWEST_S


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ 'a' * 1000000000 }}", "for numbers alone"),
        ("{{ data.items * 1000000000 }}", "for numbers alone"),
        ("{{ '%1000000000d' % 1 }}", "for numbers alone"),
        ("{{ 999999999 * 999999999 }}", "too large"),
        ("{{ 1 // 0 }}", "zero"),
        ("{{ 5 | round(-1000000000) }}x{{ data.gone }}", "has no attribute 'gone'"),
        ("{{ data }}", "can't be printed whole"),
        ("{{ data.items }}", "can't be printed whole"),
        ("{{ data.text.__class__ }}", "has no attribute"),
        ("{{ data.text.format }}", "has no attribute"),
        ("{{ data['__class__'] }}", "has no attribute"),
        ("{{ data.items.append }}", "has no attribute"),
        ("{{ data | map(attribute='__class__') | join }}", "has no attribute"),
        ("{% for i in data.items %}{{ loop.__class__ }}{% endfor %}", "has no attribute|no attribute"),
        (LOOP + LOOP + LOOP + "{% if 1 %}{% endif %}" + END * 3, "more to do"),
        (LOOP + LOOP + "{% if a in data.long %}{% endif %}" + END * 2, "more to do"),
        ("{% for a in data.long %}{% set x = data.long | sort | first %}{% endfor %}", "more to do"),
        ("{% for a in data.long %}{{ a }}{% endfor %}", "more than 40000 characters"),
        ("{{ data.long | join }}", "more than 10000 characters"),
        ("{% set a = data.long[:4] | join %}{% set b = data.long | join(a) %}", "more than 10000 characters"),
        ("{{ data.long | map('join', data.long[0]) | join }}", "more than 10000 characters"),
        ("{{ data.long | map('counted', 1) | first }}", "."),
        ("{% for a in 5 %}{% endfor %}", "not iterable"),
        ("{% for a in data.gone %}{% endfor %}", "has no attribute 'gone'"),
    ],
)  # fmt: skip
def test_what_would_cost_too_much_ends_early(source: str, reason: str) -> None:
    began = time.thread_time()
    with pytest.raises(BadTemplate, match=reason):
        rendered(source)
    assert time.thread_time() - began < SLOWEST_S


def test_where_a_template_fails_is_said_with_its_line() -> None:
    with pytest.raises(BadTemplate) as failed:
        rendered("one\ntwo\n{{ data.gone }}\n")
    assert (failed.value.line, str(failed.value)) == (3, "line 3: 'dict object' has no attribute 'gone'")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("<p>{{ data.a }}</p>\n<script>{{ data.b }}</script>", "line 2: <script"),
        ("<a href='{{ data.url }}'>x</a>", "line 1: a value may stand between tags only"),
        ("<p>\n{% if data.a %}<b {{ data.b }}>{% endif %}", "line 2: a value may stand"),
        ('<img src="x" onerror="alert(1)">', "onerror"),
        ("<a href=javascript:alert(1)>", "javascript:"),
        ("< /style >", "style"),
    ],
)
def test_a_value_in_html_stands_between_tags_only(source: str, reason: str) -> None:
    problem = html_problem(source)
    assert problem is not None
    assert re.search(re.escape(reason), str(problem))


def test_a_link_and_what_stands_between_tags_are_good_html() -> None:
    good = '<p>{{ data.a }} &lt; 5</p><a href="{{ message.link }}">{% if data.b %}<b>{{ data.b }}</b>{% endif %}</a>'
    assert html_problem(good) is None
