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


def test_what_is_made_ahead_looks_as_what_is_made_when_it_is_asked_for(films):
    looks = []

    def looked_at(*, ahead):
        async def act(ui):
            await ui.see("versions 3")
            if ahead:
                ui.app.make_ahead()
                await ui.until(lambda: len(ui.app.places_made()) == len(ui.app.places))
            for key, title in (("slash", "filter"), ("colon", "commands"), ("question_mark", "help: Models")):
                await ui.press(key)
                await ui.see(f"╭─ {title}")
                await ui.pilot.pause(0.3)
                looks.append(ui.text)
                await ui.press("escape")

        drive(films, act, screen="models")

    looked_at(ahead=False)
    looked_at(ahead=True)
    assert looks[:3] == looks[3:]


def test_the_place_behind_a_dialog_is_faint_in_the_colours_of_the_terminal(films):
    async def act(ui):
        await ui.see("versions 3")
        await ui.press("slash")
        await ui.see("╭─ filter", "╭─ versions 3")
        [header] = ui.app.screen._compositor.render_strips()[:1]
        assert all(style.dim for _, style, _ in header)
        assert "".join(text for text, style, _ in header if style.reverse).strip() == "2 Models"

    drive(films, act, screen="models", theme="ansi-dark")


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
