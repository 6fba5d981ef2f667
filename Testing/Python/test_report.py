"""The report of a pair: valid and self-contained, hostile names do nothing, and what is lost or undefined says so."""

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from report_cases import HOSTILE, NAMES, STRUCTURES, make_run, parsed, words
from RobustDIRLib.cli import main
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.tolerances import DEFAULTS, Tolerances
from RobustDIRLib.io.images import Image, read_image, write_image
from RobustDIRLib.report.html import markdown, number, significant
from RobustDIRLib.report.pair import page as pair_page
from RobustDIRLib.report.pair.gather import gather
from RobustDIRLib.report.pair.report import COLUMNS
from RobustDIRLib.report.write import write_pair_report


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of inputs and a run with landmarks and labels; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    make_run(folder)
    return folder


@pytest.fixture
def a_run(made, tmp_path):
    """The run's folder, to be changed at will; its inputs are shared."""
    return shutil.copytree(made / "run", tmp_path / "run")


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    """The HTML file's text."""
    path = tmp_path_factory.mktemp("page") / "r.html"
    write_pair_report(made / "run", path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tree(page):
    return parsed(page)


def record_of(folder):
    """Without its checksum: as runs of old wrote it."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return {name: value for name, value in record.items() if name != "sha256"}


def rewrite(folder, **changes):
    (folder / "run.json").write_text(json.dumps(record_of(folder) | changes))


def html_of(folder, tmp_path, tolerances=DEFAULTS, *, pictures=False):
    """The page of a run, by default without drawing, which takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        if not pictures:
            patch.setattr(pair_page, "_pictures", lambda *_: {"images": [], "transform": [], "landmarks": []})
        write_pair_report(folder, tmp_path / "out.html", tolerances)
    return parsed((tmp_path / "out.html").read_text(encoding="utf-8"))


class TestPage:
    def test_is_valid_and_has_language_and_title(self, tree):
        assert tree.get("lang") == "en"
        assert tree.find(".//title").text == "Registration report: moving.mha registered to fixed <b>&.nii.gz"

    def test_refers_to_nothing_outside_itself(self, tree):
        for element in tree.iter():
            if not isinstance(element.tag, str):
                continue
            for attribute in ("src", "href", "action", "data", "poster", "srcset"):
                assert element.get(attribute, "data:").startswith("data:")
            assert element.tag not in ("link", "iframe", "object", "embed", "base", "a")

    def test_style_fetches_nothing(self, tree):
        assert not re.search(r"url\(|@import", tree.find(".//style").text)

    def test_policy_lets_run_only_what_we_wrote(self, tree):
        policy = tree.find(".//meta[@http-equiv='Content-Security-Policy']").get("content")
        scripts = [one for one in tree.iter("script") if one.get("type") is None]
        assert len(scripts) == 1
        for text, kind in ((scripts[0].text, "script"), (tree.find(".//style").text, "style")):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy

    def test_no_element_carries_script_or_style_of_its_own(self, tree):
        for element in tree.iter():
            assert not [name for name in element.attrib if name == "style" or name.startswith("on")]

    def test_hostile_names_are_text(self, tree):
        assert {one.get("type") for one in tree.iter("script")} == {None, "application/json"}
        assert all("alert" not in (one.text or "") for one in tree.iter("script") if one.get("type") is None)
        assert HOSTILE in [one.text for one in tree.iter("th")]  # a landmark
        assert HOSTILE in "".join(tree.find(".//pre[@class='command']").itertext())
        assert "<b>six</b>" in words(tree)
        assert "fixed <b>&.nii.gz" in words(tree)
        assert list(tree.iter("b")) == []

    def test_is_accessible(self, tree):
        ids = [one.get("id") for one in tree.iter() if one.get("id")]
        assert len(ids) == len(set(ids))
        assert all(len(one.get("alt")) > 30 for one in tree.iter("img"))
        labelled = {one.get("for") for one in tree.iter("label")} | {
            inner.get("id") for one in tree.iter("label") for inner in one.iter("input")
        }
        for one in (*tree.iter("input"), *tree.iter("textarea")):
            assert one.get("id") in labelled
        in_card = list(tree.find(".//div[@class='card']").iter("table"))
        for table in (one for one in tree.iter("table") if one not in in_card):
            assert table.find("caption") is not None
            assert {header.get("scope") for header in table.iter("th")} <= {"col", "row"}
            assert table.find(".//th") is not None
        assert all(one.get("aria-labelledby") in ids for one in tree.iter("section"))

    def test_headings_go_down_one_step_at_a_time(self, tree):
        levels = [int(one.tag[1]) for one in tree.iter() if re.fullmatch("h[1-6]", str(one.tag))]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))

    def test_shows_every_picture_as_png(self, tree):
        pictures = [base64.b64decode(one.get("src").split(",")[1]) for one in tree.iter("img")]
        assert len(pictures) == 5
        assert all(one.startswith(b"\x89PNG") for one in pictures)

    def test_says_what_it_is_and_never_calls_anything_safe(self, tree):
        assert "Research software, not a medical device." in words(tree)
        assert not re.search(r"\bsafe\b", words(tree))

    def test_has_all_the_run_says(self, tree, made):
        text, record = words(tree), record_of(made / "run")
        for entry in ("fixed", "moving", "fixed_landmarks", "moving_landmarks"):
            assert record["inputs"][entry]["sha256"] in text
        for value in (*record["versions"].values(), record["model"]["sha256"], record["command"]):
            assert value in text
        assert "Taught on nothing." in text
        assert f"{record['measures']['tre']['after_mean_mm']:.2f} mm" in text

    def test_prints_on_a4_without_cutting_rows(self, tree):
        style = tree.find(".//style").text
        assert re.search(r"@page \{\s*size: A4", style)
        assert re.search(r"tr, figure, \.keep[^}]*\{ break-inside: avoid", style)

    def test_verdicts_are_words_and_signs(self, tree):
        verdicts = [one for one in tree.iter("span") if (one.get("class") or "").startswith("verdict")]
        for one in verdicts:
            text = "".join(one.itertext())
            assert re.search("within tolerance|outside tolerance|undefined|not judged", text)
            assert text.strip()[0] in "✓✗?–"


class TestLandmarks:
    def test_come_worst_first_with_their_places(self, made):
        report, material = gather(made / "run", DEFAULTS)
        recorded = record_of(made / "run")["measures"]["tre"]["landmarks"]
        errors = [one.after for one in report.landmarks]
        assert errors == sorted((one["after_mm"] for one in recorded), reverse=True)
        for row in report.landmarks:
            k = NAMES.index(row.name)
            assert (row.before, row.linear, row.after) == tuple(
                recorded[k][key] for key in ("before_mm", "linear_mm", "after_mm")
            )
            np.testing.assert_allclose(row.point, material.points[0].points[k])

    def test_the_worst_is_where_the_transform_errs_most(self, made):
        report, material = gather(made / "run", DEFAULTS)
        worst = material.worst
        assert worst.name == report.landmarks[0].name
        assert worst.error == pytest.approx(report.landmarks[0].after, abs=1e-6)
        assert np.linalg.norm(worst.mapped - worst.moving) == pytest.approx(worst.error)

    def test_many_are_folded_away_after_the_worst(self, a_run, tmp_path):
        measures = record_of(a_run)["measures"]
        one = measures["tre"]["landmarks"][0]
        measures["tre"]["landmarks"] = [one | {"name": f"p{k}", "after_mm": k / 10} for k in range(64)]
        rewrite(a_run, measures=measures)
        tree = html_of(a_run, tmp_path)
        inside = [row.find("th").text for row in tree.find(".//details").iter("tr") if row.find("td") is not None]
        assert inside == [f"p{k}" for k in range(13, -1, -1)]


class TestStructures:
    def test_have_distances_volumes_and_folding(self, made):
        report, _ = gather(made / "run", DEFAULTS)
        rows = {row.label: row for row in report.structures}
        assert set(rows) == {1, 2, 3, 4}
        for label in (1, 2):
            recorded = next(r for r in record_of(made / "run")["measures"]["dice"][0]["labels"] if r["label"] == label)
            assert (rows[label].values["mda_mm"], rows[label].values["hd95_mm"]) == (
                recorded["mda_mm"],
                recorded["hd95_mm"],
            )
            assert rows[label].fixed_ml > 0 < rows[label].warped_ml
            assert 0 <= rows[label].folding_percent <= 100

    def test_volume_is_voxels_by_their_size(self, made):
        from RobustDIRLib.io.labels import read_labels

        fixed = read_labels(made / "in" / "fixed_labels.nrrd")
        row = gather(made / "run", DEFAULTS)[0].structures[0]
        assert row.fixed_ml == pytest.approx((fixed.array == 1).sum() * 4.9 * 3.4 * 5.3 / 1000)

    def test_labels_of_one_map_alone_are_listed_and_not_judged(self, made, tree):
        rows = {row.label: row for row in gather(made / "run", DEFAULTS)[0].structures}
        assert (rows[3].only_in, rows[4].only_in) == ("fixed", "moving")
        assert rows[3].reason == "only the fixed label map holds the label"
        assert "only the moving label map holds the label" in words(tree)


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """As `made`, without landmarks, the label maps being segmentations with names."""
    folder = tmp_path_factory.mktemp("named")
    make_run(folder, landmarks=False, named=True)
    return folder


class TestNames:
    """Structures that the fixed label map numbers otherwise are paired, shown and measured by their names."""

    def test_overlap_is_of_one_structure(self, made, named):
        by_number, by_name = (record_of(folder / "run") for folder in (made, named))
        rows = {row["label"]: row for row in by_name["measures"]["dice"][0]["labels"]}
        plain = {row["label"]: row for row in by_number["measures"]["dice"][0]["labels"]}
        assert {label: row["name"] for label, row in rows.items()} == dict(zip((1, 2, 4), STRUCTURES, strict=True))
        for label in (1, 2):
            assert rows[label]["after"] == plain[label]["after"] > 0.1
            assert rows[label]["hd95_mm"] == pytest.approx(plain[label]["hd95_mm"])
        assert rows[4]["after"] is not None
        assert any("paired by name" in sentence for sentence in by_name["warnings"])

    def test_volumes_are_of_the_structure(self, made, named):
        by_number, by_name = (
            {row.label: row for row in gather(folder / "run", DEFAULTS)[0].structures} for folder in (made, named)
        )
        for label in (1, 2):
            assert by_name[label].fixed_ml == by_number[label].fixed_ml != by_name[3 - label].fixed_ml
            assert by_name[label].folding_percent == by_number[label].folding_percent
        assert by_name[4].fixed_ml == by_number[3].fixed_ml

    def test_names_stand_in_page_and_table(self, named, tmp_path):
        assert "stone & <i>core</i> (label 4)" in words(html_of(named / "run", tmp_path))
        write_pair_report(named / "run", tmp_path / "r.csv")
        assert "map 1 label 4 (stone & <i>core</i>)" in (tmp_path / "r.csv").read_text(encoding="utf-8")


class TestLoss:
    """What was there when the run was made and is there no more, or is another one."""

    def lost(self, a_run, tmp_path, role, change):
        inputs = record_of(a_run)["inputs"]
        entry = inputs[role][0] if isinstance(inputs[role], list) else inputs[role]
        copy = tmp_path / entry["path"].rsplit("/", 1)[1]
        shutil.copy(entry["path"], copy)
        entry["path"] = str(copy)
        rewrite(a_run, inputs=inputs)
        change(copy)
        return gather(a_run, DEFAULTS)

    def test_a_changed_image_is_not_shown(self, a_run, tmp_path):
        report, material = self.lost(a_run, tmp_path, "fixed", lambda p: p.write_bytes(p.read_bytes() + b"0"))
        assert material.scene.fixed is None
        assert material.scene.before is not None
        assert [w for w in report.warnings if "Fixed image" in w and "has changed" in w]
        tree = html_of(a_run, tmp_path, pictures=True)
        assert len(list(tree.iter("img"))) == 4  # no landmark can be shown
        assert "checkerboard" not in " ".join(one.get("alt") for one in tree.iter("img"))

    @pytest.mark.parametrize("role", ["moving", "fixed_landmarks", "labels", "fixed_labels"])
    def test_a_missing_input_is_named_and_the_rest_stands(self, a_run, tmp_path, role):
        report, _ = self.lost(a_run, tmp_path, role, lambda p: p.unlink())
        assert sum("can no longer be read" in w for w in report.warnings) == 1
        html_of(a_run, tmp_path)
        assert [one.criterion.name for one in report.judgements if one.figure.value is None] == []

    @pytest.mark.parametrize("name", ["transform.h5", "displacement.nii.gz", "jacobian.nii.gz", "warped_labels.nii.gz"])
    def test_a_missing_or_cut_file_of_the_run_is_named_and_the_rest_stands(self, a_run, tmp_path, name):
        (a_run / name).write_bytes((a_run / name).read_bytes()[:200])
        report, _ = gather(a_run, DEFAULTS)
        assert [w for w in report.warnings if name in w]
        html_of(a_run, tmp_path)

    def test_without_the_warped_image_the_tables_stand(self, a_run, tmp_path):
        (a_run / "warped.nii.gz").unlink()
        text = words(html_of(a_run, tmp_path, pictures=True))
        assert "The warped image is not available" in text
        assert "largest voxel side" in text

    def test_a_run_without_any_image_is_refused(self, a_run):
        for path in a_run.glob("*.nii.gz"):
            path.unlink()
        inputs = record_of(a_run)["inputs"]
        rewrite(a_run, inputs={"moving": inputs["moving"]})
        with pytest.raises(InputError, match="holds no image that can be read"):
            gather(a_run, DEFAULTS)

    def test_a_run_made_from_python_has_no_inputs_and_says_so(self, a_run, tmp_path):
        record = record_of(a_run)
        (a_run / "run.json").write_text(json.dumps({k: v for k, v in record.items() if k not in ("inputs", "command")}))
        text = words(html_of(a_run, tmp_path))
        assert "The run did not record its inputs" in text
        assert "it was made from Python" in text

    def test_a_model_that_is_gone_leaves_its_checksum(self, a_run, tmp_path):
        model = record_of(a_run)["model"]
        rewrite(a_run, model=model | {"path": str(tmp_path / "gone.pt")})
        report, _ = gather(a_run, DEFAULTS)
        assert report.card is None
        assert [w for w in report.warnings if "standin" in w and "not installed" in w]
        assert model["sha256"] in words(html_of(a_run, tmp_path))

    def test_another_model_in_its_place_does_not_lend_its_card(self, a_run, tmp_path):
        (tmp_path / "weights.pt").write_bytes(b"others")
        (tmp_path / "card.md").write_text("# another")
        rewrite(a_run, model=record_of(a_run)["model"] | {"path": str(tmp_path / "weights.pt")})
        assert gather(a_run, DEFAULTS)[0].card is None

    def test_a_record_that_was_changed_after_the_run_is_refused(self, a_run):
        text = (a_run / "run.json").read_text(encoding="utf-8")
        value = json.dumps(record_of(a_run)["measures"]["sdlogj"])
        (a_run / "run.json").write_text(text.replace(value, "0.001", 1))
        with pytest.raises(InputError, match=r"run.json was changed after the run had written it"):
            gather(a_run, DEFAULTS)
        (a_run / "run.json").write_text(json.dumps(json.loads(text)))  # the same values, laid out otherwise
        gather(a_run, DEFAULTS)

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"measures": {}}', '{"measures": {"sdlogj": 1}}'])
    def test_a_record_that_is_none_is_refused(self, a_run, content):
        (a_run / "run.json").write_text(content)
        with pytest.raises(InputError, match="run.json"):
            gather(a_run, DEFAULTS)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("warnings", 5), ("alignment", "x"), ("timings_s", [1]), ("model", "x"), ("inputs", {"fixed": {"path": 1}})]
        + [("measures.tre", []), ("measures.tre.landmarks", ["x"]), ("measures.dice", [{"labels": [{"label": "x"}]}])]
        + [("alignment.stages", [[]]), ("alignment.overlap", "x"), ("working_grid.spacing", [1, None, 2])]
        + [("measures.tre.landmarks", [{"after_mm": 1.0}]), ("timings_s.align", True), ("model", {"name": "x"})]
        + [("measures.inverse_residual_mm.p95", [1]), ("measures.dice", [[]])],
    )
    def test_a_record_of_other_kinds_of_values_is_refused(self, a_run, name, value):
        record = record_of(a_run)
        *parts, last = name.split(".")
        place = record
        for part in parts:
            place = place[part]
        place[last] = value
        rewrite(a_run, **record)
        with pytest.raises(InputError, match="run.json"):
            gather(a_run, DEFAULTS)

    @pytest.mark.parametrize("name", ["review.json", "tolerances.json", "run.json"])
    def test_a_report_never_takes_the_name_of_what_the_folder_keeps(self, a_run, name):
        before = {path.name: path.read_bytes() for path in a_run.iterdir()}
        with pytest.raises(InputError, match=name):
            write_pair_report(a_run, a_run / name)
        assert {path.name: path.read_bytes() for path in a_run.iterdir()} == before


def test_undefined_figures_show_their_reason(tmp_path):
    run = make_run(tmp_path / "bare", labels=False, landmarks=False)
    text = words(html_of(run, tmp_path))
    assert "no paired landmarks were given" in text
    assert "no pair of label maps was given" in text
    assert "Accuracy was not measured" in text
    rows = list(csv.DictReader(io.StringIO(csv_of(run, tmp_path))))
    assert {row["note"] for row in rows if row["verdict"] == "undefined"} == {
        "no paired landmarks were given",
        "no pair of label maps was given",
    }


def csv_of(folder, tmp_path):
    write_pair_report(folder, tmp_path / "out.csv")
    return (tmp_path / "out.csv").read_text(encoding="utf-8")


def said_of(folder, tmp_path, *options):
    """Exit code of the command, and the report it writes elsewhere."""
    code = main(["report", str(folder), "-o", str(tmp_path / "r.json"), *options])
    return code, json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))


class TestFilesOfTheRun:
    """Every file that a run wrote is known by its checksum."""

    NAMES = ("transform.h5", "inverse.h5", "displacement.nii.gz", "warped.nii.gz", "jacobian.nii.gz")

    def test_are_its_own(self, made, tmp_path):
        code, content = said_of(made / "run", tmp_path)
        assert code == 0
        assert set(content["output_states"]) == {*self.NAMES, "warped_labels.nii.gz"}
        assert set(content["output_states"].values()) == {"unchanged"}

    @pytest.mark.parametrize("name", [*NAMES, "warped_labels.nii.gz"])
    def test_another_in_its_place_is_said_left_out_and_ends_with_1(self, a_run, tmp_path, name):
        (a_run / name).write_bytes(b"of another run")
        code, content = said_of(a_run, tmp_path)
        assert code == 1
        (warning,) = [one for one in content["warnings"] if one.startswith(name)]
        assert "not the file that this run wrote" in warning
        assert content["output_states"][name] == "changed since"
        assert ("changed since" in words(html_of(a_run, tmp_path))) is True

    def test_a_readable_file_of_another_run_is_in_no_picture(self, a_run, made, tmp_path):
        other = read_image(a_run / "warped.nii.gz")
        write_image(a_run / "warped.nii.gz", Image(other.array[::-1].copy(), other.grid))
        report, material = gather(a_run, DEFAULTS)
        assert material.scene is None
        assert report.run.strangers == ("warped.nii.gz",)

    def test_label_maps_that_the_run_did_not_write_are_foreign_and_other_files_are_not_its_business(
        self, a_run, tmp_path
    ):
        shutil.copy(a_run / "warped_labels.nii.gz", a_run / "warped_labels_2.nii.gz")
        shutil.copy(a_run / "warped.nii.gz", a_run / "mine.nii.gz")
        code, content = said_of(a_run, tmp_path)
        assert code == 1
        assert [one for one in content["warnings"] if "warped_labels_2" in one]
        assert not [one for one in content["warnings"] if "mine" in one]
        assert content["output_states"]["mine.nii.gz"] == "not of this run"

    def test_one_that_is_gone_is_said(self, a_run, tmp_path):
        (a_run / "jacobian.nii.gz").unlink()
        code, content = said_of(a_run, tmp_path)
        assert code == 0
        assert [one for one in content["warnings"] if "jacobian.nii.gz" in one and "not in its folder" in one]

    def test_a_run_that_kept_no_checksums_says_so(self, a_run, tmp_path):
        record = record_of(a_run)
        del record["outputs"]
        (a_run / "run.json").write_text(json.dumps(record))
        code, content = said_of(a_run, tmp_path)
        assert code == 0
        assert [one for one in content["warnings"] if "holds no checksums" in one]


class TestKeptLimits:
    """Limits are given once."""

    def limit(self, content, name):
        return next(one for one in content["judgements"] if one["name"] == name)

    def test_stay_for_later_reports_and_add_up(self, a_run, tmp_path):
        said_of(a_run, tmp_path, "--tolerance", "sdlogj=0.0001")
        said_of(a_run, tmp_path, "--tolerance", "dice=0.99")
        _, content = said_of(a_run, tmp_path)
        assert self.limit(content, "sdlogj")["verdict"] == self.limit(content, "dice")["verdict"] == "outside tolerance"
        _, content = said_of(a_run, tmp_path, "--tolerance", "dice=default", "--tolerance", "sdlogj=default")
        assert content["tolerances"] == DEFAULTS.to_json()

    def test_a_file_replaces_them_all(self, a_run, tmp_path):
        said_of(a_run, tmp_path, "--tolerance", "sdlogj=0.0001")
        (tmp_path / "limits.json").write_text('{"dice": 0.5}')
        said_of(a_run, tmp_path, "--tolerances", str(tmp_path / "limits.json"))
        _, content = said_of(a_run, tmp_path)
        assert content["tolerances"] == DEFAULTS.to_json() | {"dice": 0.5}

    def test_of_an_earlier_run_in_the_folder_do_not_count_and_it_is_said(self, a_run, tmp_path):
        said_of(a_run, tmp_path, "--tolerance", "sdlogj=0.0001")
        (a_run / "run.json").write_text((a_run / "run.json").read_text(encoding="utf-8") + "\n")
        _, content = said_of(a_run, tmp_path)
        assert content["tolerances"] == DEFAULTS.to_json()
        assert [one for one in content["warnings"] if "limits of an earlier run" in one]

    def test_hold_in_the_report_that_bears_the_signature(self, a_run, tmp_path):
        _, before = said_of(a_run, tmp_path, "--tolerance", "sdlogj=0.0001")
        _, signed = said_of(a_run, tmp_path, "--reviewer", "A", "--decision", "accept")
        assert signed["judgements"] == before["judgements"]
        assert signed["reviews"][0]["limits"] == before["tolerances"]
        assert words(html_of(a_run, tmp_path, None).find(".//table[@id='reviews']")).endswith("as above")

    def test_that_change_after_the_signature_are_said_with_those_it_was_given_for(self, a_run, tmp_path):
        said_of(a_run, tmp_path, "--tolerance", "sdlogj=0.0001", "--reviewer", "A", "--decision", "accept")
        _, content = said_of(a_run, tmp_path, "--tolerance", "sdlogj=9", "--tolerance", "dice=off")
        (warning,) = [one for one in content["warnings"] if "Limits have changed since the review by A" in one]
        assert "dice 0.8, sdlogj 0.0001 then" in warning
        page = html_of(a_run, tmp_path, None)
        assert "as above, but dice 0.8, sdlogj 0.0001" in words(page.find(".//table[@id='reviews']"))
        assert "limits then dice 0.8, sdlogj 0.0001" in csv_of(a_run, tmp_path)

    def test_go_with_the_page_that_the_browser_signs(self, a_run, tmp_path):
        said_of(a_run, tmp_path, "--tolerance", "sdlogj=0.0001")
        data = json.loads(html_of(a_run, tmp_path, None).find(".//script[@id='review-data']").text)
        assert data["limits"] == DEFAULTS.to_json() | {"sdlogj": 0.0001}

    def test_that_are_damaged_are_refused_by_their_file(self, a_run, capsys):
        (a_run / "tolerances.json").write_text("{}")
        assert main(["report", str(a_run)]) == 2
        assert "tolerances.json is no file of limits" in capsys.readouterr().err


class TestTables:
    def test_json_holds_the_run_and_what_was_judged(self, made, tmp_path):
        write_pair_report(made / "run", tmp_path / "r.json", Tolerances({"tre_mean_mm": 0.001}))
        content = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
        assert content["run"] == json.loads((made / "run" / "run.json").read_text(encoding="utf-8"))
        verdicts = {one["name"]: one["verdict"] for one in content["judgements"]}
        assert verdicts["tre_mean_mm"] == "outside tolerance"
        assert content["tolerances"]["tre_mean_mm"] == 0.001
        assert content["largest_voxel_side_mm"] == pytest.approx(5.3, abs=1e-4)
        assert "not a medical device" in content["notice"]

    def test_csv_has_every_value_once_and_names_as_they_are(self, made, tmp_path):
        rows = list(csv.DictReader(io.StringIO(csv_of(made / "run", tmp_path))))
        assert tuple(rows[0]) == COLUMNS
        keys = [(row["table"], row["item"], row["quantity"]) for row in rows]
        assert len(keys) == len(set(keys))
        tre = {row["item"]: float(row["value"]) for row in rows if row["quantity"] == "tre_mm"}
        recorded = record_of(made / "run")["measures"]["tre"]["landmarks"]
        assert tre == {one["name"]: pytest.approx(one["after_mm"]) for one in recorded}
        assert all(row["value"] or row["note"] for row in rows)

    def test_csv_judges_every_landmark_by_the_largest_error_that_is_tolerated(self, made, tmp_path):
        recorded = record_of(made / "run")["measures"]["tre"]["landmarks"]
        limit = float(np.median([one["after_mm"] for one in recorded]))
        write_pair_report(made / "run", tmp_path / "out.csv", Tolerances({"tre_max_mm": limit}))
        rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8", newline="")))
        found = {row["item"]: (float(row["limit"]), row["verdict"]) for row in rows if row["quantity"] == "tre_mm"}
        words = {True: "within tolerance", False: "outside tolerance"}
        assert found == {one["name"]: (limit, words[one["after_mm"] <= limit]) for one in recorded}
        assert len({verdict for _, verdict in found.values()}) == 2

    def test_are_made_without_the_packages_of_the_extra(self, a_run, monkeypatch):
        for name in ("jinja2", "matplotlib", "matplotlib.figure", "markdown_it"):
            monkeypatch.setitem(sys.modules, name, None)
        written = write_pair_report(a_run)
        assert [path.name for path in written.files] == ["report.json", "report.csv"]
        assert "pip install 'robustdir[report]'" in written.lacking
        with pytest.raises(InputError, match=r"needs jinja2; install it with: pip install 'robustdir\[report\]'"):
            write_pair_report(a_run, a_run / "r.html")
        assert not (a_run / "report.html").exists()


class TestCommand:
    def test_a_report_replaces_neither_the_record_nor_an_input(self, a_run, tmp_path, capsys):
        inputs = json.loads((a_run / "run.json").read_text(encoding="utf-8"))["inputs"]
        for path in (a_run / "run.json", Path(inputs["fixed_landmarks"]["path"])):
            before = path.read_bytes()
            (tmp_path / f"link{path.suffix}").symlink_to(path)
            for named in (path, tmp_path / f"link{path.suffix}"):
                assert main(["report", str(a_run), "-o", str(named)]) == 2
                assert "which is read" in capsys.readouterr().err
            assert path.read_bytes() == before

    def test_writes_all_three_and_sums_up(self, a_run, capsys, monkeypatch):
        monkeypatch.setattr(pair_page, "_pictures", lambda *_: {"images": [], "transform": [], "landmarks": []})
        before = {path.name for path in a_run.iterdir()}
        assert main(["report", str(a_run), "--tolerance", "dice=0.99", "--tolerance", "tre_max_mm=off"]) == 0
        said = capsys.readouterr().out
        assert "✗ outside tolerance" in said
        assert "– not judged" in said
        written = {"report.html", "report.json", "report.csv", "tolerances.json"}
        assert {p.name for p in a_run.iterdir()} - before == written

    def test_tolerances_come_from_a_file_and_are_beaten_by_options(self, a_run, tmp_path):
        (tmp_path / "limits.json").write_text('{"dice": 0.5, "tre_mean_mm": null}')
        limits = ["--tolerances", str(tmp_path / "limits.json"), "--tolerance", "dice=0.6"]
        assert main(["report", str(a_run), "-o", str(tmp_path / "r.json"), *limits]) == 0
        content = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
        assert content["tolerances"] == DEFAULTS.to_json() | {"dice": 0.6, "tre_mean_mm": "off"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--tolerance", "dice=2"], "--tolerance: the limit 2.0 of dice cannot be"),
            (["--tolerances", "gone.json"], "gone.json does not exist"),
            (
                ["-o", "r.pdf", "--tolerance", "dice=0.9"],
                "r.pdf cannot be written: a report goes into .html, .json, .csv",
            ),
            (["-o", "nowhere/r.json"], "the folder nowhere does not exist"),
            (["--reviewer", "A", "--tolerance", "dice=0.9"], "--reviewer and --decision go together"),
            (["--comment", "fine"], "--comment and --date belong to a review"),
            (["--reviewer", " ", "--decision", "accept"], "--reviewer is empty"),
            (["--reviewer", "A", "--decision", "accept", "--date", "1.2.2026"], "must be of the form YYYY-MM-DD"),
            (["--review", "gone.json"], "gone.json does not exist"),
        ],
    )
    def test_bad_input_is_one_sentence_and_leaves_nothing(self, a_run, capsys, options, message):
        before = sorted(a_run.iterdir())
        assert main(["report", str(a_run), *options]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
        assert sorted(a_run.iterdir()) == before

    @pytest.mark.parametrize("what", ["gone", "empty"])
    def test_a_folder_without_a_run_is_refused(self, tmp_path, capsys, what):
        (tmp_path / "empty").mkdir()
        assert main(["report", str(tmp_path / what)]) == 2
        assert "give the folder that" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 2, "undefined"),
        (1.005, 1, "1.0"),
        (0.0, 4, "0.0000"),
        (4e-5, 2, "< 0.01"),
        (-4e-5, 3, "> -0.001"),
        (0.006, 2, "0.01"),
        (float("nan"), 2, "not finite"),
    ],
)
def test_numbers_for_people(value, digits, text):
    assert number(value, digits) == text


def test_numbers_of_any_size_keep_three_digits():
    assert [significant(v) for v in (None, 0.0005231, 123.456)] == ["undefined", "0.000523", "123"]


def test_cards_keep_their_markup_to_themselves():
    text = str(markdown("# A\n\n<script>x</script>\n\n[a](https://b) ![c](d)\n\n|a|b|\n|--|-:|\n|1|2|\n", 3))
    assert "<h3>A</h3>" in text
    assert "&lt;script&gt;" in text
    assert "<a" not in text
    assert "<img" not in text
    assert "style=" not in text
    assert "<td>2</td>" in text
