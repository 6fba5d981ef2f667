"""The extension as Slicer builds it: its real CMakeLists through Testing/FakeSlicer, and its modules' ctests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import forked_commands
from SlicerHeadless import availability

ROOT = Path(__file__).parents[2]
FAKE_SLICER = ROOT / "Testing" / "FakeSlicer"
EXAMPLE = Path(__file__).with_name("example")
METADATA = ("HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS")

PROJECT = """cmake_minimum_required(VERSION 3.16.3...3.19.7 FATAL_ERROR)
project(Example)
{metadata}
find_package(Slicer REQUIRED)
include(${{Slicer_USE_FILE}})
add_subdirectory(Example)
include(${{Slicer_EXTENSION_GENERATE_CONFIG}})
include(${{Slicer_EXTENSION_CPACK}})
"""
MODULE = """set(MODULE_NAME Example)
slicerMacroBuildScriptedModule(NAME Example SCRIPTS Example.py RESOURCES Resources/UI/Example.ui WITH_GENERIC_TESTS)
slicer_add_python_unittest(SCRIPT Example.py)
"""


def tool(name: str) -> str:
    """A program of the wheel cmake beside this Python, or of the system."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed (pip install '.[dev]')")
    return found


def configure(source: Path, build: Path) -> subprocess.CompletedProcess:
    options = {
        "CMAKE_TOOLCHAIN_FILE": FAKE_SLICER / "NoCompiler.cmake",
        "Slicer_DIR": FAKE_SLICER,
        "Python3_EXECUTABLE": sys.executable,
    }
    defined = [f"-D{name}={value}" for name, value in options.items()]
    command = [tool("cmake"), "-S", str(source), "-B", str(build), "-G", "Unix Makefiles", *defined]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def run_tests(build: Path) -> subprocess.CompletedProcess:
    if "PYTEST_XDIST_TESTRUNUID" in os.environ and forked_commands.POSSIBLE:
        forked_commands.hold("bench")
    command = [tool("ctest"), "--test-dir", str(build), "--output-on-failure", "--timeout", "600"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture
def an_extension(tmp_path) -> Path:
    """A small extension with the example module, to be broken."""
    shutil.copytree(EXAMPLE, tmp_path / "extension" / "Example", ignore=shutil.ignore_patterns("__pycache__"))
    metadata = "\n".join(f'set(EXTENSION_{name} "something")' for name in METADATA)
    (tmp_path / "extension" / "CMakeLists.txt").write_text(PROJECT.format(metadata=metadata))
    (tmp_path / "extension" / "Example" / "CMakeLists.txt").write_text(MODULE)
    return tmp_path / "extension"


def test_the_extension_configures_and_its_modules_open_and_test_themselves(tmp_path):
    configured = configure(ROOT, tmp_path)
    assert configured.returncode == 0, configured.stderr
    if availability.why_no_desktop():
        pytest.skip(availability.why_no_desktop())
    tested = run_tests(tmp_path)
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"100% tests passed.* out of [1-9]", tested.stdout), tested.stdout


def test_what_a_package_would_lack_is_refused(an_extension, tmp_path):
    (an_extension / "Example" / "Resources" / "UI" / "Example.ui").unlink()
    done = configure(an_extension, tmp_path / "build")
    assert done.returncode
    assert "Resources/UI/Example.ui is listed but does not exist" in " ".join(done.stderr.split())


def test_what_would_not_be_installed_is_refused(an_extension, tmp_path):
    (an_extension / "Example" / "Resources" / "picture.png").touch()
    done = configure(an_extension, tmp_path / "build")
    assert done.returncode
    assert "Resources/picture.png would not be installed" in " ".join(done.stderr.split())


def test_two_modules_may_not_install_one_file(an_extension, tmp_path):
    shutil.copytree(an_extension / "Example", an_extension / "Other")
    (an_extension / "Other" / "Example.py").rename(an_extension / "Other" / "Other.py")
    (an_extension / "Other" / "CMakeLists.txt").write_text(
        MODULE.replace("NAME Example", "NAME Other").replace("Example.py", "Other.py")
    )
    project = an_extension / "CMakeLists.txt"
    listed = project.read_text(encoding="utf-8")
    project.write_text(
        listed.replace("add_subdirectory(Example)", "add_subdirectory(Example)\nadd_subdirectory(Other)")
    )
    done = configure(an_extension, tmp_path / "build")
    assert done.returncode
    assert "another module installs Resources/UI/Example.ui" in " ".join(done.stderr.split())


@pytest.mark.parametrize("name", METADATA)
def test_missing_metadata_are_refused(an_extension, tmp_path, name):
    project = an_extension / "CMakeLists.txt"
    project.write_text(project.read_text(encoding="utf-8").replace(f'set(EXTENSION_{name} "something")\n', ""))
    done = configure(an_extension, tmp_path / "build")
    assert done.returncode
    assert f"EXTENSION_{name} is not set" in done.stderr


def test_a_failing_self_test_fails_ctest(an_extension, tmp_path, desktop):
    source = an_extension / "Example" / "Example.py"
    source.write_text(source.read_text(encoding="utf-8").replace("gridSpacing == 10.0", "gridSpacing == 11.0"))
    assert configure(an_extension, tmp_path / "build").returncode == 0
    done = run_tests(tmp_path / "build")
    assert done.returncode
    assert "1 tests failed out of 2" in done.stdout


def test_metadata_stand_on_one_line_each():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    for name in METADATA:
        assert re.search(rf'^set\(EXTENSION_{name} "[^"]+"\)$', text, re.MULTILINE), name


def test_pictures_that_the_catalogue_shows_are_there():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    shown = re.findall(r"/main/(Resources/\S+?\.png)", text)
    assert len(shown) >= 4
    assert [path for path in shown if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize(
    "icon",
    [
        "Resources/Icons/RobustDIRExtension.png",
        "RobustDIR/Resources/Icons/RobustDIR.png",
        "RobustDIRTrain/Resources/Icons/RobustDIRTrain.png",
    ],
)
def test_icons_are_as_the_catalogue_wants_them(icon):
    header = (ROOT / icon).read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert [int.from_bytes(header[at : at + 4], "big") for at in (16, 20)] == [128, 128]
