"""`robustdir evaluate`: what it prints, how it ends, and that its command repeats it. On a real data set's folders."""

import json
import os
import shlex
from pathlib import Path

import pytest

import cohort_cases as cases
from RobustDIRLib.cli import evaluate as command
from RobustDIRLib.cli import evaluate_screens, main
from RobustDIRLib.cli.repeating import repeating_command
from RobustDIRLib.cohort import run as running
from RobustDIRLib.cohort.results import Key
from RobustDIRLib.cohort.task import Ended
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.runner.history import History


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    cases.write_dataset(folder, 2)
    return folder


@pytest.fixture
def evaluating(dataset, tmp_path, monkeypatch, capsys):
    """Run the command; gives its exit code and what it printed."""
    cases.stand_in(monkeypatch)
    monkeypatch.setattr(running, "open_dataset", open_dataset)

    def run(*words: str, methods: str = "still,good"):
        code = main(
            ["evaluate", str(dataset), "-o", str(tmp_path / "out"), "--methods", methods, "--worst", "0", *words]
        )
        return code, *capsys.readouterr()

    return run


def test_a_line_a_result_with_time_left_and_a_last_one(evaluating, tmp_path):
    code, out, err = evaluating()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "4 results to make"
    assert lines[1].startswith("[1/4, about ")
    assert "case0, still: TRE, mean 3.61 mm (3.61 before), 0.2 s" in lines[1]
    assert lines[4].startswith("[4/4]  case1, good: TRE, mean ")
    assert lines[-2] == f"done: 4 results; tables, figures and summary.json in {tmp_path / 'out'}"
    assert lines[-1] == f"as one HTML file: robustdir report {tmp_path / 'out'}"


def test_methods_stand_beside_each_other_at_the_end(evaluating, tmp_path):
    _, out, _ = evaluating(methods="still,refusing,good")
    lines = out.splitlines()
    (place,) = [k for k, line in enumerate(lines) if line.startswith("median over subjects")]
    words = [line.split() for line in lines[place : place + 4]]
    assert " ".join(words[0][3:]) == "TRE, mean, mm Folding, % SDlogJ Time, s Peak memory, GiB"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["summary"]
    found = {(one["method"], one["measure"]): one["median"] for one in summary}
    for row, method in zip(words[1:], ("before", "still", "good"), strict=True):
        assert row[:2] == [method, f"{found[method, 'tre_mean_mm']:.2f}"]
    assert words[3][1:] == ["0.00", "0.000", "0.000", "0.2", "0.25"]
    assert len(lines[place]) == len(lines[place + 2]) == len(lines[place + 3]) > len(lines[place + 1])
    assert lines[place + 4] == ""  # a method without any result has no row


def test_programs_are_told_in_json_lines(evaluating):
    code, out, _ = evaluating("--progress", "json", methods="refusing,good")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0  # it has come to its end, whatever methods did
    assert [r["kind"] for r in records if r["kind"] != "note"] == ["start", *["pair"] * 4, "end"]
    pairs = [r for r in records if r["kind"] == "pair"]
    assert [(r["pair"], r["pairs"], r["case"], r["method"]) for r in pairs] == [
        (1, 4, "case0", "refusing"), (2, 4, "case0", "good"), (3, 4, "case1", "refusing"), (4, 4, "case1", "good"),
    ]  # fmt: skip
    assert pairs[0]["reason"] == "the pair is too hard; give another."
    assert "reason" not in pairs[1]
    assert pairs[2]["seconds_per_step"] >= 0
    assert records[-1] == {"kind": "end", "step": 4, "failed": 2}
    history = History()
    for record in records:
        history.add(record)
    assert (history.step, history.steps, history.final) == (4, 4, "end")
    code, out, _ = evaluating("--progress", "json", methods="good")
    assert json.loads(out.splitlines()[0]) == {"kind": "start", "step": 2, "steps": 2}  # all of it is there


def test_what_is_finished_is_kept_and_said(evaluating):
    evaluating()
    code, out, _ = evaluating()
    assert code == 0
    assert out.startswith("0 results to make; 4 are finished and kept\n")


def test_failures_are_said_where_they_happen_and_counted_at_the_end(evaluating):
    code, out, err = evaluating(methods="refusing,still")
    assert code == 1
    assert "failed: case1, refusing: the pair is too hard; give another.\n" in out
    assert err == "failed: 2 results; pairs.csv says why\n"
    assert "done: 2 results" in out


def test_recorded_command_repeats_the_evaluation(evaluating, tmp_path, monkeypatch, capsys):
    words = [
        "--perturb",
        "inversion=0.5,1",
        "--seed",
        "3",
        "--limit",
        "1",
        "--perturb-images",
        "moving",
        "--threads",
        "2",
        "--masks",
        "use",
    ]
    evaluating(*words)
    recorded = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["command"]
    monkeypatch.chdir("/")
    assert main(shlex.split(recorded)[1:]) == 0
    assert capsys.readouterr().out.startswith("0 results to make; 6 are finished and kept\n")


def test_an_interrupted_run_says_how_to_go_on(evaluating, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "crew", interrupted)
    code, out, err = evaluating()
    assert code == 130
    assert out.splitlines()[-1] == "what is finished is kept; the same command goes on from there"
    assert err == "robustdir: interrupted\n"


class TestAggregate:
    def test_sums_up_once_more(self, evaluating, tmp_path, capsys):
        evaluating()
        before = (tmp_path / "out" / "pairs.csv").read_bytes()
        for path in (tmp_path / "out").glob("*.csv"):
            path.unlink()
        assert main(["evaluate", "--aggregate", str(tmp_path / "out")]) == 0
        assert (tmp_path / "out" / "pairs.csv").read_bytes() == before
        assert "done: 4 results" in capsys.readouterr().out

    def test_missing_results_are_counted(self, evaluating, tmp_path, capsys):
        evaluating()
        Key("case1", "good").path(tmp_path / "out").unlink()
        assert main(["evaluate", "--aggregate", str(tmp_path / "out")]) == 1
        assert "1 of 4 results are missing" in capsys.readouterr().out

    def test_waits_for_no_run_but_refuses_beside_one(self, evaluating, tmp_path, capsys):
        evaluating()
        with locked(tmp_path / "out", Rank.alone()):
            assert main(["evaluate", "--aggregate", str(tmp_path / "out")]) == 2
        assert "another run is at work" in capsys.readouterr().err

    @pytest.mark.parametrize("words", [["data"], ["-o", "x"]])
    def test_stands_alone(self, words, tmp_path, capsys):
        assert main(["evaluate", *words, "--aggregate", str(tmp_path)]) == 2
        assert "--aggregate FOLDER: give it alone" in capsys.readouterr().err

    def test_needs_an_evaluation(self, tmp_path, capsys):
        assert main(["evaluate", "--aggregate", str(tmp_path)]) == 2
        assert "holds no evaluation" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--jobs", "0"], "--jobs 0"),
            (["--jobs", "2", "--scheduler", "tcp://there:8786"], "--jobs 2"),
            (["--threads", "0"], "--threads 0"),
            (["--limit", "0"], "--limit 0"),
            (["--worst", "-1"], "--worst -1"),
            (["--methods", " , "], "--methods"),
            (["--methods", "nonesuch"], "--methods nonesuch"),
            (["--perturb", "fog"], "--perturb fog"),
            (["--perturb-images", "all"], "--perturb-images all"),
            (["--kind", "nonesuch"], "--kind nonesuch"),
            (["--masks", "inside"], "--masks inside"),
            (["--spacing", "coarse"], "--spacing coarse"),
            (["--device", "tpu"], "--device tpu"),
            (["--device", "tpu", "--scheduler", "tcp://there:8786"], "--device tpu"),
            (["--case", "a"], "--case goes with --show"),
            (["--hand-over", "a"], "--hand-over goes with --show"),
        ],
    )
    def test_options(self, evaluating, tmp_path, words, message):
        code, _, err = evaluating(*words)
        assert code == 2
        assert message in err
        assert err.count("\n") == 1
        assert not (tmp_path / "out").exists()

    def test_data_set_and_folder_are_needed(self, dataset, capsys):
        assert main(["evaluate"]) == 2
        assert main(["evaluate", str(dataset)]) == 2
        err = capsys.readouterr().err
        assert "DATASET is missing" in err
        assert "--output is missing" in err

    def test_output_that_is_a_file(self, dataset, evaluating, tmp_path):
        (tmp_path / "out").write_text("")
        code, _, err = evaluating()
        assert code == 2
        assert "--output" in err


class TestScreen:
    def test_time_left_is_reckoned_from_the_pace(self, monkeypatch, capsys):
        monkeypatch.setattr("time.monotonic", lambda: moment[0])
        moment, keys = [100.0], [Key(f"c{n}", "still") for n in range(4)]
        screen = evaluate_screens.Screen()
        screen.start(keys, [])
        for seconds, words in (
            (30.0, "[1/4, about 2 min left]"),
            (50.0, "[2/4, about 80 s left]"),
            (1.0, "[3/4, about 27 s left]"),
        ):
            moment[0] += seconds
            screen.ended(Ended(keys[0], 1.0, "", {"wall_s": 1.0}))
            assert capsys.readouterr().out.splitlines()[-1].startswith(words)

    def test_a_bar_on_a_terminal_leaves_no_trace_behind_lines(self, evaluating, monkeypatch):
        class Live(command.Screen):
            def __init__(self):
                super().__init__()
                self.live = True

        monkeypatch.setattr(command, "Screen", Live)
        _, out, _ = evaluating(methods="refusing,still")
        bars = [part for part in out.split("\r\x1b[K") if part.startswith(("#", "."))]
        assert bars[0] == "." * 24 + " [0/4]"
        assert bars[-1] == "#" * 24 + " [4/4]"
        assert "\r\x1b[Kfailed: case0, refusing" in out
        assert "\r\x1b[K" in out[out.rindex("[4/4]") :]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (95, "2 min"), (3600, "60 min"), (7500, "2 h 5 min")]
)
def test_durations_in_words(seconds, words):
    assert evaluate_screens.in_words(seconds) == words


def test_help_names_the_default_methods(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "none,linear,generic" in capsys.readouterr().out


def test_only_pairs_of_the_subjects_asked_for_and_the_command_says_so(evaluating, dataset, tmp_path, monkeypatch):
    (tmp_path / "split.json").write_text(json.dumps({"test": [open_dataset(dataset).cases[1].subject]}))
    monkeypatch.chdir(tmp_path)
    code, out, _ = evaluating("--subjects", "split.json")
    assert code == 0
    assert out.splitlines()[0] == "2 results to make"
    assert "case1, still" in out and "case0" not in out
    recorded = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["command"]
    assert f"--subjects {tmp_path / 'split.json'}" in recorded


def test_paths_in_the_command_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = command_arguments("data", "-o", "out")
    words = shlex.split(repeating_command(arguments, paths=("dataset", "output")))
    assert str(Path(tmp_path, "data")) in words
    assert str(Path(tmp_path, "out")) in words


class TestCommandThatRepeats:
    """Run from another folder into another one it gives the same figures."""

    OPTIONS = (
        ("--kind", "folders"),
        ("--split", "training"),
        ("--subjects", "/lists/subjects.json"),
        ("--limit", "1"),
        ("--perturb", "inversion=0.5,1"),
        ("--perturb", "low-dose=5"),
        ("--perturb-images", "moving"),
        ("--masks", "ignore"),
        ("--spacing", "3.5"),
        ("--seed", "7"),
        ("--worst", "0"),
        ("--jobs", "2"),
        ("--scheduler", "tcp://there:8786"),
        ("--threads", "3"),
        ("--device", "cpu"),
    )

    def test_every_option_is_in_it(self, dataset, tmp_path):
        given = [word for option in self.OPTIONS for word in option]
        arguments = command_arguments(str(dataset), "-o", str(tmp_path / "out"), "--methods", "still,good", *given)
        words = shlex.split(command._command(arguments))
        again = command_arguments(*words[2:])
        assert all(getattr(again, name) == value for name, value in vars(arguments).items() if name != "_options")

    def test_no_option_was_forgotten_here(self):
        """A new option has to be repeated, or to be named here."""
        known = {name.removeprefix("--").replace("-", "_") for name, _ in self.OPTIONS}
        names = {name for name in vars(command_arguments("data", "-o", "x")) if not name.startswith("_")}
        for_programs = {"progress", "show", "case", "hand_over"}
        assert names - known - for_programs == {"dataset", "output", "aggregate", "methods", "redo"}

    def test_a_scheduler_is_in_it_and_one_thread(self):
        words = shlex.split(command._command(command_arguments("data", "-o", "out", "--scheduler", "tcp://there:8786")))
        assert words[words.index("--scheduler") + 1] == "tcp://there:8786"
        assert words[words.index("--threads") + 1] == "1"

    def test_figures_are_the_same(self, evaluating, tmp_path, monkeypatch, capsys):
        evaluating("--perturb", "low-dose=5", "--seed", "3", "--limit", "1", "--spacing", "3.5", methods="still,fair")
        words = shlex.split(json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))["command"])
        words[words.index("--output") + 1] = str(tmp_path / "again")
        monkeypatch.chdir("/")
        assert main(words[1:]) == 0
        first, second = (
            {
                path.relative_to(tmp_path / name): json.loads(path.read_text(encoding="utf-8"))["result"]
                for path in results
            }
            for name in ("out", "again")
            for results in [sorted((tmp_path / name / "results").rglob("*.json"))]
        )
        assert len(first) == 4
        assert {result["made_with"]["perturbation"].get("seed") for result in first.values()} == {None, 3}
        assert {result["made_with"]["spacing"] for result in first.values()} == {"3.5"}
        for path, result in first.items():
            other = second[Path("again") / path.relative_to("out")] if path not in second else second[path]
            for name in ("values", "made_with", "threads", "spacing_mm", "landmarks", "labels"):
                assert result[name] == other[name]

    def test_a_model_is_found_from_any_folder(self, tmp_path, monkeypatch):
        (tmp_path / "mine.pt").write_bytes(b"a model")
        monkeypatch.chdir(tmp_path)
        words = shlex.split(command._command(command_arguments("data", "-o", "out", "--methods", "none, mine.pt")))
        assert words[words.index("--methods") + 1] == f"none,{tmp_path / 'mine.pt'}"

    def test_a_folder_that_is_called_as_a_method_is_none(self, tmp_path, monkeypatch):
        (tmp_path / "linear").mkdir()
        monkeypatch.chdir(tmp_path)
        words = shlex.split(command._command(command_arguments("data", "-o", "out", "--methods", "linear")))
        assert words[words.index("--methods") + 1] == "linear"

    def test_threads_that_were_not_given_are_those_that_were_taken(self, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
        words = shlex.split(command._command(command_arguments("data", "-o", "out", "--jobs", "2")))
        assert words[words.index("--threads") + 1] == "3"


def command_arguments(*words: str):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["evaluate", *words])


@pytest.mark.parametrize("name", ["pairs.csv", "landmarks.csv", "tables"])
def test_files_of_others_are_not_written_over(evaluating, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    code, _, err = evaluating()
    assert code == 2
    assert f"holds {name} of no evaluation" in err
    assert (tmp_path / "out" / name).read_text(encoding="utf-8") == "mine"


def test_an_evaluation_in_two_goes_is_repeated_by_both(evaluating, tmp_path):
    evaluating(methods="still")
    evaluating(methods="good")
    evaluating(methods="good")
    recorded = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))["command"].splitlines()
    assert [shlex.split(line)[shlex.split(line).index("--methods") + 1] for line in recorded] == ["still", "good"]
