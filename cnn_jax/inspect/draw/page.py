"""Pictures on a page: one HTML file that holds all that it shows, loads nothing and runs nothing."""

import base64
import dataclasses
import io
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure as a PNG.

    Attributes:
      name: of its file, without the ending.
      content: the PNG.
      caption: what it shows, in words: below it, and for those who cannot see it.
    """

    name: str
    content: bytes
    caption: str

    @property
    def address(self) -> str:
        """An address that holds it, for a page that loads nothing."""
        return f"data:image/png;base64,{base64.b64encode(self.content).decode()}"


@dataclasses.dataclass(frozen=True)
class Section:
    """Pictures that belong together.

    Attributes:
      name: in the address of the section.
      title: above it.
      note: how to read them.
    """

    name: str
    title: str
    note: str
    pictures: Sequence[Picture] = ()


def picture(name: str, figure: "Figure", caption: str) -> Picture:
    """A figure as a PNG, two pixels for each of a page's."""
    content = io.BytesIO()
    figure.savefig(content, dpi=200, format="png", facecolor="white")
    return Picture(name, content.getvalue(), caption)


def head(title: str, scripts: str = "") -> str:
    """What all pages of this package begin with: nothing is loaded, and nothing runs but what may.

    Args:
      title: text, which is escaped.
      scripts: which may run, as a content security policy says it; none when empty.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    policy += f"; script-src {scripts}" if scripts else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{files("cnn_jax.inspect.draw").joinpath("page.css").read_text()}</style>
</head>"""


def html(title: str, eyebrow: str, facts: Iterable[str], sections: Sequence[Section]) -> str:
    """The page; what is given is text, and is escaped."""
    listed = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    links = "".join(f'<li><a href="#{escape(s.name)}">{escape(s.title)}</a></li>' for s in sections)
    return f"""{head(title)}
<body>
<header>
  <p class="eyebrow">{escape(eyebrow)}</p>
  <h1>{escape(title)}</h1>
  <ul class="facts">{listed}</ul>
</header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main>
{"".join(map(_section, sections))}</main>
<footer><p>Made by cnn_jax. This page holds all that it shows, and loads nothing.</p></footer>
</body>
</html>
"""


def _section(section: Section) -> str:
    figures = "".join(map(_figure, section.pictures))
    return f"""<section id="{escape(section.name)}">
  <h2>{escape(section.title)}</h2>
  <p class="note">{escape(section.note)}</p>
  <div class="figures">{figures}</div>
</section>
"""


def _figure(picture: Picture) -> str:
    caption = escape(picture.caption)
    return f'<figure><img src="{picture.address}" alt="{caption}"><figcaption>{caption}</figcaption></figure>\n'
