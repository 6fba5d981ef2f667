"""What MkDocs is told besides mkdocs.yml: what lies outside of Documentation, and that nothing comes from the net."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_OUTSIDE = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "Recipes/README.md", "Resources/Screenshots/*.png")
_REPOSITORY = "https://github.com/RobustDIR/SlicerRobustDIR/blob/main/"
_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)\s#]+)(#[^)\s]*)?(?=\))")
# What a browser fetches by itself, unlike a link that somebody clicks.
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon)[^>]*\bhref=["']?(?:https?:)?//"""
)


def on_files(files: Any, config: Any) -> Any:
    """Add what lies outside of the folder of pages."""
    from mkdocs.structure.files import File

    for pattern in _OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links lead to where their files are on the site; those to files that it has not, to the repository."""
    source = Path(page.file.abs_src_path)

    def moved(link: re.Match[str]) -> str:
        path = Path(os.path.normpath(source.parent / link[1]))
        if not path.exists():
            return link[0]  # MkDocs says that it leads nowhere
        place = _place(path)
        if place == "index.md" and path.name == "README.md":
            return os.path.relpath(place, PurePosixPath(page.file.src_uri).parent)
        if files.get_file_from_path(place) is None:
            return _REPOSITORY + path.relative_to(ROOT).as_posix()
        return os.path.relpath(place, PurePosixPath(page.file.src_uri).parent) + (link[2] or "")

    return _LINK.sub(moved, markdown)


def _place(path: Path) -> str:
    """Where a file of the checkout is among those of the site."""
    if path == ROOT / "README.md":
        return "index.md"
    inside = path.relative_to(ROOT)
    return PurePosixPath(*inside.parts[1:] if inside.parts[0] == "Documentation" else inside.parts).as_posix()


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Refuse a page that would fetch something from the net when it is opened.

    Raises:
        PluginError: Names the page.
    """
    from mkdocs.exceptions import PluginError

    if found := _FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri} fetches from the net: {output[found.start() : found.end() + 60]}")
    return output
