"""Which way imports point, what starts without torch, and that lists of files are complete."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "RobustDIR" / "RobustDIRLib"
PUBLIC = LIBRARY.with_name("robustdir")  # the public package: made of the library, which knows nothing of it
LONGEST = 320  # lines of a file
SOURCES = sorted(LIBRARY.rglob("*.py"))

# Lower layers first, as in ARCHITECTURE.md: a file imports from its own layer and from those named, and from no other.
FOUNDATION = {"__init__", "errors", "geometry", "presets", "run_files", "values"}
CORE = FOUNDATION | {"gathering", "warping", "configuration"}
ALLOWED = {
    "__init__": set(),
    "errors": set(),
    "geometry": {"errors"},
    "presets": {"errors"},
    "run_files": set(),
    "values": {"errors", "geometry"},
    "gathering": set(),
    "warping": {"gathering"},
    "configuration": FOUNDATION,
    "clusters": FOUNDATION,
    "io": FOUNDATION | {"configuration"},
    "networks": CORE,
    "synthesis": CORE | {"io", "networks", "evaluation"},  # of networks the class Deformation alone
    "datasets": FOUNDATION | {"configuration", "io"},
    "perturbations": FOUNDATION | {"configuration", "io"},
    "evaluation": CORE | {"io"},
    "training": CORE | {"io", "networks", "synthesis", "evaluation", "model_file", "model_store"},
    "finetuning": CORE
    | {
        "clusters",
        "io",
        "datasets",
        "networks",
        "synthesis",
        "evaluation",
        "model_file",
        "model_store",
        "training",
        "registration",
        "baselines",
    },
    "model_file": CORE | {"io", "networks"},
    "model_store": CORE | {"io", "networks", "model_file"},
    "registration": CORE | {"io", "networks", "evaluation", "model_file"},
    "baselines": CORE | {"io", "evaluation", "registration", "model_file", "model_store"},
    "doctor": FOUNDATION | {"registration", "model_file", "model_store"},
    "demo": CORE | {"io", "evaluation"},
    "studies": CORE | {"io", "datasets", "synthesis", "evaluation", "training", "finetuning", "model_store", "cohort"},
    "cohort": CORE
    | {"clusters", "io", "evaluation", "registration", "model_store", "datasets", "perturbations", "baselines"},
    "report": CORE | {"io", "evaluation", "model_store", "cohort"},  # of cohort what its files are called alone
    "mrml": FOUNDATION,
    # Of registration the forecast of memory alone: what needs torch runs in a process of its own.
    "runner": FOUNDATION | {"configuration", "io"},
    "panelparts": FOUNDATION | {"io", "mrml", "runner", "model_store"},
    "panel": FOUNDATION | {"mrml", "runner", "io", "evaluation", "model_store", "registration", "panelparts"},
    "trainpanel": FOUNDATION
    | {"configuration", "mrml", "runner", "io", "datasets", "evaluation", "model_store", "panelparts", "cohort"}
    | {"baselines"},
    # of cohort what its files are called alone, of baselines which packages are installed
    "cli": None,  # sits on top
    "__main__": {"cli"},
}
SLICERS = ("mrml/", "panelparts/", "panel/", "trainpanel/")
TORCH_FREE = FOUNDATION | {
    "configuration", "clusters", "io", "datasets", "perturbations", "report", "doctor", "cli", "__main__", "mrml",
    "runner", "panelparts", "panel", "trainpanel",
}  # fmt: skip


def layer_of(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imports_of(path: Path, *, at_top: bool = False) -> set[str]:
    """Full names of what a file imports, anywhere or only when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _nodes_run_on_import(tree) if at_top else list(ast.walk(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in (n for n in nodes if isinstance(n, ast.ImportFrom)):
        assert node.level == 0, f"{path.name} imports relatively; write the full name"
        names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _nodes_run_on_import(tree):
    nodes, waiting = [], list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        nodes.append(node)
        waiting.extend(ast.iter_child_nodes(node))
    return nodes


def layers_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports_of(path) if name.split(".")[0] == "RobustDIRLib"]
    named = {p[1] if len(p) > 1 and _is_file(p[1]) else "__init__" for p in parts}
    return named - {layer_of(path)}


def _is_file(name: str) -> bool:
    return (LIBRARY / name).is_dir() or (LIBRARY / f"{name}.py").is_file()


def test_every_part_has_its_place_in_the_order_of_imports():
    missing = {layer_of(path) for path in SOURCES} - set(ALLOWED)
    assert not missing, f"give each a place here and in ARCHITECTURE.md: {sorted(missing)}"


def test_imports_point_down():
    bound = [(path, allowed) for path in SOURCES if (allowed := ALLOWED[layer_of(path)]) is not None]
    beyond = {name_of(path): layers_imported(path) - allowed for path, allowed in bound}
    refuse({name: f"imports {sorted(layers)}" for name, layers in beyond.items() if layers})


def test_only_mrml_and_the_panels_import_slicer():
    roots = {name_of(path): {name.split(".")[0] for name in imports_of(path)} for path in SOURCES}
    found = {name: sorted(each & {"slicer", "vtk", "qt", "ctk"}) for name, each in roots.items()}
    refuse({name: f"imports {each}" for name, each in found.items() if each and not name.startswith(SLICERS)})


def test_torch_free_files_import_torch_in_functions_only():
    free = [path for path in SOURCES if layer_of(path) in TORCH_FREE]
    roots = {name_of(path): {name.split(".")[0] for name in imports_of(path, at_top=True)} for path in free}
    refuse({name: "imports torch when it is itself imported" for name, each in roots.items() if "torch" in each})


def test_files_stay_readable_in_length():
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    refuse({name: f"has {length} lines" for name, length in lengths.items() if length > LONGEST})


def name_of(path: Path) -> str:
    return path.relative_to(LIBRARY).as_posix()


def refuse(offenders: dict[str, str]) -> None:
    assert not offenders, "\n" + "\n".join(f"{name} {what}" for name, what in sorted(offenders.items()))


@pytest.mark.parametrize(
    "module",
    [
        "RobustDIRLib",
        "RobustDIRLib.cli",
        "RobustDIRLib.doctor",
        "RobustDIRLib.model_file",
        "RobustDIRLib.model_store",
        "RobustDIRLib.report.write",
        "RobustDIRLib.runner.registry",
    ],
)
def test_importing_loads_no_torch(module):
    code = f"import sys; sys.path.insert(0, {str(LIBRARY.parent)!r}); import {module}; print('torch' in sys.modules)"
    assert _python(code) == "False"


def test_help_loads_neither_torch_nor_numpy():
    code = f"""
import sys; sys.path.insert(0, {str(LIBRARY.parent)!r})
from RobustDIRLib.cli import main
try: main(["--help"])
except SystemExit: print(sorted(set(sys.modules) & {{"torch", "numpy", "SimpleITK", "scipy", "nibabel"}}))
"""
    assert _python(code).endswith("[]")


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()


def test_cmake_takes_every_file_of_the_module():
    """By patterns, each for a folder and all below it; `Testing/FakeSlicer` holds the same while CMake runs."""
    text = (ROOT / "RobustDIR" / "CMakeLists.txt").read_text(encoding="utf-8")
    patterns = re.findall(r'^\s+"((?:RobustDIRLib|robustdir)(?:/\w+)*)/([^"/]+)"$', text, re.MULTILINE)
    taken = {path for folder, pattern in patterns for path in (LIBRARY.parent / folder).rglob(pattern)}
    skipped = {"__pycache__", ".pyc"}
    present = {
        path
        for folder in (LIBRARY, PUBLIC)
        for path in folder.rglob("*")
        if path.is_file() and not skipped & {path.suffix, path.parent.name} and not path.name.startswith(".")
    }
    assert taken == present
    assert not re.findall(r"^\s+(?:RobustDIRLib|robustdir)/\S+$", text, re.MULTILINE), "patterns take them already"


def test_library_knows_nothing_of_the_public_package():
    """It is made of the library, and of no part that belongs to the command line or to Slicer."""
    assert not [path.name for path in SOURCES if any(name.split(".")[0] == "robustdir" for name in imports_of(path))]
    upper = ("RobustDIRLib.cli", "RobustDIRLib.panel", "RobustDIRLib.trainpanel", "RobustDIRLib.mrml")
    assert not [path.name for path in PUBLIC.rglob("*.py") if any(n.startswith(upper) for n in imports_of(path))]


def test_slicer_takes_one_file_for_a_module():
    """Its factory takes every `.py` directly in the folder of a module for one; packages are folders."""
    assert [path.name for path in LIBRARY.parent.glob("*.py*")] == ["RobustDIR.py"]
    assert all((package / "__init__.py").is_file() for package in (LIBRARY, PUBLIC))


def test_version_stands_once_in_package_and_metadata():
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    from RobustDIRLib import __version__

    assert declared
    assert declared.group(1) == __version__
