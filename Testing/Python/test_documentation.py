"""What the documentation names is there: links between pages, and the files and tables of "where to change what"."""

import re
from pathlib import Path

import pytest

import robustdir

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "RobustDIR" / "RobustDIRLib"
DOCUMENTATION = ROOT / "Documentation"
PAGES = [*ROOT.glob("*.md"), *DOCUMENTATION.rglob("*.md"), *(ROOT / "Recipes").glob("*.md")]


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


def test_every_page_and_picture_has_its_place_on_the_site():
    """`make docs` says so as well, but not everybody runs it."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    named = set(re.findall(r": ([\w/]+\.md)$", navigation, re.MULTILINE))
    pages = {page.relative_to(DOCUMENTATION).as_posix() for page in DOCUMENTATION.rglob("*.md")}
    outside = {page.relative_to(ROOT).as_posix() for page in PAGES if DOCUMENTATION not in page.parents}
    assert named == pages | (outside - {"README.md"})
    text = "".join(page.read_text(encoding="utf-8") for page in DOCUMENTATION.rglob("*.md"))
    assert not [path.name for path in (DOCUMENTATION / "Figures").glob("*.svg") if path.name not in text]


def test_every_public_name_is_in_the_reference_and_no_other():
    text = (DOCUMENTATION / "Reference" / "Public.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: robustdir\.(\w+)$", text, re.MULTILINE)) == sorted(
        name for name in robustdir.__all__ if not name.startswith("__")
    )


def test_the_reference_names_parts_of_the_library_that_are_there():
    text = (DOCUMENTATION / "Reference" / "Library.md").read_text(encoding="utf-8")
    parts = re.findall(r"^::: RobustDIRLib\.([\w.]+)$", text, re.MULTILINE)
    assert parts
    assert not [part for part in parts if not (LIBRARY / f"{part.replace('.', '/')}.py").is_file()]


def test_the_tutorial_for_python_runs_as_it_stands(tmp_path, monkeypatch):
    """Its blocks one after the other, as a reader would put them into a notebook; they check themselves."""
    pytest.importorskip("matplotlib")
    text = (DOCUMENTATION / "Python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"Python.md, block {number + 1}", "exec"), names)
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert {"transform.h5", "inverse.h5", "run.json"} <= {path.name for path in (tmp_path / "result").iterdir()}
