from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.io import files
from RobustDIRLib.io.landmarks import Landmarks, read_landmarks, write_landmarks

POINTS = np.array([[-12.5, 30.25, 7.0], [1.5e-3, -2.0, 118.75]])  # LPS


@pytest.fixture
def saved(tmp_path):
    """Writes a text to a file of the given name."""

    def save(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return save


def refusal(path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_landmarks(path, **options)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# There and back


@pytest.mark.parametrize("extension", [".csv", ".mrk.json", ".fcsv", ".txt", ".pts"])
def test_landmarks_written_and_read_back_exactly(tmp_path, some_landmarks, extension):
    write_landmarks(tmp_path / f"a{extension}", some_landmarks)
    back = read_landmarks(tmp_path / f"a{extension}")
    np.testing.assert_array_equal(back.points, some_landmarks.points)
    if extension not in (".txt", ".pts"):
        assert back.names == some_landmarks.names
    assert [entry.name for entry in tmp_path.iterdir()] == [f"a{extension}"]


@pytest.mark.parametrize("extension", [".csv", ".fcsv", ".mrk.json"])
def test_names_of_several_lines_are_written_in_one(tmp_path, extension):
    write_landmarks(tmp_path / f"a{extension}", Landmarks(POINTS, ("apex\r\nof the heart", "a\u2028b")))
    assert read_landmarks(tmp_path / f"a{extension}").names == ("apex of the heart", "a b")


def test_names_not_given_are_numbers():
    assert Landmarks(POINTS).names == ("1", "2")
    assert Landmarks(POINTS, ("apex", "")).names == ("apex", "2")
    assert len(Landmarks(POINTS)) == 2


def test_landmarks_refuse_what_they_cannot_be():
    with pytest.raises(ValueError, match="finite"):
        Landmarks(POINTS * np.nan)
    with pytest.raises(ValueError, match="names"):
        Landmarks(POINTS, ("one",))


def test_unknown_extension_is_not_written(tmp_path, some_landmarks):
    with pytest.raises(InputError, match=r"a\.doc cannot be written"):
        write_landmarks(tmp_path / "a.doc", some_landmarks)
    assert list(tmp_path.iterdir()) == []


# CSV

ROWS = "-12.5,30.25,7\n0.0015,-2,118.75\n"


@pytest.mark.parametrize(
    "text",
    [
        "x,y,z\n" + ROWS,
        "\ufeffX, Y, Z\r\n" + ROWS.replace("\n", "\r\n"),
        ROWS,
        "# exported today\n\nx;y;z\n" + ROWS.replace(",", ";"),
        "x\ty\tz\n" + ROWS.replace(",", "\t"),
        "weight,z,x,y\n1,7,-12.5,30.25\n2,118.75,0.0015,-2\n",
        "label,l,p,s,defined\none,-12.5,30.25,7,1\ntwo,0.0015,-2,118.75,1\n",
        "label,r,a,s,defined\none,12.5,-30.25,7,1\ntwo,-0.0015,2,118.75,1\n",
        '"","x","y","z"\n"1",-12.5,30.25,7\n"2",0.0015,-2,118.75\n',
        '"a;b","x","y","z"\n1,"-12.5","30.25","7"\n2,"0.0015","-2","118.75"\n',
    ],
)
def test_csv_of_many_hands(saved, text):
    np.testing.assert_allclose(read_landmarks(saved("a.csv", text)).points, POINTS, atol=1e-12)


@pytest.mark.parametrize("column", ["name", "label", "Name"])
def test_csv_names(saved, column):
    text = f'x,y,z,{column}\n1,2,3,"apex, left"\n4,5,6,\n7,8,9\n'
    assert read_landmarks(saved("a.csv", text)).names == ("apex, left", "2", "3")


def test_bad_csv_is_refused_by_line(saved):
    assert "line 3" in refusal(saved("a.csv", "x,y,z\n1,2,3\n1,two,3\n"))
    assert "line 5" in refusal(saved("a.csv", "# said\n\nx,y,z\n1,2,3\n1,2,nan\n"))
    assert "line 2" in refusal(saved("a.csv", "1,2,3\n1,2,inf\n"))
    assert "line 2" in refusal(saved("a.csv", "1,2,3\n1,2\n"))
    assert "line 3" in refusal(saved("a.csv", "x,y,z\n1,2,3\n1,2\n"))
    assert "line 3" in refusal(saved("a.csv", "x,y,z\n1,2,3\n1,,2\n"))
    assert "line 2" in refusal(saved("a.csv", 'x,y,z,name\n1,2,3,"open\n4,5,6,b\n'))
    assert "4 numbers" in refusal(saved("a.csv", "1,2,3,4\n"))
    assert 'columns "i, j, k"' in refusal(saved("a.csv", "i,j,k\n1,2,3\n"))
    assert "not placed (line 3)" in refusal(saved("a.csv", "label,r,a,s,defined\na,1,2,3,1\nb,0,0,0,0\n"))


@pytest.mark.parametrize("name", ["a.csv", "a.fcsv", "a.txt", "a.pts"])
def test_files_without_landmarks_are_refused(saved, name, oblique_grid):
    assert "0 bytes" in refusal(saved(name, ""))
    assert "no landmarks" in refusal(saved(name, "# CoordinateSystem = LPS\n\n"), grid=oblique_grid)


def test_missing_binary_and_unknown_files_are_refused(tmp_path, saved):
    assert "does not exist" in refusal(tmp_path / "missing.csv")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x80\x81" * 9)
    assert "not a text file" in refusal(tmp_path / "a.csv")
    assert "no known format" in refusal(saved("a.vtk", "1 2 3\n"))
    assert "folder" in refusal(tmp_path)


# Slicer .mrk.json


def markups(**changes) -> dict:
    controls = [
        {"id": "1", "label": "apex", "position": [1.0, -2.0, 3.5], "positionStatus": "defined"},
        {"id": "2", "label": "carina", "position": [4.0, 5.0, -6.0], "positionStatus": "defined"},
    ]
    return {"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": controls, **changes}]}


@pytest.mark.parametrize(("frame", "sign"), [("LPS", 1), ("RAS", -1)])
def test_json_honours_its_coordinate_system(saved, frame, sign):
    read = read_landmarks(saved("a.mrk.json", json.dumps(markups(coordinateSystem=frame, coordinateUnits="mm"))))
    np.testing.assert_array_equal(read.points, np.array([[1, -2, 3.5], [4, 5, -6]]) * [sign, sign, 1])
    assert read.names == ("apex", "carina")


def test_json_without_a_coordinate_system_is_lps(saved):
    content = markups(coordinateUnits=["mm", "UCUM", "millimeter"])
    del content["markups"][0]["coordinateSystem"]
    np.testing.assert_array_equal(read_landmarks(saved("a.json", json.dumps(content))).points[0], [1, -2, 3.5])


@pytest.mark.parametrize("status", ["undefined", "missing", "preview"])
def test_json_points_not_placed_are_named(saved, status):
    content = markups()
    content["markups"][0]["controlPoints"][1]["positionStatus"] = status
    assert "not placed (carina)" in refusal(saved("a.mrk.json", json.dumps(content)))


@pytest.mark.parametrize("position", [None, [], [1.0, 2.0], [1.0, 2.0, float("nan")], [1.0, "2", 3.0], "1 2 3"])
def test_json_points_without_a_position_are_named(saved, position):
    content = markups()
    content["markups"][0]["controlPoints"][1]["position"] = position
    assert "carina" in refusal(saved("a.mrk.json", json.dumps(content)))


def test_other_json_is_refused(saved):
    for text in ("{", "[]", "3", "{}", '{"markups": [3]}', '{"markups": [{"controlPoints": [3]}]}'):
        assert "no Slicer markups" in refusal(saved("a.mrk.json", text))
    assert "no landmarks" in refusal(saved("a.mrk.json", json.dumps(markups(controlPoints=[]))))
    assert '"IJK"' in refusal(saved("a.mrk.json", json.dumps(markups(coordinateSystem="IJK"))))
    assert "in cm" in refusal(saved("a.mrk.json", json.dumps(markups(coordinateUnits="cm"))))
    two = {"markups": markups()["markups"] * 2}
    assert "2 lists" in refusal(saved("a.mrk.json", json.dumps(two)))


def test_written_json_is_what_slicers_schema_asks_for(tmp_path, some_landmarks):
    write_landmarks(tmp_path / "a.mrk.json", some_landmarks)
    content = json.loads((tmp_path / "a.mrk.json").read_text(encoding="utf-8"))
    assert content["@schema"].endswith("markups-schema-v1.0.3.json#")
    (markup,) = content["markups"]
    assert (markup["type"], markup["coordinateSystem"]) == ("Fiducial", "LPS")
    assert [point["label"] for point in markup["controlPoints"]] == list(some_landmarks.names)


# Slicer .fcsv

NEW_COLUMNS = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
NEW_ROWS = '1,1,-2,3.5,0,0,0,1,1,1,0,"apex, left",,vtkMRML1\n2,4,5,-6,0,0,0,1,1,1,0,F-2,,\n'


@pytest.mark.parametrize(("said", "sign"), [("LPS", 1), ("RAS", -1), ("0", -1), ("1", 1)])
def test_fcsv_honours_its_coordinate_system(saved, said, sign):
    text = f"# Markups fiducial file version = 4.10\n# CoordinateSystem = {said}\n" + NEW_COLUMNS + NEW_ROWS
    read = read_landmarks(saved("a.fcsv", text))
    np.testing.assert_array_equal(read.points, np.array([[1, -2, 3.5], [4, 5, -6]]) * [sign, sign, 1])
    assert read.names == ("apex, left", "F-2")


def test_fcsv_of_slicer_3_is_ras(saved):
    text = "# Fiducial List file /tmp/L.fcsv\n# version = 2\n# columns = label,x,y,z,sel,vis\nL-P0,1,-2,3.5,1,1\n"
    read = read_landmarks(saved("a.fcsv", text))
    np.testing.assert_array_equal(read.points, [[-1, 2, 3.5]])
    assert read.names == ("L-P0",)


def test_bad_fcsv_is_refused(saved):
    assert "does not say its frame" in refusal(saved("a.fcsv", NEW_COLUMNS + NEW_ROWS))
    assert '"2"' in refusal(saved("a.fcsv", "# CoordinateSystem = 2\n" + NEW_COLUMNS + NEW_ROWS))
    assert "without x, y, z" in refusal(saved("a.fcsv", "# CoordinateSystem = 1\n# columns = id,i,j,k\n1,1,2,3\n"))
    assert "line 3" in refusal(saved("a.fcsv", "# CoordinateSystem = 1\n" + NEW_COLUMNS + "1,a,2,3\n"))
    assert "line 3" in refusal(saved("a.fcsv", "# CoordinateSystem = 1\n" + NEW_COLUMNS + "1,2,3\n"))


def test_written_fcsv_is_what_slicer_reads(tmp_path, some_landmarks):
    """Read by the positions of its columns, as Slicer does."""
    write_landmarks(tmp_path / "a.fcsv", some_landmarks)
    lines = (tmp_path / "a.fcsv").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "# CoordinateSystem = LPS"
    rows = list(csv.reader(line for line in lines if not line.startswith("#")))
    np.testing.assert_array_equal(np.array([row[1:4] for row in rows], float), some_landmarks.points)
    assert [row[11] for row in rows] == list(some_landmarks.names)


# DIR-Lab


def test_dirlab_voxels_count_from_one_as_x_y_z(saved, oblique_grid):
    read = read_landmarks(saved("case1_300_T00_xyz.txt", "1\t1\t1\n 25  21 17\n4 3 2 \n"), oblique_grid)
    expected = oblique_grid.points_from_voxels([[0, 0, 0], [16, 20, 24], [1, 2, 3]])
    np.testing.assert_allclose(read.points, expected, atol=1e-12)
    np.testing.assert_allclose(read.points[0], oblique_grid.origin, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_dirlab_voxel_along_one_axis_is_one_spacing(saved, oblique_grid, axis):
    voxels = np.array([[5, 5, 5], [5, 5, 5]])
    voxels[1, axis] += 1
    text = "\n".join(" ".join(map(str, row)) for row in voxels)
    step = np.diff(read_landmarks(saved("a.txt", text), oblique_grid).points, axis=0)[0]
    expected = np.array(oblique_grid.direction)[:, axis] * oblique_grid.spacing[axis]
    np.testing.assert_allclose(step, expected, atol=1e-12)


def test_bad_dirlab_text_is_refused(saved, oblique_grid):
    assert "image as well" in refusal(saved("a.txt", "1 1 1\n"))
    assert "line 2" in refusal(saved("a.txt", "1 1 1\n1 1 x\n"), grid=oblique_grid)
    assert "line 2" in refusal(saved("a.txt", "1 1 1\n1 1\n"), grid=oblique_grid)
    assert "line 1" in refusal(saved("a.txt", "-12.5 3 7\n"), grid=oblique_grid)
    for outside in ("0 1 1", "1 0 1", "1 1 0", "26 1 1", "1 22 1", "1 1 18"):
        message = refusal(saved("a.txt", f"1 1 1\n{outside}\n"), grid=oblique_grid)
        assert f'line 2: voxel "{outside}"' in message
        assert "25 x 21 x 17" in message


# elastix


def test_elastix_points_are_mm(saved):
    read = read_landmarks(saved("a.txt", "point\n2\n-12.5 30.25 7\n0.0015 -2 118.75\n"))
    np.testing.assert_allclose(read.points, POINTS, atol=1e-12)


def test_elastix_indices_count_from_zero_as_x_y_z(saved, oblique_grid):
    read = read_landmarks(saved("a.pts", "index\n2\n0 0 0\n3 2 1\n"), oblique_grid)
    np.testing.assert_allclose(read.points, oblique_grid.points_from_voxels([[0, 0, 0], [1, 2, 3]]), atol=1e-12)


def test_transformix_output_gives_its_output_points(saved):
    line = (
        "Point\t{}\t; InputIndex = [ 1 2 3 ]\t; InputPoint = [ 1.0 2.0 3.0 ]\t; OutputIndexFixed = [ 9 9 9 ]\t"
        "; OutputPoint = [ {} {} {} ]\t; Deformation = [ 8.0 8.0 8.0 ]\n"
    )
    text = "".join(line.format(k, *point) for k, point in enumerate(POINTS))
    np.testing.assert_allclose(read_landmarks(saved("outputpoints.txt", text)).points, POINTS, atol=1e-12)
    assert "line 2" in refusal(saved("outputpoints.txt", line.format(0, 1, 2, 3) + "Point 1 lost\n"))
    assert "line 1" in refusal(saved("outputpoints.txt", line.format(0, 1, "nan", 3)))


def test_bad_elastix_points_are_refused(saved, oblique_grid):
    assert "image as well" in refusal(saved("a.txt", "index\n1\n1 2 3\n"))
    assert "says 3 points but has 2" in refusal(saved("a.txt", "point\n3\n1 2 3\n4 5 6\n"))
    assert "number of points" in refusal(saved("a.txt", "point\n1 2 3\n"))
    assert "number of points" in refusal(saved("a.txt", "point\n"))
    assert "line 4" in refusal(saved("a.txt", "point\n2\n1 2 3\n4 b 6\n"))
    assert "no landmarks" in refusal(saved("a.txt", "point\n0\n"))
    assert "no landmarks" in refusal(saved("a.txt", "index\n0\n"), grid=oblique_grid)


def test_every_format_agrees_on_where_a_voxel_is(saved, oblique_grid):
    """One voxel, told in every frame and count that is read."""
    x, y, z = oblique_grid.points_from_voxels([1, 2, 3]).tolist()
    r, a, s = swap_lps_ras([x, y, z]).tolist()
    files = {
        "a.csv": f"x,y,z\n{x},{y},{z}\n",
        "b.csv": f"label,r,a,s\nv,{r},{a},{s}\n",
        "a.txt": "4 3 2\n",
        "b.txt": "index\n1\n3 2 1\n",
        "c.txt": f"point\n1\n{x} {y} {z}\n",
        "a.fcsv": f"# CoordinateSystem = 0\n{NEW_COLUMNS}1,{r},{a},{s}\n",
        "a.mrk.json": json.dumps(
            markups(coordinateSystem="RAS", controlPoints=[{"label": "v", "position": [r, a, s]}])
        ),
    }
    for name, text in files.items():
        read = read_landmarks(saved(name, text), oblique_grid)
        np.testing.assert_allclose(read.points, [[x, y, z]], atol=1e-9, err_msg=name)


# What is read otherwise than it was meant


FCSV = "# Markups fiducial file version = 5.6\n# CoordinateSystem = LPS\n" + NEW_COLUMNS
FCSV_ROW = "1,10.5,20.25,30,0,0,0,1,1,1,0,F-1,,"


@pytest.mark.parametrize(
    "text",
    [
        "x,y,z\n1,5,2,5,3,5\n",
        "x,y,z,name\n1,5,2,5,3,5,apex\n",
        "1,5,2,5,3,5\n",
        "x,y,z\n10,20,30,40\n",
        "x,y,z\n1,2,3\n10,20,30,40\n",
        "x,y,z,name,weight\n1,2,3,apex\n",  # one of the cells is lacking, nobody knows which
        "x\ty\tz\n1,234\t5,6\t7,8\n",  # decimals or thousands
        "x;y;z\n1.234,5;2;3\n",
        "x;y;z\n1,5;2.5;3\n",
        'x,y,z\n"1,5","2,5","3,5"\n',
        "x,y,z,x\n1,2,3,4\n",
        "x,y,z,r,a,s\n1,2,3,-1,-2,3\n",
        "# CoordinateSystem = RAS\nx,y,z\n1,2,3\n",
        "# CoordinateSystem = LPS\n# CoordinateSystem = RAS\nx,y,z\n1,2,3\n",
        "x,y,z\n1_000,2,3\n",
        "x,y,z\n１,2,3\n",
        "x,y,z\n1e400,2,3\n",
        "label,l,p,s,defined\na,1,2,3,FALSE\n",
        "point\n²\n1 2 3\n",
    ],
)
def test_texts_that_mean_other_points_are_refused(saved, text):
    refusal(saved("a.txt" if text.startswith("point") else "a.csv", text))


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("x;y;z\n1,5;-2,5;3\n", [1.5, -2.5, 3]),
        ("1,5;-2,5;3\n", [1.5, -2.5, 3]),
        ("Name;X;Y;Z\nLunge, links;1,5;-2,5;3\n", [1.5, -2.5, 3]),
        ("r;a;s\n-1,5;2,5;3\n", [1.5, -2.5, 3]),
        ("x,y,z,,\n1.5,-2.5,3,,\n", [1.5, -2.5, 3]),
        ("x,y,z\n1.5,-2.5,3,,\n", [1.5, -2.5, 3]),
        ("# CoordinateSystem = RAS\n-1.5,2.5,3\n", [1.5, -2.5, 3]),
        ("x,y,z,defined\n1.5,-2.5,3\n", [1.5, -2.5, 3]),
    ],
)
def test_spreadsheets_of_many_countries(saved, text, point):
    np.testing.assert_array_equal(read_landmarks(saved("a.csv", text)).points, [point])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings_are_read_or_refused(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("x,y,z,name\n-12.5,30.25,7,Lebergefäß\n".encode(encoding))
    if encoding in ("utf-16-le", "utf-16-be", "cp1252"):  # without a mark at their beginning
        assert "UTF-8" in refusal(path)
    else:
        assert read_landmarks(path).names == ("Lebergefäß",)
        np.testing.assert_array_equal(read_landmarks(path).points, POINTS[:1])


def test_texts_of_any_length_are_no_landmarks(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LONGEST_TEXT", 100)
    (tmp_path / "a.csv").write_text("1,2,3\n" * 17)
    assert "longer than" in refusal(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("1,2,3\n" * 16)
    assert len(read_landmarks(tmp_path / "a.csv")) == 16


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("# CoordinateSystem LPS\n" + NEW_COLUMNS, "CoordinateSystem LPS"),
        ("# CoordinateSystem =\n" + NEW_COLUMNS, "names no frame"),
        ("# CoordinateSystem = 2\n" + NEW_COLUMNS, '"2"'),
        ("# CoordinateSystem = LPS\n# CoordinateSystem = 0\n" + NEW_COLUMNS, "keep the right one"),
        ("# CoordinateSystem = LPS\n# columns\n", "columns"),
        ("# CoordinateSystem = LPS\n# columns id,x,y,z,label\n", "columns"),
        ("# CoordinateSystem = LPS\n# columns = id,x,y,z,x\n", '"x" more than once'),
    ],
)
def test_headers_of_fcsv_are_read_as_slicer_writes_them_or_refused(saved, head, words):
    assert words in refusal(saved("a.fcsv", head + FCSV_ROW + "\n"))


def test_columns_of_fcsv_are_found_by_name(saved):
    text = "# CoordinateSystem = 1\n# columns = label,z,x,y\napex,3,1,2\n"
    read = read_landmarks(saved("a.fcsv", text))
    np.testing.assert_array_equal(read.points, [[1, 2, 3]])
    assert read.names == ("apex",)


@pytest.mark.parametrize(("status", "placed"), [("2", True), ("0", False), ("1", False), ("3", False)])
def test_fcsv_points_not_placed_are_named(saved, status, placed):
    path = saved("a.fcsv", FCSV + FCSV_ROW + ",2,0\n" + f"2,0,0,0,0,0,0,1,1,1,0,F-2,,,{status},0\n")
    if placed:
        assert len(read_landmarks(path)) == 2
    else:
        assert "not placed (F-2)" in refusal(path)


def test_rows_of_fcsv_that_do_not_fit_their_columns_are_refused(saved):
    assert "line 4" in refusal(saved("a.fcsv", FCSV + FCSV_ROW.replace("10.5,", "") + "\n"))
    assert "line 4" in refusal(saved("a.fcsv", FCSV + FCSV_ROW.replace("10.5", "10,5") + "\n"))
    assert "line 4" in refusal(saved("a.fcsv", FCSV + FCSV_ROW.replace("10.5,20.25", "10,5,20,25") + "\n"))
    assert "line 4" in refusal(saved("a.fcsv", FCSV + '1,2,3,4,0,0,0,1,1,1,0,"open,,\n'))


@pytest.mark.parametrize("kind", ["ROI", "Curve", "ClosedCurve", "Plane", "Line", "Angle", "", None])
def test_markups_whose_points_are_no_landmarks_are_refused(saved, kind):
    assert "no landmarks" in refusal(saved("a.mrk.json", json.dumps(markups(type=kind))))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"markups": ' + "[" * 100_000,
        '{"markups": [{"type": "Fiducial", "controlPoints": 5}]}',
        '{"markups": {"type": "Fiducial"}}',
        '{"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "coordinateSystem": "RAS"}]}',
        '{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [1' + "0" * 5000 + ", 2, 3]}]}]}",
    ],
    ids=["nested", "nested lists", "number", "object", "two frames", "endless number"],
)
def test_damaged_json_is_refused(saved, text):
    assert "no Slicer markups" in refusal(saved("a.mrk.json", text))


@pytest.mark.parametrize("bad", [True, 10**400, -(10**400), "1", None, float("inf")])
def test_positions_are_three_finite_numbers(saved, bad):
    content = markups()
    content["markups"][0]["controlPoints"][1]["position"] = [1, bad, 3]
    assert "carina" in refusal(saved("a.mrk.json", json.dumps(content)))


@pytest.mark.parametrize("frame", [1, None, "lps", "IJK", ["LPS"]])
def test_json_frames_are_those_of_its_schema(saved, frame):
    assert "coordinate system" in refusal(saved("a.mrk.json", json.dumps(markups(coordinateSystem=frame))))


@pytest.mark.parametrize("units", ["cm", None, [], ["cm", "UCUM", "centimeter"], {"mm": 1}])
def test_json_units_are_mm(saved, units):
    assert "mm" in refusal(saved("a.mrk.json", json.dumps(markups(coordinateUnits=units))))


def test_a_few_dirlab_voxels_beyond_the_image_are_points_beyond_it(saved, oblique_grid):
    read = read_landmarks(saved("a.txt", "1 1 1\n26 1 1\n2 3 4\n"), oblique_grid)
    assert oblique_grid.contains(read.points).tolist() == [True, False, True]
    assert "counted from 1" in refusal(saved("a.txt", "1 1 1\n0 1 1\n2 3 4\n3 3 3\n"), grid=oblique_grid)


def test_labels_that_come_twice_stay(saved):
    assert read_landmarks(saved("a.csv", "x,y,z,name\n1,2,3,a\n4,5,6,a\n")).names == ("a", "a")


def test_an_fcsv_in_another_unit_is_refused(saved):
    head = "# CoordinateSystem = LPS\n# units = {}\n# columns = id,x,y,z\n1,1,2,3\n"
    assert "units = cm" in refusal(saved("a.fcsv", head.format("cm")))
    assert read_landmarks(saved("a.fcsv", head.format("mm"))).points.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "text",
    [
        "x,y,z,frame\n1,2,3,LPS\n4,5,6,RAS\n",
        "x,y,z,Coordinate System\n1,2,3,ras\n",
        "r,a,s,frame\n1,2,3,LPS\n",
        "x,y,z,unit\n1,2,3,cm\n",
        "# units: cm\nx,y,z\n1,2,3\n",
        "# all in RAS\nx,y,z\n1,2,3\n",
        "# voxel indices\n1,2,3\n",
    ],
)
def test_csv_that_speaks_of_another_frame_or_unit_is_refused(saved, text):
    assert "a.csv" in refusal(saved("a.csv", text))


@pytest.mark.parametrize(
    "text",
    [
        "x,y,z,frame,unit\n1,2,3,LPS,mm\n",
        "R,A,S,frame\n-1,-2,3,RAS\n",
        "# placed by A. Reader, in mm, LPS\nx,y,z\n1,2,3\n",
        "# CoordinateSystem = RAS\n-1,-2,3\n",
        "x,y,z,unit\n1,2,3,\n",
    ],
)
def test_csv_that_names_its_own_frame_and_unit_is_read(saved, text):
    np.testing.assert_array_equal(read_landmarks(saved("a.csv", text)).points, [[1, 2, 3]])


def test_a_table_of_millions_is_refused_at_once(tmp_path):
    path = tmp_path / "voxels.csv"
    path.write_text("x,y,z\n" + "1,2,3\n" * 500_001, encoding="utf-8")
    with pytest.raises(InputError, match="500002 lines, as no list of landmarks has"):
        read_landmarks(path)


@pytest.mark.parametrize(
    "column", ["frame,RAS", "axes,ras", "orientation,RAS", "coordinate space,RAS", "kind,voxel", "in,cm", "in,microns"]
)
def test_cells_that_name_another_frame_or_unit_are_refused_whatever_their_column_is_called(saved, column):
    name, cell = column.split(",")
    assert f'says "{cell}" in its column {name}' in refusal(saved("a.csv", f"x,y,z,{name}\n1,2,3,{cell}\n"))


def test_names_and_remarks_that_are_no_frame_are_read(saved):
    text = "# index and name of each\nx,y,z,name,sex,finger\n1,2,3,RAS,m,index\n4,5,6,cm,,\n"
    assert read_landmarks(saved("a.csv", text)).names == ("RAS", "cm")
    assert len(read_landmarks(saved("b.csv", "r,a,s,frame\n1,2,3,RAS\n"))) == 1


@pytest.mark.parametrize("comment", ["RAS", "unit: micrometer", "unit: \u00b5m", "px", "microns", "metres", "in um"])
@pytest.mark.parametrize("file", ["a.csv", "a.txt"])
def test_comments_that_name_another_frame_or_unit_are_refused_in_all_text(saved, comment, file):
    points = "point\n1\n1 2 3\n" if file == "a.txt" else "x,y,z\n1,2,3\n"
    assert "read as mm, LPS" in refusal(saved(file, f"# {comment}\n{points}"))


def test_voxels_said_to_be_counted_otherwise_are_refused(saved, oblique_grid):
    assert "counted from 1" in refusal(saved("a.txt", "# zero-based voxels\n2 3 4\n"), grid=oblique_grid)
    assert len(read_landmarks(saved("b.txt", "# 0-based\nindex\n1\n2 3 4\n"), oblique_grid)) == 1


@pytest.mark.parametrize("comment", ["LPS", "mm", "unit: mm", "x y z (mm)", "physical points", "in Millimetres"])
@pytest.mark.parametrize("head", ["", "index\n1\n"])
def test_voxels_that_are_said_to_be_points_in_mm_are_refused(saved, oblique_grid, comment, head):
    assert "along the axes" in refusal(saved("a.txt", f"# {comment}\n{head}2 3 4\n"), grid=oblique_grid)
    assert len(read_landmarks(saved("b.txt", f"# voxels of 1.5 x 1.5 x 3 mm\n{head}2 3 4\n"), oblique_grid)) == 1


def test_elastix_indices_of_another_image_are_refused(saved, oblique_grid):
    """Of 25 x 21 x 17 voxels from 0; a few outside are points that a registration leaves out."""
    lines = ["24 20 16", "25 3 4", "-1 2.5 3"]
    assert len(read_landmarks(saved("a.pts", "index\n3\n24.4 20.4 16.4\n-0.4 0 0\n25 3 4\n"), oblique_grid)) == 3
    assert 'voxel "25 3 4", counted from 0' in refusal(
        saved("b.pts", "index\n3\n" + "\n".join(lines)), grid=oblique_grid
    )


def test_fcsv_in_another_unit_is_refused(saved):
    for word in ("coordinateUnits", "unit"):
        text = f"# CoordinateSystem = LPS\n# {word} = cm\n# columns = label,x,y,z\na,1,2,3\n"
        assert "save them in mm" in refusal(saved("a.fcsv", text))
