"""A growing file read line by line: whole lines once, whatever is done to the file meanwhile."""

import json

import pytest

from RobustDIRLib.runner.lines import LineReader, as_object, tail


@pytest.fixture
def a_file(tmp_path):
    return tmp_path / "records.jsonl"


def add(path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_half_a_line_waits_for_its_other_half(a_file):
    reader = LineReader(a_file)
    assert reader.read() == []  # not there yet
    add(a_file, b"first\nsec")
    assert reader.read() == ["first"]
    assert reader.read() == []
    add(a_file, "ond ✓".encode()[:-1])  # within a letter
    assert reader.read() == []
    add(a_file, "✓".encode()[-1:] + b"\nthird")
    assert reader.read() == ["second ✓"]
    assert reader.finish() == ["third"]


@pytest.mark.parametrize("most", [1, 7, 64, 1 << 20])
def test_every_line_comes_once_however_much_is_read_at_once(a_file, most):
    lines = [f"line {k} " + "x" * (1 + k % 13) for k in range(50)]
    reader, read = LineReader(a_file), []
    for line in lines:
        add(a_file, f"{line}\n".encode())
        read += reader.read(most)
    while len(read) < len(lines) and (new := [reader.read(most) for _ in range(200)]):
        read += [line for part in new for line in part]
    assert read == lines
    assert reader.restarts == 0


def test_a_line_without_end_takes_no_memory(a_file):
    reader = LineReader(a_file, longest=100)
    read = []
    for _ in range(50):
        add(a_file, b"y" * 90)
        read += reader.read()
        assert len(reader._rest) <= 190
    add(a_file, b"\nafter\n")
    read += reader.read()
    assert read == ["y" * 100, "after"]


def test_the_end_is_reached_behind_a_line_longer_than_what_is_read_at_once(a_file):
    add(a_file, b"z" * (3 << 20) + b"\nlast")
    assert LineReader(a_file, longest=50).finish() == ["z" * 50, "last"]


def test_bytes_that_are_no_text_are_still_lines(a_file):
    add(a_file, b"\xff\xfe\x00garbage\n{}\n")
    assert LineReader(a_file).read()[1] == "{}"


def test_a_file_that_was_rewritten_is_read_anew(a_file):
    """As a resumed run does with the records of steps after its checkpoint, even if it is longer again by then."""
    add(a_file, b"1\n2\n3 of the first go\n")
    reader = LineReader(a_file)
    assert len(reader.read()) == 3
    a_file.write_bytes(b"1\n2\n3 of the second go\n4\n5\n")
    assert reader.read() == ["1", "2", "3 of the second go", "4", "5"]
    assert reader.restarts == 1


def test_a_file_that_was_cut_is_read_anew(a_file):
    add(a_file, b"1\n2\n3\n")
    reader = LineReader(a_file)
    reader.read()
    a_file.write_bytes(b"1\n")
    assert reader.read() == ["1"]
    add(a_file, b"2\n")
    assert reader.read() == ["2"]


def test_a_file_that_is_away_for_a_moment_goes_on(a_file):
    add(a_file, b"1\n")
    reader = LineReader(a_file)
    reader.read()
    a_file.rename(a_file.with_name("elsewhere"))
    assert reader.read() == []
    a_file.with_name("elsewhere").rename(a_file)
    add(a_file, b"2\n")
    assert reader.read() == ["2"]


def test_an_offset_leaves_out_what_was_before(a_file):
    add(a_file, b"earlier\n")
    reader = LineReader(a_file, a_file.stat().st_size)
    add(a_file, b"now\n")
    assert reader.read() == ["now"]


def test_the_tail_has_whole_lines_alone(a_file):
    add(a_file, b"".join(b'{"step": %d}\n' % k for k in range(1000)))
    lines = tail(a_file, 100)
    assert all(json.loads(line) for line in lines)
    assert json.loads(lines[-1]) == {"step": 999}
    assert 5 < len(lines) < 10
    assert len(tail(a_file, 1 << 20)) == 1000
    assert tail(a_file.with_name("none"), 100) == []


@pytest.mark.parametrize(
    "text",
    ["", "plain", "{", '{"a": 1', "[1]", "1", "null", "{" * 100_000, '{"a":' * 50_000, '{"n": ' + "9" * 5000 + "}"],
)
def test_garbage_is_no_object(text):
    assert as_object(text) is None


def test_an_object_is_one():
    assert as_object('{"kind": "step", "loss": NaN}')["kind"] == "step"
