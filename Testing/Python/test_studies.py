"""Studies: every run once, going on where they were cut off, and tables with the paper's numbers beside ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cohort_cases import measured_here
from finetuning_cases import NETWORK, decathlon, paired
from RobustDIRLib.cli import main
from RobustDIRLib.cohort import figures, showing, task
from RobustDIRLib.configuration import from_dict, read_json
from RobustDIRLib.errors import InputError
from RobustDIRLib.studies.catalogue import STUDIES, open_study
from RobustDIRLib.studies.evaluations import _published
from RobustDIRLib.studies.study import Study, StudyRun, carry_out, rows_of
from RobustDIRLib.studies.tables import grouped, markdown
from RobustDIRLib.training.diary import read_records

pytestmark = pytest.mark.usefixtures("few_synthetic_pairs")
RECIPES = Path(__file__).parents[2] / "Recipes" / "studies"
FINETUNE = {
    "initial": None,
    "network": NETWORK,
    "alignment": "centre",
    "precision": "fp32",
    "threads": 1,
    "epochs": 1,
    "split": {"shares": [0.34, 0.33, 0.33]},
}


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decathlon(tmp_path_factory.mktemp("organs"))


@pytest.fixture(scope="module")
def breaths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paired(tmp_path_factory.mktemp("breaths"))


def _settings(folder: Path, content: dict[str, Any]) -> Path:
    file = folder / "settings.json"
    file.write_text(json.dumps(content))
    return file


def _study(done: list[str], die_at: str = "", settings: int = 0) -> Study:
    """Three runs that note their work, one of which may die."""

    def work(name: str, folder: Path) -> Iterator[dict[str, Any]]:
        folder.mkdir(parents=True, exist_ok=True)
        done.append(name)
        yield {"kind": "step"}
        if name == die_at:
            raise KeyboardInterrupt

    runs = [
        StudyRun(n, {"arm": n[0]}, lambda f, n=n: work(n, f), lambda f, n=n: {"x": float(n[1])})
        for n in ("a1", "a3", "b2")
    ]
    return Study("toy", {"n": settings}, runs, lambda rows, folder: (folder / "seen").write_text(str(len(rows))))


def test_a_study_that_was_cut_off_goes_on_with_what_is_left(tmp_path: Path) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        list(carry_out(_study(done, die_at="a3"), tmp_path))
    assert (tmp_path / "seen").read_text(encoding="utf-8") == "1"
    list(carry_out(_study(done), tmp_path))
    assert done == ["a1", "a3", "a3", "b2"]
    assert [row["x"] for row in rows_of(_study(done), tmp_path)] == [1.0, 3.0, 2.0]
    with pytest.raises(InputError, match="other settings"):
        list(carry_out(_study(done, settings=1), tmp_path))


def test_rows_are_grouped_by_their_labels_and_shown_beside_the_paper() -> None:
    rows = [{"arm": "a", "n": 10, "x": v} for v in (1.0, 5.0, 2.0)] + [{"arm": "b", "n": 10, "x": None}]
    table = grouped(rows, ("arm", "n"), ("x",))
    assert table[0]["x"] == {"median": 2.0, "min": 1.0, "max": 5.0} and table[0]["runs"] == 3
    assert "x" not in table[1]
    text = markdown(table, {"arm": "training", "n": "N", "x": "X"}, {("a", 10): "1.5 mm"})
    assert "| a | 10 | 2 (1-5) | 1.5 mm |" in text and "| b | 10 |  |  |" in text


def test_efficiency_trains_every_arm_and_draws_the_figure(organs: Path, tmp_path: Path) -> None:
    content = {
        "finetune": {**FINETUNE, "dataset": str(organs)},
        "sizes": [2, 50],
        "seeds": 1,
        "arms": ["scratch", "scratch + augmentation"],
    }
    study = open_study("efficiency", _settings(tmp_path, content), tmp_path / "out")
    records = list(carry_out(study, tmp_path / "out"))
    assert len([r for r in records if r["kind"] == "result"]) == len(study.runs) == 2  # 50 subjects are not there
    rows = json.loads((tmp_path / "out" / "rows.json").read_text(encoding="utf-8"))
    assert {row["arm"] for row in rows} == {"scratch", "scratch + augmentation"}
    assert all("dice" in row and "dice_before" not in row and row["curve"] for row in rows)
    ran = [read_json(tmp_path / "out" / "runs" / run.name / "run.json") for run in study.runs]
    assert [r["augmentation"]["noise"] for r in ran] == [0.0, 0.5] and all(r["split"]["limit"] == 2 for r in ran)
    assert all((tmp_path / "out" / name).stat().st_size > 5000 for name in ("efficiency.png", "curves.png"))
    assert "| scratch | 2 | 1 |" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["efficiency", "shapes"])
def test_a_study_goes_on_that_was_killed_before_the_first_checkpoint_of_a_run(
    organs: Path, tmp_path: Path, name: str
) -> None:
    finetune = {**FINETUNE, "dataset": str(organs)}
    training = {"network": NETWORK, "pairs": {"side": 16, "reduction": 2}, "steps": 2, "workers": 0, "log_every": 1}
    content = {
        "efficiency": {"finetune": finetune, "sizes": [2], "seeds": 1, "arms": ["scratch"]},
        "shapes": {"training": {**training, "validation_pairs": 0}, "maps": 1, "side": 16},
    }[name]
    study = replace(full := open_study(name, _settings(tmp_path, content), tmp_path / "out"), runs=full.runs[:1])
    for record in carry_out(study, tmp_path / "out"):
        if record["kind"] in ("epoch", "step"):
            break
    assert not list((tmp_path / "out").rglob("checkpoint.pt"))
    assert list(carry_out(study, tmp_path / "out"))[-1]["kind"] == "result"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a b", "c", "a b"), "name everything that is compared once"),
        (("OASIS", "oasis"), "once"),
        (("../../x",), "slashes"),
        (("..",), "folder's name"),
        ((), "no run"),
    ],
)
def test_runs_that_would_share_a_folder_or_leave_the_studys_are_refused(names: tuple[str, ...], words: str) -> None:
    """Else the second of two data sets of one name would be given the first one's figures."""
    runs = [StudyRun(name, {}, lambda folder: iter(()), lambda folder: {}) for name in names]
    with pytest.raises(InputError, match=words):
        Study("toy", {}, runs, lambda rows, folder: None)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("supervision", {"finetune": {}, "losses": {"x": 5}}, "losses.x must be weights by name"),
        ("supervision", {"finetune": {}, "seeds": 0}, "seeds must be at least 1"),
        ("shapes", {"training": {}, "maps": 0}, "maps, side and seeds"),
        ("shapes", {"training": {}, "judged_on": [{"name": "a", "dataset": "b"}] * 2}, "a name of its own"),
        ("shapes", {"training": {}, "judged_on": [{"name": "a", "dataset": "b", "pairs": -1}]}, "pairs must be"),
    ],
)
def test_settings_that_no_study_can_be_made_of_are_refused(
    tmp_path: Path, name: str, content: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        open_study(name, _settings(tmp_path, content), tmp_path / "out")


def test_a_damaged_result_is_a_sentence(tmp_path: Path) -> None:
    list(carry_out(_study([]), tmp_path))
    file = tmp_path / "runs" / "a3" / "result.json"
    written = file.read_text(encoding="utf-8")
    assert rows_of(_study([]), tmp_path)[1] == {"arm": "a", "x": 3.0}
    for text in ("[1]", "{", written.replace("3.0", "2.0"), written.replace("3.0", "Infinity")):
        file.write_text(text)
        with pytest.raises(InputError, match="a3/result.json"):
            list(carry_out(_study([]), tmp_path))


@pytest.mark.parametrize("text", ["", '{"kind": "end"', "[1]", '{"kind": 5}', '{"step": 1}'])
def test_records_that_are_damaged_are_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "records.jsonl").write_text('{"kind": "start"}\n' * bool(text) + text)
    with pytest.raises(InputError, match="records.jsonl"):
        read_records(tmp_path / "records.jsonl")


def test_supervision_compares_losses_on_the_same_runs(organs: Path, tmp_path: Path) -> None:
    losses = {"Dice": {"dice": 1.0}, "NMI": {"nmi": 1.0}}
    content = {"finetune": {**FINETUNE, "dataset": str(organs)}, "losses": losses}
    study = open_study("supervision", _settings(tmp_path, content), tmp_path / "out")
    list(carry_out(study, tmp_path / "out"))
    runs = [read_json(tmp_path / "out" / "runs" / run.name / "run.json")["loss"] for run in study.runs]
    assert [(r["dice"], r["nmi"]) for r in runs] == [(1.0, 0.0), (0.0, 1.0)]
    assert "NLST 1.9 mm" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_runs_of_a_study_keep_to_the_people_of_its_first_one(tmp_path: Path) -> None:
    organs, out = decathlon(tmp_path / "organs", 9), tmp_path / "out"
    whole = json.loads((organs / "dataset.json").read_text())
    (organs / "dataset.json").write_text(json.dumps({**whole, "training": whole["training"][:6]}))
    finetune = {**FINETUNE, "dataset": str(organs), "split": {"shares": [0.34, 0.33, 0.33], "seed": 5}}
    content = {"finetune": finetune, "sizes": [2, 3], "seeds": 2, "arms": ["scratch"]}
    study = open_study("efficiency", _settings(tmp_path, content), out)
    list(carry_out(replace(study, runs=study.runs[:1]), out))
    (organs / "dataset.json").write_text(json.dumps(whole))
    study = open_study("efficiency", _settings(tmp_path, content), out)
    list(carry_out(study, out))
    splits = [read_json(out / "runs" / run.name / "split.json") for run in study.runs]
    assert [run.labels["pairs"] for run in study.runs] == [2, 2]  # as many as there were
    assert splits[0] == splits[1]
    assert [split["test"] for split in splits] == [read_json(out / "split.json")["test"]] * 2


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("shapes", [("spheres", {}), ("rectangles", {}), ("medium", {}), ("small", {}), ("large", {})]),
        ("intensities", [("medium", {"contrast": "static"}), ("medium", {"contrast": "dynamic"}), ("medium", {})]),
    ],
)
def test_pretraining_studies_differ_in_what_they_study_alone(
    breaths: Path, tmp_path: Path, name: str, changes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {
        "network": NETWORK,
        "pairs": {"side": 16, "reduction": 2},
        "steps": 1,
        "workers": 0,
        "threads": 1,
        "validation_pairs": 1,
    }
    judged = [{"name": "breaths", "dataset": str(breaths), "pairs": 1, "alignment": "centre"}]
    content = {"training": training, "maps": 1, "side": 24, "judged_on": judged}
    study = open_study(name, _settings(tmp_path, content), tmp_path / "out")
    assert len(study.runs) == len(changes)
    list(carry_out(study, tmp_path / "out"))
    for run, (kind, _) in zip(study.runs, changes, strict=True):
        bank = read_json(tmp_path / "out" / "runs" / run.name / "bank" / "bank.json")
        assert bank["labels"]["kinds"] == [kind]
    rows = json.loads((tmp_path / "out" / "rows.json").read_text(encoding="utf-8"))
    assert all(row["breaths_tre_mm"] > 0 and row["breaths_tre_mm_linear"] > 0 for row in rows)
    if name == "intensities":
        configs = [read_json(tmp_path / "out" / "runs" / run.name / "training" / "run.json") for run in study.runs]
        drawn = [c["pairs"]["intensity"] for c in configs]
        assert [d["contrast"] for d in drawn] == ["static", "dynamic", "dynamic"]
        assert drawn[1]["sigma"] == [0.02, 0.1] and drawn[2]["sigma"] == [0.05, 0.2]
    assert "mm" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["robustness", "dirlab"])
def test_evaluations_are_told_beside_the_paper(
    breaths: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "measured", measured_here)  # test_timing.py holds what processes of their own give
    if name == "dirlab":  # the other one draws all there is
        monkeypatch.setattr(figures, "available", lambda: False)
        monkeypatch.setattr(showing, "keep_picture", lambda *_: [])
    content = {
        "methods": ["none"],
        "data_sets": [{"name": "dirlab-4dct", "dataset": str(breaths), "pairs": 2}],
        "threads": 1,
    }
    study = open_study(name, _settings(tmp_path, content), tmp_path / "out")
    list(carry_out(study, tmp_path / "out"))
    text = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    if name == "robustness":
        assert "| dirlab-4dct | none |" in text and "1.3 mm (0.9-1.9)" in text
    else:
        assert "| case0 |" in text and "| case1 |" in text and "1.24 / 0.99" in text


@pytest.mark.parametrize(
    ("case", "published"),
    [("case1", "1.24 / 0.99"), ("case10_T00", "1.47 / 1.05"), ("copd4", "6.22"), ("4DCT-02", "1.15 / 0.98"), ("x", "")],
)
def test_published_figures_are_those_of_the_case(case: str, published: str) -> None:
    assert _published(case) == published


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.json")), ids=lambda file: file.stem)
def test_settings_that_come_along_are_valid(file: Path) -> None:
    name = next(n for n in STUDIES if n in file.stem or n.replace("-", "_") in file.stem)
    from_dict(STUDIES[name].settings, read_json(file), file.name)


def test_the_command_lists_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in STUDIES)
    assert main(["study", "nothing", str(_settings(tmp_path, {})), "-o", str(tmp_path / "x")]) == 2
    assert main(["study", "dirlab"]) == 2


def test_every_way_of_training_stands_in_the_legend_whichever_panel_shows_it(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    from RobustDIRLib.studies.finetuning import _draw_curves, _draw_efficiency

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: (drawn.append(figure), path.write_bytes(b"")))
    curve = [{"epoch": epoch, "dice": 0.5 + 0.1 * epoch} for epoch in range(3)]
    held = [("fine-tuned", 5), ("scratch + augmentation", 5), ("scratch", 75)]
    rows = [
        {"arm": arm, "pairs": size, "seed": 0, "dice": 0.7, "dice_before": 0.6, "curve": curve} for arm, size in held
    ]
    _draw_efficiency(rows, tmp_path / "efficiency.png")
    _draw_curves(rows, tmp_path / "curves.png")
    shown = [[text.get_text() for figure_legend in figure.legends for text in figure_legend.texts] for figure in drawn]
    arms = ["fine-tuned", "scratch", "scratch + augmentation"]
    assert shown == [[*arms, "start, not fine-tuned"], arms]
    assert not any(ax.get_legend() for figure in drawn for ax in figure.axes)  # it would cover what is drawn
