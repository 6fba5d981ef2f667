"""The worked examples of "where to change what": each is applied to a copy of the library and used there."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "Documentation" / "Changing.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```\w+\n# (\S+), ([^\n]+)\n(.*?)```", re.DOTALL)
EXAMPLES = {
    section.partition("\n")[0]: BLOCK.findall(section)
    for section in PAGE.partition("## Worked examples")[2].split("\n### ")[1:]
}
# How many files an example may touch.
MOST = {name: 3 if "panel" in name else 2 for name in EXAMPLES}
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pt", "*.sha256")


def insert(file: Path, where: str, text: str) -> None:
    """Put a block to its place: a new file, `with the imports`, `before NAME` or `in NAME`."""
    if where == "new":
        assert not file.exists()
        file.write_text(text, encoding="utf-8")
        return
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    place = _in_form(lines, where) if file.suffix == ".ui" else _in_source("".join(lines), where)
    lines.insert(place, text if where.startswith(("in", "with")) else f"{text}\n\n")
    file.write_text("".join(lines), encoding="utf-8")


def _in_form(lines: list[str], where: str) -> int:
    return next(n for n, line in enumerate(lines, 1) if f'name="{where.removeprefix("in ")}"' in line)


def _in_source(source: str, where: str) -> int:
    """Number of lines above the place."""
    body = ast.parse(source).body
    if where == "with the imports":
        own = [n for n in body if isinstance(n, ast.ImportFrom) and str(n.module).startswith("RobustDIRLib")]
        return own[-1].end_lineno or 0
    kind, name = where.split()
    node = next(n for n in body if name in _names(n))
    if kind == "before":
        return node.lineno - 1
    if isinstance(node, ast.ClassDef):
        return max(n.end_lineno or 0 for n in node.body if isinstance(n, ast.AnnAssign))
    return (node.end_lineno or 0) - 1  # before the closing bracket


def _names(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {getattr(target, "id", "") for target in targets} | {getattr(node, "name", "")}


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of every example in a process with a library that holds all of them."""
    copy = tmp_path_factory.mktemp("copy") / "RobustDIR"
    shutil.copytree(ROOT / "RobustDIR", copy, ignore=LEFT_OUT)
    for blocks in EXAMPLES.values():
        for file, where, text in blocks:
            insert((copy / "RobustDIRLib" / file).resolve(), where, text)
    testing = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, str(testing / "changing_process.py"), str(copy), str(tmp_path_factory.mktemp("data"))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (copy, testing.parent, testing)))},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_touches_few_files(name: str) -> None:
    assert 1 <= len({file for file, _, _ in EXAMPLES[name]}) <= MOST[name]


def test_a_loss_counts_with_its_weight(changed: dict[str, Any]) -> None:
    assert changed["loss"] == pytest.approx(2 * changed["expected loss"], rel=1e-5)
    assert changed["loss is a choice of ones own"]


def test_a_data_set_is_recognised_and_read(changed: dict[str, Any]) -> None:
    assert changed["data set"] == ["halves", "anna", "bert"]


def test_a_rival_is_found_and_listed(changed: dict[str, Any]) -> None:
    assert changed["rival listed"]
    assert changed["rival"] == pytest.approx([3.0, -4.0, 2.0])


@pytest.mark.parametrize("name", ["difference", "volume_percent"])
def test_a_measure_is_in_evaluations_before_and_after(changed: dict[str, Any], name: str) -> None:
    before = "volume_before_percent" if name == "volume_percent" else "difference_before"
    assert {name, before} <= set(changed["pair columns"])
    assert changed["values"][before] > changed["values"][name] == pytest.approx(0, abs=1e-6)
    assert changed["title"][name]


def test_a_measure_of_a_label_is_everywhere(changed: dict[str, Any]) -> None:
    assert {"volume_percent", "volume_before_percent"} <= set(changed["label columns"])
    assert all("volume_percent" in row for row in changed["label rows"])
    assert changed["run row"]["volume_percent"] == pytest.approx(50)
    assert changed["judged"]["volume_percent"] == [pytest.approx(50), "outside tolerance"]
    assert changed["report"]["volume_percent"] == pytest.approx(50)
    assert "Volume, %" in changed["panel columns"]
    assert "volume_percent" in changed["limits"]


def test_a_section_of_the_panel_shows_what_it_says(changed: dict[str, Any]) -> None:
    if changed["panel"] is None:
        pytest.skip("needs Slicer's libraries")
    assert changed["panel"] == "27 × 25 × 22"
