"""`slicer.packaging` of Slicer 5.12 on the bench: installs nothing, so that no test ever changes its own environment.

A test that expects an installation puts a function of its own in place of the one that would be called.
"""

from pathlib import Path


def load_requirements(path):
    """The requirements in a file, one a line, without comments."""
    lines = [line.split("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def pip_install(requirements, **_named):
    raise RuntimeError(f"the bench installs nothing; asked for {requirements}")


def pip_uninstall(requirements, **_named):
    raise RuntimeError(f"the bench removes nothing; asked for {requirements}")


def pip_ensure(requirements, *, requester=None, skip_packages=(), **_named):
    raise RuntimeError(f"the bench installs nothing; {requester} asked for {requirements} without {skip_packages}")
