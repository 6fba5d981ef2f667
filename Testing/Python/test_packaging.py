"""What the index of Slicer's extensions asks of an extension, each point a property of this tree.

Known from the index's own rules as of 2026: its schema (version 1.0.1 of catalog entries), the checks that it runs on
every entry, and its checklist for new extensions. What no tree can show is left out: the topic of the repository, which
of its features are hidden, that somebody answers.
"""

import json
import re
import struct
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json"
)
FIELDS = {
    "$schema": str, "category": str, "scm_url": str, "scm_revision": str, "scm_type": str, "build_dependencies": list,
    "build_subdirectory": str, "enabled": bool, "tier": int,
}  # fmt: skip
README = (ROOT / "README.md").read_text(encoding="utf-8")
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
MODULES = [path.parent for path in sorted(ROOT.glob("RobustDIR*/RobustDIR*.py")) if path.stem == path.parent.name]


def metadata(name: str) -> str:
    return re.search(rf'^set\(EXTENSION_{name} "([^"]+)"\)$', CMAKE, re.MULTILINE).group(1)


@pytest.fixture(scope="module")
def entry() -> dict:
    return json.loads((ROOT / f"{project()}.json").read_text(encoding="utf-8"))


def project() -> str:
    return re.search(r"project\s*\(\s*([^\s)]+)", CMAKE).group(1)


def test_the_entry_bears_the_projects_name_and_not_slicers():
    assert (ROOT / f"{project()}.json").is_file()
    assert not project().lower().startswith("slicer")


def test_the_entry_keeps_to_the_schema(entry):
    assert entry["$schema"].split("#")[0] == SCHEMA
    assert {"$schema", "category", "scm_url"} <= set(entry) <= set(FIELDS)
    assert all(type(value) is FIELDS[name] for name, value in entry.items())
    assert all(type(name) is str for name in entry["build_dependencies"])
    assert 1 <= entry["tier"] <= 5


def test_the_entry_is_written_as_the_index_formats_it(entry):
    text = (ROOT / f"{project()}.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "\t" not in text
    assert list(entry) == sorted(entry)


def test_the_entry_says_what_cmake_says(entry):
    assert entry["category"] == metadata("CATEGORY")
    assert entry["build_dependencies"] == metadata("DEPENDS").split()
    assert entry["scm_url"].removesuffix(".git") == metadata("HOMEPAGE")


def test_the_repository_is_called_as_the_index_wants_it(entry):
    assert urlsplit(entry["scm_url"]).scheme in ("https", "git")
    assert urlsplit(entry["scm_url"]).path.rpartition("/")[2].removesuffix(".git") == f"Slicer{project()}"
    assert not re.fullmatch("[0-9a-f]{7,40}", entry["scm_revision"])  # a branch, not a commit to renew


def test_all_urls_are_of_that_repository_and_its_branch(entry):
    urls = [metadata("ICONURL"), *metadata("SCREENSHOTURLS").split()]
    path = urlsplit(entry["scm_url"]).path.removesuffix(".git")
    for url in urls:
        assert url.startswith(f"https://raw.githubusercontent.com{path}/{entry['scm_revision']}/"), url
        assert (ROOT / url.partition(f"/{entry['scm_revision']}/")[2]).is_file(), url
    assert len(urls) >= 2


def test_the_description_is_short_and_for_people():
    sentences = [s for s in re.split(r"(?<=[.!?])\s+", metadata("DESCRIPTION")) if s]
    assert 1 <= len(sentences) <= 2
    assert not re.search(r"\b(DIR|SVF|DVF|NCC|CNN)\b", metadata("DESCRIPTION"))


def test_the_licence_is_there_and_named():
    text = (ROOT / "LICENSE.txt").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Grant of Patent License" in text
    assert "[Apache-2.0](LICENSE.txt)" in README


def test_the_page_names_extension_publication_and_patents():
    assert README.startswith(f"# {project()}\n")
    assert "https://doi.org/" in README
    assert re.search(r"\bpatents?\b", README)
    assert re.search(r"!\[[^\]]+\]\(Resources/Screenshots/\w+\.png\)", README)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
class TestModule:
    def test_the_page_says_what_it_is_for(self, module):
        assert re.search(rf"^- \*\*{module.name}\*\*.{{20,}}", README, re.MULTILINE)

    def test_its_tutorial_has_a_picture(self, module):
        title = {"RobustDIR": "## In 3D Slicer", "RobustDIRTrain": "## Fine-tune on your own data"}[module.name]
        part = README.partition(title)[2].partition("\n## ")[0]
        assert re.search(r"^1\. ", part, re.MULTILINE), title
        assert re.search(r"!\[[^\]]+\]\(Resources/Screenshots/\w+\.png\)", part), title

    def test_its_icon_is_of_slicers_size(self, module):
        header = (module / "Resources" / "Icons" / f"{module.name}.png").read_bytes()[:24]
        assert header.startswith(b"\x89PNG")
        assert struct.unpack(">II", header[16:]) == (128, 128)

    def test_it_is_of_the_extensions_category(self, module):
        source = (module / f"{module.name}.py").read_text(encoding="utf-8")
        assert f'"{metadata("CATEGORY")}")]' in source

    def test_it_says_that_it_is_no_medical_device(self, module):
        assert "not a medical device" in (module / f"{module.name}.py").read_text(encoding="utf-8")


def test_pictures_of_the_page_are_there_and_of_a_useful_size():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+\.png)\)", README)
    assert pictures
    for name in pictures:
        width, height = struct.unpack(">II", (ROOT / name).read_bytes()[16:24])
        assert 600 <= width <= 2400, name
        assert height >= 300, name


def test_nothing_is_fetched_or_sent():
    """No URL is opened by the library: packages come through Slicer's installers, after asking."""
    opening = re.compile(r"\b(urlopen|urlretrieve|requests\.|http\.client|create_connection|ftplib)")
    for path in (ROOT / "RobustDIR").rglob("*.py"):
        assert not opening.search(path.read_text(encoding="utf-8")), path


def test_nothing_binary_is_shipped_but_pictures_and_weights():
    files = (path for module in MODULES for path in module.rglob("*") if "__pycache__" not in path.parts)
    assert not {path.suffix for path in files} & {".so", ".dll", ".dylib", ".exe", ".pyd", ".jar", ".whl", ".zip"}
