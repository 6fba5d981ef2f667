import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from registration_cases import Standin, grid_about, picture
from RobustDIRLib import model_file
from RobustDIRLib.cli import main
from RobustDIRLib.cli import register as register_command
from RobustDIRLib.cli.repeating import repeating_command
from RobustDIRLib.io.checksums import sha256
from RobustDIRLib.io.displacements import read_transform
from RobustDIRLib.io.images import Image, read_image, write_image
from RobustDIRLib.io.landmarks import Landmarks, write_landmarks
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.registration.alignment import KINDS

FIXED_GRID = grid_about(np.array([30.0, -20, 10]), (15, 21, 17), (4.9, 3.4, 5.3), (12, -8, 20), (1, -1, 1))
QUICK = ("--alignment", "none", "--quality", "fast")  # where neither is what a test is about
MOVING_GRID = grid_about(np.array([33.0, -21, 6]), (22, 26, 20), (3.6, 4.1, 4.7), (-10, 25, 8), (-1, 1, 1))


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """A folder of inputs; the moving image lies 25 mm off."""
    folder = tmp_path_factory.mktemp("pair")
    fixed = picture(FIXED_GRID, lambda p: p - [30, -20, 10], noise=0.01)
    moving = picture(MOVING_GRID, lambda p: p - [33, -21, 6])
    write_image(folder / "fixed.nii.gz", fixed)
    write_image(folder / "moving.mha", moving)
    for name, image in (("fixed", fixed), ("moving", moving)):
        write_image(folder / f"{name}_labels.nrrd", Image((image.array > 0.3).astype(np.uint8) * 5, image.grid))
        write_image(folder / f"{name}_mask.nrrd", Image((image.array > 0.1).astype(np.uint8), image.grid))
        middle = image.grid.points_from_voxels(
            np.array(image.grid.shape) * np.random.default_rng(1).uniform(0.4, 0.6, (4, 3))
        )
        write_landmarks(folder / f"{name}.csv", Landmarks(middle))
    write_image(folder / "empty.nrrd", Image(np.zeros(FIXED_GRID.shape, np.uint8), FIXED_GRID))
    away = grid_about(np.full(3, 900.0), (22, 26, 20), (3.0, 3.0, 3.0), (0, 0, 0))
    write_image(folder / "away.mha", Image(moving.array, away))
    write_landmarks(folder / "three.csv", Landmarks(np.zeros((3, 3))))
    write_landmarks(folder / "outside.csv", Landmarks(np.full((4, 3), 700.0)))
    (folder / "broken.nii.gz").write_bytes(b"no image")
    return folder


@pytest.mark.parametrize("blank", [False, True])
def test_blank_outside_reaches_the_registration(pair, tmp_path, blank):
    words = ["register", str(pair / "fixed.nii.gz"), str(pair / "moving.mha"), "-o", str(tmp_path / "run")]
    words += ["--fixed-mask", str(pair / "fixed_mask.nrrd"), "--moving-mask", str(pair / "moving_mask.nrrd")]
    assert main([*words, *(["--blank-outside"] if blank else [])]) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["blank_outside"] is blank


def test_what_readers_remark_is_kept_and_said_once(pair, tmp_path, capfd):
    """A moving image that its header places twice."""
    image = nib.load(pair / "fixed.nii.gz")
    image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    elsewhere = image.affine.copy()
    elsewhere[0, 3] += 20
    image.set_qform(image.affine, 1)
    image.set_sform(elsewhere, 1)
    nib.save(image, tmp_path / "twice.nii.gz")
    assert (
        main(["register", str(pair / "fixed.nii.gz"), str(tmp_path / "twice.nii.gz"), "-o", str(tmp_path / "run")]) == 0
    )
    warnings = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["warnings"]
    assert len([one for one in warnings if "places the volume twice" in one]) == 1
    said = "".join(capfd.readouterr())
    assert said.count("places the volume twice") == 1
    assert "warning: " in said


@pytest.fixture(autouse=True)
def _a_model(monkeypatch):
    def read(path, device="cpu"):
        return SimpleNamespace(network=Standin(), card={"name": "standin"}, path=Path("standin.pt"), checksum="ab" * 32)

    monkeypatch.setattr(model_file, "read_model", read)


@pytest.fixture
def command(pair, tmp_path):
    """Run the command in the folder of inputs; gives its exit code."""

    def run(*words: str, fixed="fixed.nii.gz", moving="moving.mha") -> int:
        return main(["register", str(pair / fixed), str(pair / moving), "-o", str(tmp_path / "run"), *words])

    return run


def extras_of(pair: Path) -> list[str]:
    return [
        *("--fixed-mask", str(pair / "fixed_mask.nrrd"), "--moving-mask", str(pair / "moving_mask.nrrd")),
        *("--fixed-landmarks", str(pair / "fixed.csv"), "--moving-landmarks", str(pair / "moving.csv")),
        *("--labels", str(pair / "moving_labels.nrrd"), "--fixed-labels", str(pair / "fixed_labels.nrrd")),
    ]


def contents(folder: Path) -> list:
    """Everything a run computes, to the last bit; of the transforms what they say (their files hold the time too)."""
    transforms = [read_transform(folder / name) for name in ("transform.h5", "inverse.h5")]
    parts = [t.GetNthTransform(k) for t in transforms for k in range(t.GetNumberOfTransforms())]
    images = ("warped.nii.gz", "warped_labels.nii.gz", "displacement.nii.gz", "jacobian.nii.gz")
    return [sha256(folder / name) for name in images] + [part.GetParameters() for part in parts]


class TestRun:
    def test_writes_everything_and_sums_up(self, command, pair, tmp_path, capsys):
        assert command("--threads", "1", *extras_of(pair)) == 0
        said = capsys.readouterr().out
        for words in (
            "read",
            "align",
            "network",
            "write",
            "TRE",
            "4 landmarks",
            "Dice",
            "folding",
            str(tmp_path / "run"),
        ):
            assert words in said
        assert set(os.listdir(tmp_path / "run")) == {
            *("transform.h5", "inverse.h5", "displacement.nii.gz", "warped.nii.gz", "jacobian.nii.gz", "run.json"),
            "warped_labels.nii.gz",
        }
        assert read_image(tmp_path / "run" / "warped.nii.gz").grid.close_to(FIXED_GRID)

    def test_record_names_inputs_by_checksum_and_measures_landmarks(self, command, pair, tmp_path):
        command(*extras_of(pair))
        record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
        assert record["inputs"]["moving"] == {"path": str(pair / "moving.mha"), "sha256": sha256(pair / "moving.mha")}
        assert record["inputs"]["labels"][0]["path"].endswith("moving_labels.nrrd")
        assert record["model"] == {"name": "standin", "path": "standin.pt", "sha256": "ab" * 32}
        assert record["measures"]["tre"]["count"] == len(record["measures"]["tre"]["landmarks"]) == 4
        assert record["measures"]["dice"][0]["labels"][0]["label"] == 5
        assert record["timings_s"].keys() >= {"read", "align", "network"}

    def test_recorded_command_repeats_the_run_bit_by_bit(self, command, pair, tmp_path, monkeypatch):
        command("--threads", "1", "--alignment", "affine", "--memory-limit", "3.5", *extras_of(pair))
        first = contents(tmp_path / "run")
        record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
        words = shlex.split(record["command"])
        monkeypatch.chdir("/")
        assert words[0] == "robustdir"
        assert main(words[1:]) == 0
        assert contents(tmp_path / "run") == first
        assert json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["command"] == record["command"]


class TestRefusals:
    """One line on stderr that names the file or option, exit code 2, nothing written."""

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--preset", "lung"], "--preset lung"),
            (["--alignment", "some"], "--alignment some"),
            (["--device", "tpu"], "--device tpu"),
            (["--model", "nonesuch"], "nonesuch"),
            (["--threads", "0"], "--threads 0"),
            (["--threads", "1000000000"], "--threads 1000000000"),
            (["--memory-limit", "-1"], "--memory-limit -1"),
            (["--memory-limit", "nan"], "--memory-limit nan"),
            (["--memory-limit", "0.0001"], "not enough memory"),
            (["--fixed-mask", "{}/empty.nrrd"], "--fixed-mask: the mask is empty"),
            (["--fixed-mask", "{}/nothing.nrrd"], "nothing.nrrd"),
            (["--fixed-landmarks", "{}/fixed.csv"], "--moving-landmarks"),
            (["--fixed-landmarks", "{}/fixed.csv", "--moving-landmarks", "{}/three.csv"], "3 landmarks do not pair"),
            (["--fixed-landmarks", "{}/outside.csv", "--moving-landmarks", "{}/moving.csv"], "4 of 4 landmarks lie"),
            (["--fixed-labels", "{}/fixed_labels.nrrd"], "--fixed-labels"),
        ],
    )  # fmt: skip
    def test_options(self, command, pair, tmp_path, capsys, words, message):
        assert command(*(word.format(pair) for word in words)) == 2
        self.check(capsys, message, tmp_path)

    @pytest.mark.parametrize(
        ("images", "words", "message"),
        [
            ({"moving": "missing.nii"}, [], "missing.nii does not exist"),
            ({"fixed": "broken.nii.gz"}, [], "broken.nii.gz"),
            ({"moving": "away.mha"}, ["--alignment", "none"], "share no space"),
        ],
        ids=["missing", "broken", "apart"],
    )
    def test_images(self, command, tmp_path, capsys, images, words, message):
        assert command(*words, **images) == 2
        self.check(capsys, message, tmp_path)

    def check(self, capsys, message: str, folder: Path) -> None:
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not os.listdir(folder)

    def test_an_old_run_needs_overwrite(self, command, tmp_path, capsys):
        assert command(*QUICK) == 0
        before = sha256(tmp_path / "run")
        assert command(*QUICK) == 2
        assert "--overwrite" in capsys.readouterr().err
        assert sha256(tmp_path / "run") == before
        assert command(*QUICK, "--overwrite") == 0


def test_hounsfield_preset_on_other_data_warns(command, capsys):
    assert command("--preset", "lung-ct", *QUICK) == 0
    assert "warning: the fixed image does not look like CT" in capsys.readouterr().out


def test_help_names_every_preset_and_alignment(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["register", "--help"])
    told = capsys.readouterr().out
    assert all(name in told for name in (*PRESETS, *KINDS))


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from RobustDIRLib.cli import main\n"
        "try: main(['register', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'SimpleITK', 'numpy')))"
    )
    library = str(Path(model_file.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": library}, capture_output=True)
    assert done.returncode == 0


class TestInputsAndOutputs:
    """A run never replaces what it reads, by whatever name, and of two into one folder one is refused."""

    def check(self, command, capsys, out, given, *words, **images):
        before = sha256(given)
        assert command("--overwrite", *QUICK, *words, **images) == 2
        assert "which is read" in capsys.readouterr().err
        assert sha256(given) == before

    @pytest.mark.parametrize("way", ["itself", "link in the folder", "link to the folder", "hard link"])
    @pytest.mark.parametrize("role", ["fixed", "moving", "--labels", "--fixed-mask"])
    def test_an_input_in_the_folder_under_a_results_name(self, command, pair, tmp_path, capsys, role, way):
        out = tmp_path / "run"
        out.mkdir()
        source = {"fixed": "fixed.nii.gz", "--fixed-mask": "fixed_mask.nrrd"}.get(role, "moving.mha")
        image = read_image(pair / source)
        inside = out / ("warped_labels.nii.gz" if role == "--labels" else "warped.nii.gz")
        elsewhere = tmp_path / "elsewhere.nii.gz"
        array = image.array if role in ("fixed", "moving") else (image.array > 0.5).astype(np.uint8)
        write_image(elsewhere if "link" in way and way != "link to the folder" else inside, Image(array, image.grid))
        given = inside
        if way == "link in the folder":
            inside.symlink_to(elsewhere)
            given = elsewhere
        elif way == "hard link":
            os.link(elsewhere, inside)
            given = elsewhere
        elif way == "link to the folder":
            (tmp_path / "way").symlink_to(out)
            given = tmp_path / "way" / inside.name
        if role.startswith("--"):
            self.check(command, capsys, out, inside, role, str(given))
        else:
            self.check(command, capsys, out, inside, **{role: given})

    def test_a_model_among_the_results(self, command, tmp_path, capsys):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "transform.h5").write_bytes(b"weights")
        self.check(command, capsys, tmp_path, tmp_path / "run" / "transform.h5", "--model",
                   str(tmp_path / "run" / "transform.h5"))  # fmt: skip

    def test_inputs_beside_the_results_stay(self, pair, tmp_path):
        """The folder above the inputs, or theirs, is as good as any, as long as no name is taken twice."""
        for name in ("fixed.nii.gz", "moving.mha"):
            (tmp_path / name).write_bytes((pair / name).read_bytes())
        before = [sha256(tmp_path / name) for name in ("fixed.nii.gz", "moving.mha")]
        words = ["register", str(tmp_path / "fixed.nii.gz"), str(tmp_path / "moving.mha"), *QUICK]
        for _ in range(2):
            assert main([*words, "-o", str(tmp_path), "--overwrite"]) == 0
        assert [sha256(tmp_path / name) for name in ("fixed.nii.gz", "moving.mha")] == before

    @pytest.mark.parametrize("name", ["", " "])
    def test_an_empty_name_is_no_folder(self, pair, tmp_path, monkeypatch, capsys, name):
        monkeypatch.chdir(tmp_path)
        assert main(["register", str(pair / "fixed.nii.gz"), str(pair / "moving.mha"), "-o", name]) == 2
        assert capsys.readouterr().err == "robustdir: --output is empty; give it a value or leave it out.\n"
        assert not os.listdir(tmp_path)

    @pytest.mark.parametrize("words", [["pretrain", "x.json"], ["synthesize"], ["demo"], ["evaluate", "x"]])
    def test_nor_for_any_other_command(self, tmp_path, monkeypatch, capsys, words):
        monkeypatch.chdir(tmp_path)
        assert main([*words, "-o", ""]) == 2
        assert "--output is empty" in capsys.readouterr().err
        assert not os.listdir(tmp_path)

    def test_a_second_run_into_the_folder_is_refused_at_once(self, command, tmp_path, capsys):
        with locked(tmp_path / "run", Rank.alone()):
            for words in ([], ["--overwrite"]):
                assert command(*QUICK, *words) == 2
                assert "another run is at work in this folder" in capsys.readouterr().err
        assert not os.listdir(tmp_path)
        assert command(*QUICK) == 0
        assert ".running" not in os.listdir(tmp_path / "run")


def test_every_option_is_in_the_recorded_command(command, pair, tmp_path, monkeypatch):
    """From a folder where none of the relative names leads anywhere; a file called as a model is no model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "generic").write_text("no model")
    odd = "with blank, 'quote' and ü.csv"
    (pair / odd).write_bytes((pair / "fixed.csv").read_bytes())
    relative = [os.path.relpath(pair / name) for name in ("fixed_mask.nrrd", "moving_mask.nrrd", odd, "moving.csv")]
    masks = ["--fixed-mask", relative[0], "--moving-mask", relative[1], "--blank-outside"]
    points = ["--fixed-landmarks", relative[2], "--moving-landmarks", relative[3]]
    assert command("--threads", "1", *QUICK, "--preset", "brain-mri", *masks, *points) == 0
    first = contents_without_labels(tmp_path / "run")
    recorded = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["command"]
    words = shlex.split(recorded)[1:]
    assert "--blank-outside" in words
    assert words[words.index("--model") + 1] == "generic"
    words[words.index("--output") + 1] = str(tmp_path / "again")
    monkeypatch.chdir("/")
    assert main(words) == 0
    assert contents_without_labels(tmp_path / "again") == first


def contents_without_labels(folder: Path) -> list[str]:
    return [sha256(folder / name) for name in ("warped.nii.gz", "displacement.nii.gz", "jacobian.nii.gz")]


def test_no_option_that_matters_is_left_out_of_the_recorded_command(monkeypatch):
    """Whatever options there will be: each is spelt out, once it is given another value than its default."""
    parser = argparse.ArgumentParser()
    register_command.add_parser(parser.add_subparsers())
    actions = parser.parse_args(["register", "a", "b", "-o", "c"])._options[1]
    given, flags = [], []
    for action in actions:
        if not action.option_strings or action.dest in ("output", "overwrite"):
            continue
        flag = max(action.option_strings, key=len)
        flags.append(flag)
        value = action.choices[-1] if action.choices else "7"
        given += [flag] if action.nargs == 0 else [flag, str(value)]
    args = parser.parse_args(["register", "a", "b", "-o", "c", *given])
    words = shlex.split(repeating_command(args, paths=("fixed", "moving", "output")))
    assert set(flags) <= set(words)
    assert {"--blank-outside", "--threads", "--memory-limit", "--labels"} <= set(flags)
    assert parser.parse_args(words[1:]).threads == 7
