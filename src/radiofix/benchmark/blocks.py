"""What pages are made of; each block writes itself as Markdown and as HTML."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol


class Block(Protocol):
    """One piece of a page."""

    def markdown(self, beside: Mapping[str, str]) -> str:
        """As Markdown; `beside` says where pictures lie."""
        ...

    def html(self, inline: Mapping[str, bytes]) -> str:
        """As HTML; `inline` holds the pictures as PNG."""
        ...


@dataclass(frozen=True)
class Heading:
    """Of the page (1) or of a part (2 and up)."""

    text: str
    level: int = 2
    anchor: str = ""

    def markdown(self, beside: Mapping[str, str]) -> str:
        """With so many number signs."""
        return f"{'#' * self.level} {self.text}"

    def html(self, inline: Mapping[str, bytes]) -> str:
        """With an anchor to jump to."""
        anchor = f' id="{escape(self.anchor)}"' if self.anchor else ""
        return f"<h{self.level}{anchor}>{escape(self.text)}</h{self.level}>"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str

    def markdown(self, beside: Mapping[str, str]) -> str:
        """As it is."""
        return self.text

    def html(self, inline: Mapping[str, bytes]) -> str:
        """Escaped."""
        return f"<p>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Code:
    """What was typed."""

    text: str

    def markdown(self, beside: Mapping[str, str]) -> str:
        """Indented."""
        return "\n".join(f"    {line}" for line in self.text.splitlines())

    def html(self, inline: Mapping[str, bytes]) -> str:
        """In a box that scrolls."""
        return f"<pre><code>{escape(self.text)}</code></pre>"


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]

    def markdown(self, beside: Mapping[str, str]) -> str:
        """One line each."""
        return "\n".join(f"- {item}" for item in self.items)

    def html(self, inline: Mapping[str, bytes]) -> str:
        """One item each."""
        return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in self.items) + "</ul>"


@dataclass(frozen=True)
class Table:
    """Texts in rows; the first column names them."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self, beside: Mapping[str, str]) -> str:
        """The caption above, in bold."""
        lines = [f"**{self.caption}**", "", _row(self.head)]
        lines += ["|" + "|".join(["---", *["---:"] * (len(self.head) - 1)]) + "|"]
        return "\n".join(lines + [_row(row) for row in self.rows])

    def html(self, inline: Mapping[str, bytes]) -> str:
        """In a box that scrolls sideways on narrow screens."""
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in self.head)
        body = "".join(
            f'<tr><th scope="row">{escape(first)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
            + "</tr>"
            for first, *rest in self.rows
        )
        caption = f"<caption>{escape(self.caption)}</caption>"
        return (
            f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


@dataclass(frozen=True)
class Picture:
    """Left out where there is none."""

    name: str
    caption: str

    def markdown(self, beside: Mapping[str, str]) -> str:
        """By its place."""
        return f"![{self.caption}]({beside[self.name]})" if self.name in beside else ""

    def html(self, inline: Mapping[str, bytes]) -> str:
        """Inside the page."""
        if self.name not in inline:
            return ""
        content = base64.b64encode(inline[self.name]).decode()
        caption = escape(self.caption)
        return (
            f'<figure><img alt="{caption}" src="data:image/png;base64,{content}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
