"""Reports as one HTML file: templates filled in, pictures inlined, nothing fetched from anywhere.

Everything filled in is escaped. The file's own content policy lets no script and no style run but the two that are
written here, by their hash, so that even a name that slipped through as markup could do nothing.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from RobustDIRLib import __version__
from RobustDIRLib.errors import InputError

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST_WORD = 16
TIME_FORMAT = "%Y-%m-%d %H:%M %Z"
_PARAGRAPHS = ("link", "image", "autolink")  # of a model card, shown as they are typed: a report refers to nothing


def check_extra() -> None:
    """Refuse before anything is computed where a package of the extra is missing.

    Raises:
        InputError: Naming the package and the cure.
    """
    for name in ("jinja2", "markdown_it", "matplotlib"):
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            raise InputError(
                f"an HTML report needs {name.replace('_it', '-it-py')}; install it with: pip install "
                f"'robustdir[report]', or write .json or .csv."
            ) from error


def render(template: str, content: Mapping[str, Any]) -> str:
    """Fill in a template of this folder.

    Args:
        template: Its file's name.
        content: What it refers to.
    Returns:
        The HTML file's text.
    """
    style, script = (_text(name) for name in ("report.css", "review.js"))
    environment = _environment()
    frame = {"style": style, "script": script, "policy": _policy(style, script), "version": __version__}
    return environment.get_template(template).render(**frame, **content)


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, significant=significant, markdown=markdown, wrap=wrap)
    return environment


def _text(name: str) -> Markup:
    """A file of ours that goes in as it is."""
    from markupsafe import Markup

    return Markup(_TEMPLATES.joinpath(name).read_text(encoding="utf-8").strip())


def _policy(style: str, script: str) -> str:
    """What a browser may do with the file: show its own pictures and style, run its own script, and nothing else."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        f"base-uri 'none'; form-action 'none'"
    )


def number(value: float | None, digits: int = 2) -> str:
    """A number for people, with a fixed number of decimals; what is too small for them but not 0 says so."""
    if value is None:
        return "undefined"
    if not math.isfinite(value):
        return "not finite"
    least = 10.0**-digits
    if 0 < abs(value) < least / 2:
        return f"{'<' if value > 0 else '> -'}{'' if value < 0 else ' '}{least:.{digits}f}"
    return f"{value:.{digits}f}"


def significant(value: float | None) -> str:
    """A number of any size for people, to three digits."""
    return "undefined" if value is None else f"{value:.3g}"


def wrap(name: str) -> str:
    """Class of a table's cell: whether a word of it is so long that it must be broken for the table to fit the page."""
    return "any" if max(map(len, str(name).split()), default=0) > _LONGEST_WORD else ""


def inlined(picture: bytes, kind: str = "png") -> str:
    """A picture as the address of itself."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")


def markdown(text: str, level: int) -> Markup:
    """Markdown as HTML, its markup escaped, links and pictures left as typed.

    Args:
        text: Markdown with tables.
        level: What its first level of headings becomes, so that it fits into the page's own.
    """
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(list(_PARAGRAPHS))
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + level - 1, 6)}"
        token.attrs.pop("style", None)  # of aligned cells: the policy forbids it
    return Markup(parser.renderer.render(tokens, parser.options, {}))
