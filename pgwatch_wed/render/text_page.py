"""Lines for a terminal, wrapped at its width."""

import textwrap

from pgwatch_wed.render.characters import visible_line


class TextPage:
    """Lines of one width, with or without color."""

    def __init__(self, width: int, *, colour: bool) -> None:
        self.width = max(40, min(width, 120))
        self._colour = colour
        self._lines: list[str] = []

    def line(self, text: str = "", style: str = "") -> None:
        """Add a line that is known to fit."""
        self._lines.append(self.paint(text, style))

    def wrap(self, text: str, indent: str = "", style: str = "", hang: str | None = None) -> None:
        """Add a paragraph."""
        for each in self.wrapped(text, indent, hang):
            self.line(each, style)

    def wrapped(self, text: str, indent: str = "", hang: str | None = None) -> list[str]:
        """Return the lines of a paragraph."""
        return textwrap.wrap(
            visible_line(text),
            self.width,
            initial_indent=indent,
            subsequent_indent=indent if hang is None else hang,
            break_on_hyphens=False,
        )

    def code(self, sql: str, indent: str = "    ") -> None:
        """Add SQL; long lines are broken only at spaces, so that they can still be pasted."""
        for each in sql.splitlines():
            text = visible_line(each)
            if len(indent) + len(text) <= self.width:
                self.line(indent + text)
                continue
            self._lines += textwrap.wrap(
                text,
                self.width,
                initial_indent=indent,
                subsequent_indent=indent + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )

    def paint(self, text: str, style: str) -> str:
        """Color a text if color is wanted."""
        return f"\x1b[{style}m{text}\x1b[0m" if style and self._colour else text

    def __str__(self) -> str:
        return "\n".join(self._lines)
