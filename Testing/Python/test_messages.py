"""What the library says to its callers, who may be at a command line, in a panel or in Python."""

import ast
import re
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from RobustDIRLib.cli import in_options

LIBRARY = Path(__file__).parents[2] / "RobustDIR" / "RobustDIRLib"
# Where there are options: the command line itself. Panels have sentences of their own, and start commands.
APART = ("cli", "panel", "trainpanel")
OPTION = re.compile(r"(?<![\w-])--([a-z]|$)")
ARGUMENT = re.compile(r"--[a-z-]*=?")


def sources() -> Iterator[Path]:
    return (path for path in sorted(LIBRARY.rglob("*.py")) if path.relative_to(LIBRARY).parts[0] not in APART)


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Every string in a source but its docstrings and the arguments of other programs."""
    spoken = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    for node in strings:
        argument = id(node) not in spoken and ARGUMENT.fullmatch(node.value)
        if id(node) not in silent and not argument:
            yield node


def named_options(source: str) -> list[tuple[int, str]]:
    return [(node.lineno, node.value) for node in texts(ast.parse(source)) if OPTION.search(node.value)]


def test_the_library_names_no_options_of_the_command_line():
    found = [
        f"{path.relative_to(LIBRARY)}:{line}: {text}"
        for path in sources()
        for line, text in named_options(path.read_text(encoding="utf-8"))
    ]
    assert not found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise InputError(f"--perturb {kind}: there is none")', True),
        ('raise InputError("give another folder, or --redo to make it anew")', True),
        ('raise InputError(f"made with --{name} {old}")', True),
        ('note("sum up again (--aggregate)")', True),
        ('run(["--output", folder, "--seed=", 3])', False),
        ('"""As `robustdir register --device`."""', False),
        ('LINES = ("-", "--", "//")', False),
        ('say("one -- two, a-b--c")', False),
    ],
)
def test_an_option_in_a_message_is_found(source, found):
    assert bool(named_options(source)) == found


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("`memory_limit` 2: too little", "--memory-limit 2: too little"),
        ("`perturb` x, or `fixed`", "`perturb` x, or FIXED"),
        ("sum up again with `aggregate`.", "sum up again with robustdir evaluate --aggregate."),
        ("`generic` is a model", "`generic` is a model"),
    ],
)
def test_the_command_line_says_its_own_options(message, said):
    assert in_options(message, Namespace(memory_limit=2, fixed="a")) == said


def test_a_command_that_has_the_option_itself_names_it_alone():
    assert in_options("with `aggregate`.", Namespace(aggregate=None)) == "with --aggregate."
