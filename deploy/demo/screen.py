"""What the demo shows: on the terminal, and a few parts of it on a picture for the README."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

PICTURE_COLUMNS = 132
# Rich's own frame without its fonts: they lie on another host, from which a README's picture may not load anything.
_FRAME = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" xml:space="preserve">
<style>
.{unique_id}-matrix {{
  font-family: "Fira Code", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Screen:
    """Prints the story. What is printed within `drawn` also goes on the picture, if one is wanted."""

    def __init__(self, console: Console, *, picture: bool) -> None:
        self.console = console
        self.picture = (
            Console(
                file=io.StringIO(), record=True, width=PICTURE_COLUMNS, force_terminal=True, color_system="truecolor",
                highlight=False, markup=False, emoji=False,
            )
            if picture
            else None
        )  # fmt: skip
        self._drawing = False

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Draw what is printed meanwhile."""
        self._drawing = True
        try:
            yield
        finally:
            self._drawing = False

    def print(self, shown: RenderableType = "", *, cut: bool = False) -> None:
        """Print one thing; `cut` shortens a line that is too long instead of wrapping it."""
        for console in (self.console, self.picture if self._drawing else None):
            if console is None:
                continue
            if cut or console is self.picture:
                console.print(shown, overflow="ellipsis", no_wrap=True)
            else:
                console.print(shown, soft_wrap=isinstance(shown, Text))

    def step(self, title: str) -> None:
        """Begin a step."""
        self.print()
        self.print(Rule(Text(title, style="bold"), align="left"))

    def say(self, text: str) -> None:
        """A line for the reader."""
        self.print(Text(f"  {text}"))

    def done(self, text: str) -> None:
        """Something that went well."""
        self.print(Text.assemble(("  ✓ ", "green"), text))

    def prompt(self, arguments: tuple[str, ...]) -> None:
        """A command of the tool, as it is typed."""
        self.print(Text(f"\n  $ headgate {shlex.join(arguments)}", style="bold cyan"))

    def answer(self, output: str, *, cut: bool = False) -> None:
        """What a command answered, line by line, with its colours."""
        for line in output.rstrip().splitlines():
            self.print(Text.from_ansi(f"  {line.rstrip()}"), cut=cut)

    def save(self, path: Path) -> None:
        """Write the picture as SVG: no fonts, links or scripts from elsewhere."""
        if self.picture is not None:
            text = self.picture.export_svg(
                title="make demo", theme=SVG_EXPORT_THEME, code_format=_FRAME, unique_id="demo"
            )
            path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
