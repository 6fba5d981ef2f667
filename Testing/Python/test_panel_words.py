"""The panels' texts: every one can be translated, and no translation can break it."""

import ast
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "RobustDIR" / "RobustDIRLib"
PARTS = ("panel", "panelparts", "trainpanel")
SOURCES = [path for part in PARTS for path in sorted((LIBRARY / part).rglob("*.py"))]
MODULES = sorted(ROOT.glob("RobustDIR*/RobustDIR*.py"))
# Not for people: stages of a run, notes to the log, style sheets, names of nodes that are never seen, and of people.
SILENT = re.compile(
    r"<|hand over|take over|RobustDIR: |color: |no header line|an array of |Ball at "
    r"|RobustDIR (passing|contributors|curves|cumulative errors|boxes|runs)"
)
PHRASE = re.compile(r"[A-Za-z…”)]{2,}[,:;.]? [A-Za-z(“\"]|[A-Za-z]{4,}[,:;.]? \0|\0[,:;.]? [A-Za-z]{4,}")


def text_of(node: ast.expr) -> str | None:
    """A string of a source, with a zero for each value in it; None for what is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
    return None


def untranslated(source: str) -> list[tuple[int, str]]:
    """Phrases in a source that `_` does not see, with their lines."""
    return [(line, text) for line, text in _spoken(ast.parse(source)) if PHRASE.search(text) and not SILENT.match(text)]


def _spoken(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and text_of(node.value) is not None:  # a docstring
            continue
        if isinstance(node, ast.ClassDef) and node.name.endswith("Test"):
            continue
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_", "translate"):
            continue
        text = text_of(node) if isinstance(node, ast.expr) else None
        if text is not None:
            yield node.lineno, text
        else:
            yield from _spoken(node)


def calls_of_translation(tree: ast.AST) -> Iterator[ast.Call]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "_")


@pytest.mark.parametrize("path", [*SOURCES, *MODULES], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_phrase_can_be_translated(path):
    assert untranslated(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('say("Nothing was changed.")', True),
        ('say(f"{name} holds no voxels")', True),
        ('say(f"Removed {name}.")', True),
        ('say(_("Nothing was changed."))', False),
        ('say(_("Made {name}.").format(name=node.GetName()))', False),
        ('"""Of a label, which hides."""', False),
        ('table = {"hand over": 1}', False),
        ('label.connect("clicked()", f"{side}Volume")', False),
    ],
)
def test_a_phrase_that_nobody_translates_is_found(source, found):
    assert bool(untranslated(source)) == found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_translators_are_given_whole_texts_whose_values_have_names(path):
    """What `_` is given is one text, never an f-string, which would be another text for every value."""
    for call in calls_of_translation(ast.parse(path.read_text(encoding="utf-8"))):
        assert isinstance(call.args[0], ast.Constant), f"{path.name}:{call.lineno}"
        fields = [name for _, name, _, _ in string.Formatter().parse(call.args[0].value) if name is not None]
        assert all(name.isidentifier() for name in fields), f"{path.name}:{call.lineno}: {fields}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_values_of_a_text_are_those_it_names(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        formats = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "format"
        if formats and isinstance(node.func.value, ast.Call) and getattr(node.func.value.func, "id", "") == "_":
            text = node.func.value.args[0].value
            fields = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
            assert fields == {keyword.arg for keyword in node.keywords}, f"{path.name}:{node.lineno}"


def test_slicers_translation_is_asked_with_the_file_it_is_asked_from():
    """Slicer finds a translation by its caller's file: a wrapper of ours would make all texts ours."""
    code = (
        "import sys, types\n"
        "slicer, i18n = types.ModuleType('slicer'), types.ModuleType('slicer.i18n')\n"
        "i18n.tr = lambda text: f'{sys._getframe(1).f_code.co_name}: {text}'\n"
        "sys.modules.update({'slicer': slicer, 'slicer.i18n': i18n})\n"
        "from RobustDIRLib.panelparts import environment\n"
        "print(environment.DECLINED)\n"
        "print(environment.too_old(5, 2))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, timeout=60)
    assert done.stdout.splitlines()[0] == "<module>: Nothing was installed."
    assert done.stdout.splitlines()[1].startswith("too_old: RobustDIR needs 3D Slicer")


def test_without_the_application_the_texts_are_english():
    code = (
        "import sys; from RobustDIRLib.panelparts import environment as e; print(e.DECLINED, 'slicer' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, timeout=60)
    assert done.stdout.split() == ["Nothing", "was", "installed.", "False"]
