"""Both modules' panels look and speak alike: keyboard, tooltips, words in their .ui files, colours on both themes."""

import ast
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UI_FILES = sorted(ROOT.glob("RobustDIR*/Resources/UI/*.ui"))
SOURCES = sorted(path for part in ("panel", "panelparts", "trainpanel") for path in
                 (ROOT / "RobustDIR" / "RobustDIRLib" / part).rglob("*.py"))  # fmt: skip
# A panel is what can be seen at once: the module's own file with one of the others in it.
PANELS = [
    (path.parents[2] / "Resources" / "UI" / f"{path.parents[2].name}.ui", path)
    for path in UI_FILES
    if path.stem != path.parents[2].name or len(list(path.parent.glob("*.ui"))) == 1
]
INPUTS = {
    "QPushButton", "QToolButton", "QCheckBox", "QRadioButton", "QComboBox", "QSpinBox", "QDoubleSpinBox", "QSlider",
    "QLineEdit", "QPlainTextEdit", "QTextEdit", "QTableWidget", "QListWidget", "QTreeWidget", "qMRMLNodeComboBox",
    "ctkSliderWidget", "ctkDoubleSpinBox", "ctkDoubleSlider", "ctkRangeWidget", "ctkPathLineEdit", "ctkDirectoryButton",
    "ctkCheckableComboBox", "ctkComboBox",
}  # fmt: skip
SLICERS_MENUS = set("fevh")  # File, Edit, View, Help: Alt with these letters opens them
TEXTS = ("text", "toolTip", "title", "noneDisplay", "caption", "placeholderText", "windowTitle", "suffix")
# Of two words for one thing the panels use one.
GLOSSARY = {
    r"\bdatasets?\b": "data set",
    r"\bdirector(y|ies)\b": "folder",
    r"\bcolor(s|ed|ing)?\b": "colour",
    r"\bcent(er|ers|ered)\b": "centre",
    r"\bgr[a]y\b": "grey",
    r"\b[Ff]inetun": "fine-tune",
    r"\b[Pp]re-train": "pretrain",
    r"\blandmark (files|sets)\b": "landmarks",
    r"\b(images?) (to|that) (bring|stays?)\b": "volume",
    r"\blicense\b": "licence",
    r"\babort": "cancel, or stop",
    r"\bclinically (safe|validated)\b": "nothing of the kind",
}


def root_of(path: Path) -> ET.Element:
    return ET.fromstring(path.read_text(encoding="utf-8"))


def prop(widget: ET.Element, name: str) -> str:
    found = widget.find(f"property[@name='{name}']")
    return "" if found is None else "".join(found.itertext()).strip()


def texts_of(root: ET.Element):
    """Every text for people in a file, with the name of its widget."""
    for widget in root.iter("widget"):
        for element in (*widget.findall("property"), *widget.findall("attribute")):
            if element.get("name") in TEXTS and element.find("string") is not None:
                yield widget.get("name"), element.get("name"), element.find("string")


def mnemonics(root: ET.Element) -> list[str]:
    """The letters that Alt reaches, by the texts of buttons, labels and tabs."""
    shown = [s.text or "" for _, kind, s in texts_of(root) if kind in ("text", "title")]
    return [letter.lower() for text in shown for letter in re.findall(r"&(\w)", text.replace("&&", ""))]


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
class TestUiFile:
    def test_every_label_of_an_input_leads_to_it(self, path):
        root = root_of(path)
        classes = {widget.get("name"): widget.get("class") for widget in root.iter("widget")}
        for widget in root.iter("widget"):
            if widget.get("class") == "QLabel" and prop(widget, "text").endswith(":"):
                assert classes.get(prop(widget, "buddy")) in INPUTS, widget.get("name")

    def test_a_letter_of_a_label_without_a_buddy_would_do_nothing(self, path):
        for widget in root_of(path).iter("widget"):
            if widget.get("class") == "QLabel" and re.search(r"&\w", prop(widget, "text")):
                assert prop(widget, "buddy"), widget.get("name")

    def test_every_input_says_what_it_is_for(self, path):
        for widget in root_of(path).iter("widget"):
            if widget.get("class") in INPUTS:
                assert re.search(r"[.?)]$", prop(widget, "toolTip")), widget.get("name")

    def test_every_text_can_be_translated(self, path):
        assert [name for name, _, text in texts_of(root_of(path)) if text.get("notr")] == []

    def test_every_input_is_reached_by_tab(self, path):
        for widget in root_of(path).iter("widget"):
            assert prop(widget, "focusPolicy") != "Qt::NoFocus", widget.get("name")

    def test_colours_and_fonts_are_the_themes(self, path):
        for widget in root_of(path).iter("widget"):
            assert not prop(widget, "styleSheet"), widget.get("name")
            assert widget.find("property[@name='palette']") is None, widget.get("name")

    def test_the_words_are_those_of_the_glossary(self, path):
        for name, _, text in texts_of(root_of(path)):
            assert forbidden(text.text or "") == [], name


@pytest.mark.parametrize(("frame", "page"), PANELS, ids=lambda path: path.stem)
class TestKeyboard:
    def test_no_letter_leads_to_two_places(self, frame, page):
        letters = mnemonics(root_of(page)) + (mnemonics(root_of(frame)) if frame != page else [])
        assert [letter for letter in set(letters) if letters.count(letter) > 1] == []

    def test_letters_of_slicers_menus_stay_theirs(self, frame, page):
        assert not SLICERS_MENUS & set(mnemonics(root_of(page)) + mnemonics(root_of(frame)))


def test_the_way_through_a_registration_needs_no_mouse():
    letters = mnemonics(root_of(ROOT / "RobustDIR" / "Resources" / "UI" / "RobustDIR.ui"))
    assert len(letters) >= 18


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sentences_use_the_words_of_the_glossary(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", "") == "_"
            and isinstance(node.args[0], ast.Constant)
        ):
            assert forbidden(node.args[0].value) == [], node.lineno


def forbidden(text: str) -> list[str]:
    """Words of which the panels use others."""
    return [f"{found[0]}: {other}" for word, other in GLOSSARY.items() if (found := re.search(word, text))]


@pytest.mark.parametrize("text", ["Choose a dataset", "The directory", "the color of", "Finetune it", "a license"])
def test_another_word_is_found(text):
    assert forbidden(text)


# Slicer's own backgrounds: of windows, of tables, and of every other row of them.
LIGHT, DARK = ("#efefef", "#ffffff", "#f7f7f7"), ("#353535", "#2d2d2d", "#424242")
LEAST_CONTRAST = 4.5  # WCAG 2.1, level AA, text of common size


def luminance(colour: str) -> float:
    """Relative luminance of a colour, WCAG 2.1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_counted_as_the_standard_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_read_on_either_theme(desktop, theme):
    from RobustDIRLib.panelparts import widgets

    for name, shades in widgets.SHADES.items():
        for background in theme:
            assert contrast(shades[theme is DARK], background) >= LEAST_CONTRAST, (name, background)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_theme_that_is_on_chooses_the_shade(desktop, theme):
    import qt

    from RobustDIRLib.panelparts import widgets

    label, palette = qt.QLabel(), qt.QPalette()
    palette.setColor(qt.QPalette.Window, qt.QColor(theme[0]))
    label.setPalette(palette)
    widgets.set_text(label, "Something is missing.", widgets.BAD)
    assert widgets.SHADES[widgets.BAD][theme is DARK] in label.styleSheet
    widgets.set_text(label, "Nothing is.")
    assert label.styleSheet == ""


# Of 1080 pixels Slicer's title, menus, tool bars, module selector and status line take some 180.
WIDTH, HEIGHT = 440, 1080 - 180


def height_of(panel) -> int:
    """What a panel needs at the width that Slicer gives it."""
    from SlicerHeadless import desktop

    panel.parent.setFixedWidth(WIDTH)
    panel.parent.show()
    desktop.process_events()
    height = panel.parent.layout().totalHeightForWidth(WIDTH)
    panel.parent.hide()
    return max(height, panel.parent.layout().minimumSize().height())


def cut_off(panel) -> list[str]:
    """Texts that have less room than they need, at the width that Slicer gives a panel."""
    import qt

    from SlicerHeadless import desktop

    panel.parent.setFixedWidth(WIDTH)
    panel.parent.show()
    desktop.process_events()
    found = []
    for kind in (qt.QLabel, qt.QCheckBox, qt.QPushButton):
        for widget in panel.parent.findChildren(kind):
            text, wraps = widget.text, widget.property("wordWrap")
            needed = widget.fontMetrics().horizontalAdvance(text.replace("&", "").rstrip())
            if kind is qt.QCheckBox:
                needed = widget.sizeHint().width()
            if widget.isVisible() and text and not wraps and widget.width < needed:
                found.append(f"{widget.objectName}: {text}")
    panel.parent.hide()
    return found


@pytest.mark.parametrize("section", ["inputs", "method", "outputs", "look", "check", "apply"])
def test_a_section_in_use_fits_a_common_screen(open_panel, desktop, section):
    panel = open_panel("RobustDIR")
    for name in ("inputs", "method", "outputs", "look", "check", "apply"):
        getattr(panel.ui, f"{name}CollapsibleButton").collapsed = name != section
    for label in ("environmentLabel", "lookLabel", "messageLabel", "maskLabel", "warningsLabel"):
        getattr(panel.ui, label).text = "A sentence as long as they are when there is something to be said. " * 2
    assert 200 < height_of(panel) <= HEIGHT


def test_the_check_section_fits_with_all_its_tables_filled(open_panel, desktop):
    """As after a registration with more landmarks, structures and figures than can be seen at once."""
    from RobustDIRLib.panel import check_section, judgement_table
    from RobustDIRLib.panelparts import widgets

    panel = open_panel("RobustDIR")
    ui = panel.ui
    for name in ("inputs", "method", "outputs", "look", "check", "apply"):
        getattr(ui, f"{name}CollapsibleButton").collapsed = name != "check"
    rows = {"judgement": judgement_table._ROWS} | dict.fromkeys(("landmark", "structure"), check_section._ROWS_OF_LISTS)
    for name, most in rows.items():
        table = getattr(ui, f"{name}Table")
        widgets.fill_table(table, {"a": "", "b": ""}, [["x", "y"]] * 60)
        widgets.fit_height(table, most)
        table.setVisible(True)
    for label in ("environmentLabel", "messageLabel"):
        getattr(ui, label).text = "A sentence as long as they are when there is something to be said. " * 2
    for page in range(ui.checkTabs.count):
        ui.checkTabs.setCurrentIndex(page)
        assert height_of(panel) <= HEIGHT, page


@pytest.mark.parametrize("tab", ["data", "train", "runs", "evaluate"])
def test_a_tab_in_use_fits_a_common_screen(open_panel, desktop, tab):
    panel = open_panel("RobustDIRTrain")
    tabs, page = panel.ui.trainTabs, getattr(panel.ui, f"{tab}Tab")
    tabs.setCurrentWidget(page)
    rest = height_of(panel) - tabs.sizeHint().height() + tabs.tabBar().sizeHint().height()
    assert 100 < rest + page.minimumSizeHint().height() <= HEIGHT


@pytest.mark.parametrize("tab", ["data", "train", "runs", "evaluate"])
def test_no_text_of_a_tab_is_cut_off(open_panel, desktop, tab):
    """With every kind of data set, and every purpose of a run."""
    panel = open_panel("RobustDIRTrain")
    behind, ui = panel.widget.panel, panel.ui
    behind.show_tab(f"{tab}Tab")
    for name in ("settings", "more", "publish", "models", "runLog", "newEvaluation"):
        getattr(ui, f"{name}CollapsibleButton").collapsed = False
    ways = {"data": [("dataSource", key) for key in behind.data.source.keys],
            "train": [("purpose", key) for key in behind.train.purpose.keys]}  # fmt: skip
    for name, key in ways.get(tab, [("dataSource", "auto")]):
        setattr(behind.parameters, name, key)
        behind.update()
        ui.splitFrame.setVisible(tab == "data")  # as where a data set is open
        assert cut_off(panel) == [], key


@pytest.mark.parametrize("section", ["inputs", "method", "outputs", "look", "check", "apply"])
def test_no_text_of_a_section_is_cut_off(open_panel, desktop, section):
    panel = open_panel("RobustDIR")
    for name in ("inputs", "method", "outputs", "look", "check", "apply"):
        getattr(panel.ui, f"{name}CollapsibleButton").collapsed = name != section
    assert cut_off(panel) == []


def test_the_settings_of_a_run_fit_a_common_screen_one_section_at_a_time(open_panel, desktop):
    panel = open_panel("RobustDIRTrain")
    ui = panel.ui
    ui.trainTabs.setCurrentWidget(ui.trainTab)
    for settings in (True, False):
        ui.settingsCollapsibleButton.collapsed, ui.moreCollapsibleButton.collapsed = not settings, settings
        desktop.process_events()
        rest = height_of(panel) - ui.trainTabs.sizeHint().height() + ui.trainTabs.tabBar().sizeHint().height()
        assert 100 < rest + ui.trainTab.minimumSizeHint().height() <= HEIGHT


@pytest.mark.parametrize("count", [0, 100, 101, 250])
def test_a_table_of_many_rows_is_filled_in_parts_without_gaps(desktop, count):
    import qt

    from RobustDIRLib.panelparts import widgets

    table, told = qt.QTableWidget(), []
    rows = [[f"case {k}", f"{k / 7:.3f}"] for k in range(count)]
    others = widgets.fill_table_in_parts(table, {"a": "the case.", "b": "its figure."}, rows, told.extend)
    assert table.rowCount == len(told) == min(count, 100)  # at once
    for step, _ in enumerate(others, 2):
        assert table.rowCount == len(told) == min(count, 100 * step)
    assert [[table.item(r, c).text() for c in range(2)] for r in range(table.rowCount)] == rows
    assert told == list(range(count))
    assert not count or table.item(count - 1, 1).toolTip() == f"b: {rows[-1][1]}. its figure."
