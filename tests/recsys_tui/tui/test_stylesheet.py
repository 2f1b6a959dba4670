"""The rules of the look are parsed once, and anew only where the theme has other colours."""

from tests.recsys_tui.tui.driving import drive


def test_a_dialog_that_was_open_before_parses_nothing(films):
    async def act(ui):
        await ui.see("versions 3")
        await ui.press("question_mark")
        await ui.see("help: Models")
        await ui.press("escape")
        before = ui.app.stylesheet.rules
        await ui.press("question_mark")
        await ui.see("help: Models")
        assert ui.app.stylesheet.rules is before

    drive(films, act, screen="models")


def test_another_theme_has_other_colours(films):
    async def act(ui):
        await ui.see("versions 3")
        dark, rules = ui.place.styles.background, ui.app.stylesheet.rules
        ui.app.theme = "textual-light"
        await ui.until(lambda: ui.place.styles.background != dark)
        assert ui.app.stylesheet.rules is not rules
        ui.app.theme = "textual-dark"
        await ui.until(lambda: ui.place.styles.background == dark)

    drive(films, act, screen="models", theme="textual-dark")
