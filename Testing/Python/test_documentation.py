"""What the documentation names is there: links between pages, and the files and tables of "where to change what"."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "RobustDIR" / "RobustDIRLib"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "Documentation").glob("*.md"), *(ROOT / "Recipes").glob("*.md")]


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as they are made of their words: small letters, hyphens for spaces, nothing else."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


def test_where_to_change_what_names_files_and_tables_that_are_there():
    text = (ROOT / "Documentation" / "Changing.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\.\./)?\w+/[\w.]*)`(?: \(`(\w+)`\))?", text)
    assert len(named) > 15
    missing = [f"{file} {name}" for file, name in named if not (LIBRARY / file).exists()]
    lacking = [f"{file} {name}" for file, name in named if name and name not in (LIBRARY / file).read_text("utf-8")]
    assert not missing + lacking
