"""Models: figures, order, filter, comparing, activating by the gate's reasons, going back, deleting."""

import pytest

from recsys_tui.screens.models import Models
from recsys_tui.widgets.virtual_table import VirtualTable
from store.database import Database
from store.registry import Registry
from tests.recsys_tui.tui.pilot import drive


def registry(db):
    return Registry(Database(db))


def names(ui):
    table = ui.app.screen.query_one(VirtualTable)
    return [table._window.row(k)["version"] for k in range(table.count)]


async def stand_on(ui, version):
    await ui.press("g")
    while ui.app.screen.query_one(VirtualTable).current["version"] != version:
        await ui.press("j")


def test_versions_with_figures_and_intervals(films):
    async def script(ui):
        assert "versions 3" in ui.text
        assert "● active" in ui.text
        await stand_on(ui, "v1")
        row = registry(films).get(1).metrics["ndcg@10"]
        assert f"{row.value:.4f}  [{row.low:.4f}, {row.high:.4f}]" in ui.text

    drive(films, script, screen="models", size=(140, 40))


def test_none_yet_says_what_to_do(database):
    async def script(ui):
        assert "1 Train makes one" in ui.text

    drive(database.path, script, screen="models")


def test_sorting_and_its_other_way_round(films):
    async def script(ui):
        assert names(ui) == ["v3", "v2", "v1"]
        await ui.press("S")
        assert names(ui) == ["v1", "v2", "v3"]
        await ui.press("s")  # by model
        assert names(ui)[-1] == "v1"

    drive(films, script, screen="models")


def test_filtering(films):
    async def script(ui):
        await ui.press("slash")
        await ui.type("popu")
        await ui.press("enter")
        assert names(ui) == ["v1"]
        assert "versions 1 of 3" in ui.text
        await ui.press("slash")
        await ui.type("xyz")
        await ui.press("enter")
        assert "nothing matches" in ui.text

    drive(films, script, screen="models")


def test_activating_needs_the_gates_word_or_the_versions_name(films):
    """Popularity is better here: the gate refuses mf, and only typing its name serves it all the same."""

    async def script(ui):
        await stand_on(ui, "v2")
        await ui.press("a")
        await ui.until(lambda: "The gate does not let it pass" in ui.text)
        assert "ndcg@10" in ui.text
        await ui.press("enter")
        assert registry(films).active() == 1
        await ui.type("v2")
        await ui.press("enter")
        await ui.until(lambda: "active v2" in ui.text)

    drive(films, script, screen="models", size=(100, 40))
    assert registry(films).active() == 2
    change = registry(films).audit()[0]
    assert (change.action, change.version) == ("activate", 2)


def test_activating_the_better_one_takes_enter_and_b_goes_back(films):
    registry(films).activate(2, who="test")

    async def script(ui):
        await stand_on(ui, "v1")
        await ui.press("a")
        await ui.until(lambda: "v1 is better than v2" in ui.text)
        await ui.press("enter")
        await ui.until(lambda: "active v1" in ui.text)
        await ui.press("b")
        await ui.until(lambda: "Go back to v2" in ui.text)
        await ui.press("y")
        await ui.until(lambda: "active v2" in ui.text)

    drive(films, script, screen="models", size=(100, 40))
    assert registry(films).active() == 2


def test_escape_activates_nothing(films):
    async def script(ui):
        await stand_on(ui, "v3")
        await ui.press("a")
        await ui.press("escape")
        assert isinstance(ui.app.screen, Models)

    drive(films, script, screen="models")
    assert registry(films).active() == 1


def test_comparing_marked_versions(films):
    async def script(ui):
        await stand_on(ui, "v2")
        await ui.press("space")
        await stand_on(ui, "v1")
        await ui.press("space", "c")
        await ui.until(lambda: "differ by" in ui.text)
        assert "v2 against v1" in ui.text
        assert "rmse" in ui.text
        assert "$ recsys-tui compare v2 v1" in ui.app.screen.query_one("#command").render().plain

    drive(films, script, screen="models", size=(100, 40))


def test_comparing_needs_two(films):
    async def script(ui):
        await stand_on(ui, "v1")
        await ui.press("c")
        assert any("mark two" in toast for toast in ui.toasts)

    drive(films, script, screen="models")


def test_deleting_takes_the_name(films):
    async def script(ui):
        await stand_on(ui, "v3")
        await ui.press("D")
        assert "Type v3" in ui.text
        await ui.type("v2")
        await ui.press("enter")
        assert "Type v3" in ui.text
        await ui.press("backspace", "3", "enter")
        await ui.until(lambda: "versions 2" in ui.text)
        await stand_on(ui, "v1")
        await ui.press("D")
        assert any("activate another one first" in toast for toast in ui.toasts)

    drive(films, script, screen="models")
    assert [version.id for version in registry(films).versions()] == [2, 1]


def test_a_label_lineage_trail_and_verify(films):
    async def script(ui):
        await stand_on(ui, "v2")
        await ui.press("t")
        await ui.type("spring sale")
        await ui.press("enter")
        await ui.until(lambda: registry(films).get(2).label == "spring sale")
        await ui.press("i")
        await ui.until(lambda: "sha256" in ui.text)
        await ui.press("escape", "A")
        await ui.until(lambda: "activate" in ui.text and "audit trail" in ui.text)
        await ui.press("escape", "v")
        await ui.until(lambda: "every file of v2 is as it was written" in ui.text)

    drive(films, script, screen="models", size=(120, 40))


def test_verify_names_what_is_damaged(films):
    file = next((films.with_name("films.db.models") / "v2").glob("model*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")

    async def script(ui):
        await stand_on(ui, "v2")
        await ui.press("v")
        await ui.until(lambda: "checksum is not the one recorded" in ui.text)

    drive(films, script, screen="models", size=(120, 40))


@pytest.mark.parametrize("share", ["abc", "150%", "0%", "10", ""])
def test_a_share_that_is_none_is_said_below_it(films, share):
    async def script(ui):
        await stand_on(ui, "v2")
        await ui.press("K", "ctrl+u")
        await ui.pilot.press(*("percent_sign" if char == "%" else char for char in share))
        await ui.press("enter")
        await ui.until(lambda: "! write 10%: above 0% and below 100%" in ui.text)
        assert "canary v2" in ui.text
        await ui.press("ctrl+u", "5", "percent_sign")
        assert "! write" not in ui.text

    drive(films, script, screen="models")
    assert [change.action for change in registry(films).audit(2)] == ["register"]


def test_a_canary_is_begun_marked_and_ended(films):
    async def script(ui):
        await stand_on(ui, "v2")
        await ui.press("K", "enter")
        await ui.until(lambda: "◐ canary" in ui.text)
        await ui.press("K", "enter")
        await ui.until(lambda: any("is a canary already" in toast for toast in ui.toasts))
        await ui.press("b")
        assert "End the canary v2?" in ui.text
        await ui.press("y")
        await ui.until(lambda: "◐ canary" not in ui.text)

    drive(films, script, screen="models")
    actions = [change.action for change in registry(films).audit(2)]
    assert actions[:2] == ["canary-end", "canary"]


def test_whose_lists_change(films):
    async def script(ui):
        await stand_on(ui, "v2")
        await ui.press("d")
        await ui.until(lambda: "lists that change" in ui.text)
        assert "items in fewer lists" in ui.text or "items in more lists" in ui.text

    drive(films, script, screen="models", size=(120, 40))


def test_a_version_is_deleted_by_its_name_and_by_no_other(films):
    async def script(ui):
        await stand_on(ui, "v3")
        await ui.press("D")
        await ui.until(lambda: "Type v3 to go on" in ui.text)
        await ui.press("v", "2")
        await ui.until(lambda: "! only v3 goes on" in ui.text)
        await ui.press("enter")
        await ui.pilot.pause()
        assert ui.app.screen.query_one("#yes").disabled
        assert len(registry(films).versions()) == 3
        await ui.press("backspace", "3")
        await ui.until(lambda: "! only" not in ui.text)
        await ui.press("enter")
        await ui.until(lambda: "versions 2" in ui.text)

    drive(films, script, screen="models")
    assert [version.name for version in registry(films).versions()] == ["v2", "v1"]


def test_a_version_deleted_by_another_process_while_shown(films):
    async def script(ui):
        await stand_on(ui, "v3")
        registry(films).delete(3)
        await ui.until(lambda: "versions 2" in ui.text)

    drive(films, script, screen="models")
