"""The parts that need no app: a run as it is watched, the form as text, copying, ASCII, what is kept."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from recsys_tui import clipboard, trainform
from recsys_tui.actions import Action, line_of
from recsys_tui.runview import RunView, headline, thinned
from recsys_tui.trainform import OPTIONS
from recsys_tui.ui_state import UiState, state_file
from recsys_tui.widgets.plain import plain
from store.journal import Event, Job
from tests.hostile import TEXTS


def epoch(seq, number, of=10, seconds=2.0, **losses):
    data = {"number": number, "of": of, "losses": losses, "seconds": seconds, "ratings_per_second": 1000}
    return Event(seq, 100.0 + seq, "epoch", data)


def job(**changes):
    facts = dict.fromkeys(Job.__dataclass_fields__)
    facts |= {"id": 7, "model": "mf", "state": "running", "request": {}, "created_at": 0.0, "cancel_requested": False}
    return Job(**facts | changes)


class TestRunView:
    def test_curves_share_and_forecast(self):
        view = RunView()
        view.take([Event(1, 99.0, "stage", {"stage": "reading ratings"})])
        view.take([epoch(2, 1, train=1.0, valid=2.0), epoch(3, 2, seconds=4.0, train=0.5, valid=1.5)])
        assert [(c.name, c.points) for c in view.curves] == [
            ("train", ((1, 1.0), (2, 0.5))),
            ("valid", ((1, 2.0), (2, 1.5))),
        ]
        assert view.share == 0.2
        assert view.remaining == 8 * 3.0
        assert view.latest() == [("train", 0.5, -0.5), ("valid", 1.5, -0.5)]
        assert view.seen == 3

    def test_the_second_fit_on_all_rows_is_another_curve(self):
        view = RunView()
        view.take([epoch(1, 1, of=2, train=1.0), epoch(2, 2, of=2, train=0.8), epoch(3, 1, of=2, train=0.9)])
        assert [c.name for c in view.curves] == ["train", "train, all rows"]
        assert view.number == 1

    def test_each_model_of_auto_has_curves_of_its_own_and_those_of_the_chosen_one_stay(self):
        view = RunView()
        view.take([Event(1, 99.0, "stage", {"stage": "mf", "model": "mf"})])
        view.take([epoch(2, 1, of=2, train=1.0), epoch(3, 2, of=2, train=0.8)])
        view.take(
            [Event(4, 99.0, "candidate", {"model": "mf", "version": "v1", "ndcg@10": 0.1, "rmse": 0.9, "why": ""})]
        )
        view.take(
            [Event(5, 99.0, "stage", {"stage": "ncf", "model": "ncf"}), Event(6, 99.0, "stage", {"stage": "measuring"})]
        )
        assert (view.model, view.curves, view.remaining, view.number) == ("ncf", [], None, 0)
        view.take([epoch(7, 1, of=9, ranking=6.0)])
        assert [(c.name, c.points) for c in view.curves] == [("ranking", ((1, 6.0),))]
        assert headline(job(model="auto"), view, None, 80).startswith("job 7 auto: ncf  running  epoch 1/9")
        view.take([Event(8, 99.0, "choice", {"version": "v1", "why": "it is better"})])
        assert [(c.name, c.points) for c in view.curves] == [("train", ((1, 1.0), (2, 0.8)))]

    def test_a_run_of_auto_that_did_not_tell_its_models_apart_is_drawn_as_one(self):
        view = RunView()
        view.take([Event(1, 99.0, "stage", {"stage": "mf"}), epoch(2, 1, of=2, train=1.0)])
        view.take(
            [Event(3, 99.0, "candidate", {"model": "mf", "version": "v1", "ndcg@10": 0.1, "rmse": 0.9, "why": ""})]
        )
        view.take([Event(4, 99.0, "choice", {"version": "v1", "why": "it is the only one"})])
        assert (view.model, view.latest()) == ("", [("train", 1.0, None)])
        assert [c.name for c in view.curves] == ["train"]

    def test_held_out_figures_are_curves_of_their_metric_with_gaps_where_epochs_were_passed_over(self):
        view = RunView()
        events = [epoch(1, 1, train=1.0), epoch(2, 2, train=0.8), epoch(3, 3, train=0.7)]
        events[0].data["held_out"] = {"ndcg@10": 0.1}
        events[1].data["held_out"] = {}
        events[2].data["held_out"] = {"ndcg@10": 0.3}
        view.take(events)
        assert view.curves[1] == ("held-out ndcg@10", ((1, 0.1), (3, 0.3)), "ndcg@10")
        assert "held-out ndcg@10 0.3000" in view.lines[2][1]

    @pytest.mark.parametrize("model", ["mf", "bayesian-mf"])
    def test_in_80_columns_speed_forecast_and_memory_are_all_there(self, model):
        view = RunView()
        view.take([epoch(1, 140, of=200, train=0.5)])
        line = headline(job(id=12, model=model), view, 300_000_000, 78)
        for part in ("epoch 140/200", "70%", "ETA 2m 00s", "1.0k", "/s", "MB"):
            assert part in line

    def test_a_loss_that_is_missing_is_no_point(self):
        view = RunView()
        view.take([epoch(1, 1, train=None), epoch(2, 2, train=0.5)])
        assert view.curves[0].points == ((2, 0.5),)

    def test_before_the_first_epoch_nothing_is_forecast(self):
        assert RunView().remaining is None
        assert RunView().share == 0.0

    @pytest.mark.parametrize("width", [20, 60, 78, 140])
    def test_the_headline_has_its_room(self, width):
        view = RunView()
        view.take([epoch(1, 3, train=0.5)])
        line = headline(job(), view, 300_000_000, width)
        assert len(line) <= width
        assert line.startswith("job 7 mf")

    def test_the_headline_of_an_end_has_the_reason(self):
        line = headline(job(state="failed", error="no memory", started_at=0.0, finished_at=3.0), RunView(), None, 80)
        assert line == "job 7 mf  failed  took 3.0 s  no memory"

    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=500), st.integers(4, 100))
    def test_thinning_keeps_ends_extremes_and_order(self, values, most):
        points = [(float(x), y) for x, y in enumerate(values)]
        kept = thinned(points, most)
        assert len(kept) <= most + 1
        assert kept == sorted(kept)
        assert kept[-1] == points[-1]
        assert {min(y for _, y in kept), max(y for _, y in kept)} == {min(values), max(values)}


class TestTrainForm:
    defaults = {option.name: option.default for option in OPTIONS}  # noqa: RUF012

    def settings(self, model="mf"):
        return {option.name: option.default for option in trainform.settings_of(model)}

    def test_defaults_are_sound_for_every_model_and_ask_for_nothing_special(self):
        for model in trainform.model_names():
            settings = self.settings(model)
            assert trainform.problems(model, settings, self.defaults) == {}
            assert trainform.command_of(model, settings, self.defaults) == f"recsys-tui train {model} --detach"
            assert trainform.request_of(model, settings, self.defaults).settings == {}

    @pytest.mark.parametrize(
        ("name", "value"),
        [("test", "1"), ("test", "x"), ("seed", "-1"), ("seed", "1.5"), ("threads", ""), ("time limit", "soon")],
    )
    def test_options_that_cannot_be(self, name, value):
        assert list(trainform.problems("mf", self.settings(), self.defaults | {name: value})) == [name]

    def test_settings_that_cannot_be(self):
        wrong = trainform.problems("mf", self.settings() | {"n_factors": "many", "epochs": "0"}, self.defaults)
        assert list(wrong) == ["n_factors", "epochs"]
        assert "whole number" in wrong["n_factors"]

    @pytest.mark.parametrize("value", ["inf", "1e999", "nan", "-inf"])
    def test_no_setting_is_without_end(self, value):
        """JSON has no word for it, and so the run would end where it is written down."""
        settings = {option.name: option.default for option in trainform.settings_of("bayesian-mf")}
        options = {option.name: option.default for option in trainform.OPTIONS}
        found = trainform.problems("bayesian-mf", settings | {"time_limit": value}, options)
        assert set(found) == {"time_limit"}

    def test_a_gate_needs_rows_to_measure_on_and_a_metric_that_exists(self):
        better = self.defaults | {"activate": trainform.IF_BETTER}
        assert "test" in trainform.problems("mf", self.settings(), better | {"test": "0"})
        assert "metric" in trainform.problems("mf", self.settings(), better | {"metric": "nonsense"})
        unasked = better | {"activate": trainform.NO}
        assert set(trainform.problems("mf", self.settings(), unasked | {"metric": "nonsense"})) == {"metric"}
        assert trainform.problems("mf", self.settings(), better) == {}

    def test_command_and_request_say_the_same(self, tmp_path):
        options = self.defaults | {
            "split": "temporal",
            "test": "0.3",
            "full": "yes",
            "activate": trainform.IF_BETTER,
            "metric": "rmse",
            "time limit": "10m",
        }
        settings = self.settings() | {"n_factors": "64"}
        command = trainform.command_of("mf", settings, options)
        expected = "--set n_factors=64 --split temporal --test 0.3 --time-limit 10m --full --activate-if-better rmse"
        assert command == f"recsys-tui train mf {expected} --detach"
        request = trainform.request_of("mf", settings, options, threads=1)
        assert (request.split, request.test, request.full, request.better_by) == ("temporal", 0.3, True, "rmse")
        assert (request.time_limit, request.threads, request.settings) == (600.0, 1, {"n_factors": "64"})


class TestCopying:
    def test_by_the_terminal_and_a_file(self, tmp_path):
        sent = []
        said = clipboard.copy("é☕", sent.append, tmp_path / "x" / "clipboard.txt", {})
        assert sent == [f"\x1b]52;c;{base64.b64encode('é☕'.encode()).decode()}\a"]
        assert (tmp_path / "x" / "clipboard.txt").read_text() == "é☕"
        assert (tmp_path / "x" / "clipboard.txt").stat().st_mode & 0o077 == 0
        assert "OSC 52" in said
        assert str(tmp_path) in said
        assert "5 bytes" in said

    def test_what_is_too_long_goes_to_the_file_alone(self, tmp_path):
        sent = []
        said = clipboard.copy("x" * 100_000, sent.append, tmp_path / "clipboard.txt", {})
        assert sent == []
        assert "too many" in said

    def test_inside_a_tmux_that_is_gone_the_sequence_is_wrapped(self, tmp_path):
        sent = []
        clipboard.copy("x", sent.append, tmp_path / "c", {"TMUX": "/nowhere,1,0"})
        assert sent == [] or sent[0].startswith("\x1bPtmux;\x1b\x1b]52;")

    def test_no_file_is_said(self, tmp_path):
        (tmp_path / "file").write_text("")
        said = clipboard.copy("x", lambda _: None, tmp_path / "file" / "c", {})
        assert "could not be written" in said


class TestPlain:
    @given(st.text())
    def test_anything_is_ascii_of_the_same_width(self, text):
        drawn = plain(text)
        assert drawn.isascii()
        assert cell_len(drawn) == cell_len(text) or any(not char.isprintable() for char in text)

    @pytest.mark.parametrize(
        ("text", "drawn"),
        [("╭─╮│", "+-+|"), ("█▌▁", "##."), ("⠶⠀", "* "), ("● ✓ ×", "* + x"), ("é", "e"), ("静", "??")],
    )
    def test_by_likeness(self, text, drawn):
        assert plain(text) == drawn


class TestUiState:
    def test_kept_and_read_again(self, tmp_path):
        state = UiState(tmp_path / "a" / "ui.json")
        state.set("x", 3)
        state.save()
        again = UiState(tmp_path / "a" / "ui.json")
        assert again.get("x", 0) == 3
        assert again.get("x", "text") == "text"  # of another kind: the default
        assert (tmp_path / "a" / "ui.json").stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("content", ["{", "[1]", "\x00", '"x"', "3"])
    def test_a_broken_file_is_a_notice(self, tmp_path, content):
        (tmp_path / "ui.json").write_text(content)
        state = UiState(tmp_path / "ui.json")
        assert state.get("x", 1) == 1
        assert "cannot be read" in state.notice

    def test_what_cannot_be_written_is_left(self, tmp_path):
        (tmp_path / "file").write_text("")
        state = UiState(tmp_path / "file" / "ui.json")
        state.set("x", 1)
        state.save()

    def test_where_it_lies(self):
        assert str(state_file({"XDG_STATE_HOME": "/s"})) == "/s/recsys-tui/ui.json"
        assert str(state_file({"XDG_STATE_HOME": "rel", "HOME": "/h"})) == "/h/.local/state/recsys-tui/ui.json"


class TestCommandLines:
    def test_what_is_selected_is_filled_in_quoted(self):
        action = Action("x.y", "a", "A", "A.", "explain {user} {item}")
        assert action.command_line({"user": "it's me"}) == "recsys-tui explain 'it'\"'\"'s me' ITEM"

    @pytest.mark.parametrize("text", TEXTS)
    def test_nothing_in_the_data_becomes_a_word_of_the_shell(self, text):
        import shlex

        assert shlex.split(line_of("show {x}", {"x": text})) == ["recsys-tui", "show", text]
