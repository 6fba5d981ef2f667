"""Model files: written whole or not at all, read without running anything in them, refused in one sentence."""

import os
import pickle
import subprocess
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
import torch

from RobustDIRLib import cli, model_file, model_store
from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.build import build_network, network_config

CONFIG = {"kind": "pyramid", "encoder": [4, 6], "decoder": [6, 6], "depth": [1, 1], "radius": [1, 1]}
CARD = {"name": "tiny", "steps": 3, "results": {"lung": [4.6, 1.25]}, "note": None}


@pytest.fixture
def a_network():
    torch.manual_seed(3)
    network = build_network(CONFIG)
    for parameter in network.parameters():  # the last layer starts at zero, which would hide everything
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.fixture
def a_model_file(tmp_path, a_network):
    folder = tmp_path / "here"
    folder.mkdir()
    return model_file.save_model(folder / "tiny.pt", a_network, CARD)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBUSTDIR_MODELS", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture
def a_shipped_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(model_store, "SHIPPED", tmp_path / "shipped")
    (tmp_path / "shipped").mkdir()
    return tmp_path / "shipped"


def rewrite(path: Path, change) -> Path:
    """A model file with other content, and no checksum to give it away."""
    content = torch.load(path, weights_only=True)
    del content["checksum"]
    change(content)
    changed = path.with_name("changed.pt")
    torch.save(content, changed)
    return changed


def sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_what_is_saved_is_loaded(a_model_file, a_network):
    model = model_store.load_model(a_model_file)
    assert network_config(model.network) == network_config(a_network)
    assert model.card == CARD
    assert not model.network.training
    images = torch.rand(2, 1, 1, 17, 20, 23)
    with torch.inference_mode():
        for ours, theirs in zip(model.network(*images), a_network(*images), strict=True):
            assert torch.equal(ours, theirs)
            assert ours.abs().max() > 0


def test_checksum_agrees_with_sha256sum(a_model_file):
    note = a_model_file.with_name("tiny.pt.sha256")
    checked = subprocess.run(
        ["sha256sum", "--check", note.name], cwd=note.parent, capture_output=True, encoding="utf-8"
    )
    assert checked.stdout == "tiny.pt: OK\n"
    assert note.read_text(encoding="utf-8").split()[0] == model_store.load_model(a_model_file).checksum


def test_every_single_flipped_byte_is_noticed_by_the_checksum(a_model_file):
    whole = a_model_file.read_bytes()
    for place in (0, 40, len(whole) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        a_model_file.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged: it differs from the checksum") as error:
            model_store.load_model(a_model_file)
        assert str(a_model_file) in sentence(error)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_truncated_file_is_refused(a_model_file, tmp_path, share):
    cut = tmp_path / "cut.pt"
    cut.write_bytes(a_model_file.read_bytes()[: int(a_model_file.stat().st_size * share)])
    with pytest.raises(InputError, match="truncated") as error:
        model_store.load_model(cut)
    assert str(cut) in sentence(error)


class Evil:
    """Unpickled carelessly, this leaves a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("where", ["whole", "weights", "card", "bare pickle"])
def test_code_in_a_file_is_never_run(a_model_file, tmp_path, where):
    trace, hostile = tmp_path / "ran", tmp_path / "hostile.pt"
    if where == "bare pickle":
        hostile.write_bytes(pickle.dumps(Evil(trace)))
    else:
        content = torch.load(a_model_file, weights_only=True)
        torch.save(Evil(trace) if where == "whole" else content | {where: {"x": Evil(trace)}}, hostile)
    with pytest.raises(InputError) as error:
        model_store.load_model(hostile)
    assert str(hostile) in sentence(error)
    assert not trace.exists()


def test_a_whole_pickled_network_is_refused(a_network, tmp_path):
    torch.save(a_network, tmp_path / "network.pt")
    with pytest.raises(InputError, match="refused"):
        model_store.load_model(tmp_path / "network.pt")


def test_foreign_files_are_refused(tmp_path):
    foreign = {"text.pt": b"not a model", "empty.pt": b""}
    for name, content in foreign.items():
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("hello.txt", "hello")
    torch.save({"state_dict": {"w": torch.ones(3)}}, tmp_path / "checkpoint.pt")
    torch.save([1, 2, 3], tmp_path / "list.pt")
    for name in (*foreign, "zip.pt", "checkpoint.pt", "list.pt"):
        with pytest.raises(InputError) as error:
            model_store.load_model(tmp_path / name)
        assert name in sentence(error)


CHANGES = {
    "another format": (lambda c: c.update(format="robustdir-model-9"), "no model file of the form"),
    "a missing part": (lambda c: c.pop("card"), "no model file of the form"),
    "a part of another type": (lambda c: c.update(weights=[1]), "where they belong"),
    "an unknown key": (lambda c: c["network"].update(wings=2), "wings"),
    "an unknown kind": (lambda c: c["network"].update(kind="bird"), "bird"),
    "other sizes": (lambda c: c["network"].update(encoder=[4, 8]), "do not fit"),
    "a lacking weight": (lambda c: c["weights"].popitem(), "do not fit"),
    "a weight that is no tensor": (lambda c: c["weights"].update({next(iter(c["weights"])): 3}), "do not fit"),
    "a weight that is not finite": (lambda c: next(iter(c["weights"].values())).fill_(float("nan")), "not finite"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_content_that_makes_no_model_is_refused(a_model_file, change):
    alter, words = CHANGES[change]
    changed = rewrite(a_model_file, alter)
    with pytest.raises(InputError, match=words) as error:
        model_store.load_model(changed)
    assert str(changed) in sentence(error)


def test_unknown_name_lists_the_known_ones(a_model_file):
    model_store.add_model(a_model_file, "lung.2")
    model_store.add_model(a_model_file, "brain")
    with pytest.raises(InputError, match=r"'liver'; known: .*brain, lung\.2;") as error:
        model_store.load_model("liver")
    sentence(error)
    with pytest.raises(InputError, match="liver.pt does not exist"):
        model_store.load_model("liver.pt")


def test_killed_while_saving_leaves_the_old_file(a_model_file, a_network, monkeypatch):
    before = a_model_file.read_bytes()

    def die(content, path):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", die)
    with pytest.raises(KeyboardInterrupt):
        model_file.save_model(a_model_file, a_network, {})
    assert a_model_file.read_bytes() == before
    assert sorted(p.name for p in a_model_file.parent.iterdir()) == ["tiny.pt", "tiny.pt.sha256"]
    monkeypatch.undo()
    assert model_store.load_model(a_model_file).card == CARD


def test_killed_between_weights_and_checksum_leaves_a_loadable_file(a_model_file, a_network, monkeypatch):
    def die(path, checksum):
        raise KeyboardInterrupt

    monkeypatch.setattr(model_file, "write_checksum", die)
    with pytest.raises(KeyboardInterrupt):
        model_file.save_model(a_model_file, a_network, {"steps": 4})
    assert model_store.load_model(a_model_file).card == {"steps": 4}


def test_card_of_anything_but_plain_values_is_refused_before_writing(a_network, tmp_path):
    with pytest.raises(TypeError):
        model_file.save_model(tmp_path / "m.pt", a_network, {"path": tmp_path})
    assert list(tmp_path.iterdir()) == []


def test_added_model_is_listed_and_the_same(a_model_file, own_folder):
    entry = model_store.add_model(a_model_file)
    assert entry == model_store.ModelEntry("tiny", own_folder / "tiny" / "weights.pt", shipped=False)
    assert entry in model_store.list_models()
    assert model_store.load_model("tiny").checksum == model_store.load_model(a_model_file).checksum
    assert model_file.checksum_problem(entry.path) is None
    assert "results" in (own_folder / "tiny" / "card.md").read_text(encoding="utf-8")


def test_adding_runs_the_network(a_model_file, own_folder, monkeypatch):
    network_class = type(model_store.load_model(a_model_file).network)
    forward = network_class.forward
    for broken in (
        lambda self, f, m: type(forward(self, f, m))(*(x * float("nan") for x in forward(self, f, m))),
        lambda self, f, m: type(forward(self, f, m))(*(x[..., :-1] for x in forward(self, f, m))),
        lambda self, f, m: torch.ones(2, 3) @ torch.ones(2, 3),
    ):
        monkeypatch.setattr(network_class, "forward", broken)
        with pytest.raises(InputError, match="small pair|no finite displacement"):
            model_store.add_model(a_model_file)
        assert not own_folder.exists()


@pytest.mark.parametrize("name", ["../escape", "a/b", ".hidden", "", "two words", "ends.", "x" * 65])
def test_names_that_could_leave_the_folder_are_refused(a_model_file, own_folder, name):
    if name:
        with pytest.raises(InputError, match="cannot name a model"):
            model_store.add_model(a_model_file, name)
        assert not own_folder.exists()
    else:
        assert model_store.add_model(a_model_file, name).name == "tiny"


def test_taken_names_are_refused(a_model_file, a_network, a_shipped_folder):
    (a_shipped_folder / "generic").mkdir()
    model_file.save_model(a_shipped_folder / "generic" / "weights.pt", a_network, {})
    model_store.add_model(a_model_file)
    for name in ("generic", "Generic", "tiny"):
        with pytest.raises(InputError, match="is there already"):
            model_store.add_model(a_model_file, name)


def test_shipped_models_come_first_and_cannot_be_hidden(a_network, a_shipped_folder, own_folder):
    for folder, name in ((own_folder, "generic"), (own_folder, "aorta"), (a_shipped_folder, "generic")):
        (folder / name).mkdir(parents=True)
        model_file.save_model(folder / name / "weights.pt", a_network, {})
    assert [(e.name, e.shipped) for e in model_store.list_models()] == [("generic", True), ("aorta", False)]
    assert model_store.load_model("generic").path.is_relative_to(a_shipped_folder)


@pytest.mark.parametrize("entry", [e for e in model_store.list_models() if e.shipped], ids=lambda entry: entry.name)
def test_shipped_models_are_whole_small_and_have_cards(entry):
    assert model_file.checksum_problem(entry.path) is None
    assert entry.path.stat().st_size < 10e6
    assert (entry.path.parent / "card.md").read_text(encoding="utf-8").startswith("# ")
    model_store._check_forward(model_store.load_model(entry.name))


def test_commands_list_add_show_and_path(a_model_file, own_folder, capsys):
    assert cli.main(["models", "add", str(a_model_file), "--name", "mine"]) == 0
    assert capsys.readouterr().out == f"added mine: {own_folder / 'mine' / 'weights.pt'}\n"
    assert cli.main(["models", "list"]) == 0
    assert "mine" in capsys.readouterr().out
    assert cli.main(["models", "show", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "results" in shown
    assert model_store.load_model("mine").checksum in shown
    assert "kind pyramid" in shown
    assert cli.main(["models", "path", "mine"]) == 0
    assert capsys.readouterr().out.strip() == str(own_folder / "mine" / "weights.pt")
    assert cli.main(["models", "path"]) == 0
    assert capsys.readouterr().out.strip() == str(own_folder)


def test_command_refuses_in_one_line_with_2(tmp_path, capsys):
    (tmp_path / "x.pt").write_bytes(b"PK\x03\x04 and no more")
    assert cli.main(["models", "add", str(tmp_path / "x.pt")]) == 2
    assert capsys.readouterr().err == f"robustdir: {tmp_path / 'x.pt'} is truncated; copy it again.\n"


def test_listing_needs_no_torch():
    source = Path(import_module("RobustDIRLib.cli.models").__file__).read_text(encoding="utf-8")
    assert "import torch" not in source


# Files that are damaged, or ask for more than they hold, without a checksum beside them


def alone(path: Path) -> Path:
    path.with_name(path.name + ".sha256").unlink()
    return path


def test_a_flipped_byte_is_found_without_a_checksum_beside_it(a_model_file):
    """Wherever it lies: it is refused, or changes nothing that is read (what fills the archive up)."""
    path, whole = alone(a_model_file), a_model_file.read_bytes()
    expected = model_store.load_model(path).network.state_dict()
    found = 0
    for place in range(5, len(whole), len(whole) // 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            model = model_store.load_model(path)
        except InputError:
            found += 1
        else:
            assert model.card == CARD
            assert all(torch.equal(value, expected[name]) for name, value in model.network.state_dict().items())
    assert found > 50


def test_content_is_held_by_its_own_checksum_and_files_without_one_still_load(a_model_file):
    def louder(content):
        next(iter(content["weights"].values())).mul_(2)

    content = torch.load(a_model_file, weights_only=True)
    louder(content)
    torch.save(content, a_model_file.with_name("louder.pt"))
    with pytest.raises(InputError, match="does not fit its own checksum"):
        model_store.load_model(a_model_file.with_name("louder.pt"))
    assert model_store.load_model(rewrite(a_model_file, louder)).card == CARD


ABSURD = {
    "radius": {**CONFIG, "radius": [10**6, 10**6]},
    "channels": {**CONFIG, "encoder": [10**6, 10**6]},
    "levels": {"kind": "pyramid", **{key: [4] * 10**5 for key in ("encoder", "decoder", "depth", "radius")}},
    "squarings": {**CONFIG, "squarings": 10**9},
    "iterations": {**CONFIG, "iterations": [10**9, 1]},
    "depth": {**CONFIG, "depth": [10**9, 1]},
    "unet": {"kind": "unet", "channels": 10**7},
    "cascade": {"kind": "cascade", "channels": [10**7, 4]},
    "just too large": {"kind": "cascade", "channels": [2000, 2000]},
}


@pytest.mark.parametrize("config", ABSURD.values(), ids=ABSURD)
def test_absurd_sizes_are_refused_before_anything_is_built(a_model_file, config, monkeypatch):
    """In an address space that would hold none of it."""
    path = rewrite(a_model_file, lambda content: content.update(network=config))
    made = []
    original = torch.nn.Conv3d.__init__
    monkeypatch.setattr(
        torch.nn.Conv3d, "__init__", lambda self, *a, **k: (original(self, *a, **k), made.append(self.weight))[0]
    )
    with pytest.raises(InputError) as error:
        model_store.load_model(path)
    assert str(path) in sentence(error)
    assert all(weight.is_meta for weight in made)


def test_weights_that_repeat_a_few_numbers_are_refused(a_model_file):
    def stretch(content):
        content["weights"] = {name: torch.zeros(()).expand(value.shape) for name, value in content["weights"].items()}

    with pytest.raises(InputError, match="do not fit"):
        model_store.load_model(rewrite(a_model_file, stretch))


@pytest.mark.parametrize("kind", [torch.int8, torch.complex64, torch.float64])
def test_weights_of_another_type_are_refused_and_not_rounded(a_model_file, kind):
    def cast(content):
        content["weights"] = {name: value.to(kind) for name, value in content["weights"].items()}

    with pytest.raises(InputError, match="of another type"):
        model_store.load_model(rewrite(a_model_file, cast))


def test_a_packed_archive_is_refused_unread(a_model_file, tmp_path):
    """Zeros pack a thousandfold."""
    bomb = tmp_path / "bomb.pt"
    with zipfile.ZipFile(a_model_file) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(InputError, match="packed") as error:
        model_store.load_model(bomb)
    assert str(bomb) in sentence(error)


def test_a_card_of_more_than_plain_values_is_refused(a_model_file):
    with pytest.raises(InputError, match="plain values"):
        model_store.load_model(rewrite(a_model_file, lambda content: content.update(card={"a": torch.zeros(3)})))


class TestPublishing:
    NOTES = {"anatomy": "liver", "modality": "CT", "licence": "CC BY 4.0", "notes": "Ten pairs, one scanner."}

    def test_notes_go_with_the_file_to_another_computer(self, a_model_file, a_network, tmp_path, monkeypatch):
        model_store.add_model(a_model_file, "liver", self.NOTES)
        exported = model_store.export_model("liver", tmp_path / "liver-ct.pt")
        monkeypatch.setenv("ROBUSTDIR_MODELS", str(tmp_path / "other computer"))
        entry = model_store.add_model(exported)
        assert entry.name == "liver"
        model = model_store.load_model("liver")
        assert model.card == {**CARD, "name": "liver", **self.NOTES}
        for name, weights in model.network.state_dict().items():
            assert torch.equal(weights, a_network.state_dict()[name])
        text = entry.path.with_name("card.md").read_text(encoding="utf-8")
        assert all(words in text for words in self.NOTES.values())
        assert model_file.checksum_problem(entry.path) is None

    def test_so_does_a_name_alone(self, a_model_file, tmp_path, monkeypatch):
        entry = model_store.add_model(a_model_file, "liver")
        assert "- name: liver\n" in entry.path.with_name("card.md").read_text(encoding="utf-8")
        exported = model_store.export_model("liver", tmp_path / "given.pt")
        monkeypatch.setenv("ROBUSTDIR_MODELS", str(tmp_path / "other computer"))
        assert model_store.add_model(exported).name == "liver"

    def test_a_damaged_export_is_refused(self, a_model_file, tmp_path, own_folder):
        model_store.add_model(a_model_file, "liver", self.NOTES)
        exported = model_store.export_model("liver", tmp_path / "liver-ct.pt")
        data = bytearray(exported.read_bytes())
        data[len(data) // 2] ^= 1
        exported.write_bytes(data)
        with pytest.raises(InputError):
            model_store.add_model(exported, "other")
        assert not (own_folder / "other").exists()

    def test_a_name_that_is_taken_leaves_the_other_as_it_was(self, a_model_file):
        entry = model_store.add_model(a_model_file, "liver")
        before = entry.path.read_bytes()
        with pytest.raises(InputError, match="is there already"):
            model_store.add_model(a_model_file, "Liver", self.NOTES)
        assert entry.path.read_bytes() == before

    def test_a_full_disk_leaves_no_half_of_a_model(self, a_model_file, own_folder, monkeypatch):
        def full(*_):
            raise InputError("the disk is full.")

        monkeypatch.setattr(model_store, "save_model", full)
        with pytest.raises(InputError, match="full"):
            model_store.add_model(a_model_file, "liver", self.NOTES)
        assert not (own_folder / "liver").exists()
        assert "liver" not in {entry.name for entry in model_store.list_models()}

    def test_exports_write_over_nothing(self, a_model_file, tmp_path):
        model_store.add_model(a_model_file, "liver")
        (tmp_path / "there.pt").write_text("mine")
        for path, words in (
            ("there.pt", "is there already"),
            ("x.zip", "goes into .pt"),
            ("no/x.pt", "does not exist"),
        ):
            with pytest.raises(InputError, match=words):
                model_store.export_model("liver", tmp_path / path)
        assert (tmp_path / "there.pt").read_text(encoding="utf-8") == "mine"
        with pytest.raises(InputError, match="no model is named 'lung'"):
            model_store.export_model("lung", tmp_path / "x.pt")

    def test_an_export_replaces_a_file_where_that_is_meant_and_never_a_model(self, a_model_file, tmp_path):
        entries = [model_store.add_model(a_model_file, name) for name in ("liver", "lung")]
        (tmp_path / "there.pt").write_text("of before")
        model_store.export_model("liver", tmp_path / "there.pt", overwrite=True)
        assert (tmp_path / "there.pt").read_bytes() == entries[0].path.read_bytes()
        before = [entry.path.read_bytes() for entry in entries]
        for entry in entries:
            with pytest.raises(InputError, match="would be written over"):
                model_store.export_model("liver", entry.path, overwrite=True)
        assert [entry.path.read_bytes() for entry in entries] == before

    def test_a_model_that_was_damaged_since_is_not_exported(self, a_model_file, tmp_path):
        entry = model_store.add_model(a_model_file, "liver")
        entry.path.write_bytes(entry.path.read_bytes()[:-1] + b"x")
        with pytest.raises(InputError, match="is damaged"):
            model_store.export_model("liver", tmp_path / "x.pt")
        assert not (tmp_path / "x.pt").exists()

    def test_own_models_are_removed_and_shipped_ones_stay(self, a_model_file, a_network, a_shipped_folder, own_folder):
        (a_shipped_folder / "generic").mkdir()
        shipped = model_file.save_model(a_shipped_folder / "generic" / "weights.pt", a_network, CARD)
        entry = model_store.add_model(a_model_file, "liver")
        (entry.path.parent / "mine.txt").touch()
        model_store.remove_model("liver")
        assert [path.name for path in (own_folder / "liver").iterdir()] == ["mine.txt"]
        with pytest.raises(InputError, match="shipped with RobustDIR and stays"):
            model_store.remove_model("generic")
        assert shipped.exists()
        with pytest.raises(InputError, match="no model is named 'liver'"):
            model_store.remove_model("liver")

    def test_from_the_command_line(self, a_model_file, tmp_path, capsys):
        assert cli.main(["models", "add", str(a_model_file), "--name", "liver", "--anatomy", "liver"]) == 0
        assert cli.main(["models", "export", "liver", str(tmp_path / "liver.pt")]) == 0
        assert cli.main(["models", "remove", "liver"]) == 0
        assert cli.main(["models", "add", str(tmp_path / "liver.pt")]) == 0
        assert model_store.load_model("liver").card["anatomy"] == "liver"
        assert "exported liver" in capsys.readouterr().out
