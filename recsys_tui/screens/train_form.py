"""The form for a new training run."""

from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Static

from recsys_tui import trainform
from recsys_tui.screens.base import Place
from recsys_tui.screens.modal import Modal
from recsys_tui.trainform import OPTIONS, Option
from recsys_tui.widgets.form import Asked, FormField
from recsys_tui.widgets.text import shown

if TYPE_CHECKING:
    from recsys_tui.app import RecsysApp


class TrainForm(Modal[int]):
    """Asks for model, settings and options; answers with the number of the job that was started."""

    BINDINGS = [  # noqa: RUF012  Textual's
        Binding("escape", "app.pop_screen", "Back"),
        Binding("ctrl+y", "copy", "Copy command", priority=True),
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    def __init__(self, place: Place, model: str) -> None:
        super().__init__()
        self._place, self._models = place, trainform.model_names()
        self._model = model if model in self._models else self._models[0]
        self._settings: list[Option] = []
        self._loaded = ""
        self._wrong: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Yield model, settings, options, and below them the command that asks for the same."""
        with Vertical(classes="dialog form") as box:
            box.border_title = "new training"
            box.border_subtitle = "enter trains · tab goes on · ^y copies the command · esc leaves"
            with VerticalScroll(id="fields"):
                yield FormField(Asked("model", self._model, "", self._models))
                yield Vertical(id="settings")
                yield Static("How it is measured and served", classes="heading")
                for option in OPTIONS:
                    yield FormField(Asked(*option[:4]))
            yield Static(id="command")
            with Horizontal(classes="buttons"):
                yield Button("Train", id="train", variant="primary", compact=True, disabled=True)
                yield Static(id="said", classes="field-error")

    def on_mount(self) -> None:
        """Stand in the first field and bring the settings of the model."""
        self.query(FormField).first().take_focus()
        self._load()

    def _load(self) -> None:
        """Read the settings of the model that is picked, in a thread: its module may take a moment.

        Until they are there, those of the model before are hidden and nothing can be started or copied.
        """
        model = self._model = self._picked
        self._loaded, self._wrong = "", {}
        self.query_one("#settings").display = False
        self.query_one("#train", Button).disabled = True
        self.query_one("#command", Static).update(shown(f"reads the settings of {model} …", "$text-muted"))

        def show(settings: list[Option]) -> None:
            if self.is_attached:
                self.call_later(self._show_settings, model, settings)

        self._place.ask("settings", lambda _: trainform.settings_of(model), show, self._refused, offline=True)

    async def _show_settings(self, model: str, settings: list[Option]) -> None:
        if model != self._picked:
            return  # another was picked meanwhile, whose settings are on their way
        self._settings = settings
        box = self.query_one("#settings", Vertical)
        await box.remove_children()
        title = f"Settings of {model}" if settings else f"{model} has nothing to set"
        await box.mount(Static(title, classes="heading", markup=False))
        await box.mount_all([FormField(Asked(*option[:4])) for option in settings])
        if model == self._picked:
            box.display, self._loaded = True, model
            self._check()

    @property
    def _picked(self) -> str:
        """The model whose name is shown."""
        return self.query(FormField).first().value

    @property
    def _ready(self) -> bool:
        """True where settings and command are those of the model whose name is shown."""
        return self._loaded == self._model == self._picked

    def _values(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return what stands in the fields: settings of the model, and options."""
        found = {id(field): field for field in self.query(FormField)}
        names = {option.name for option in self._settings}
        settings = {
            f.asked.name: f.value for f in self.query_one("#settings").query(FormField) if f.asked.name in names
        }
        inside = {id(field) for field in self.query_one("#settings").query(FormField)}
        options = {f.asked.name: f.value for key, f in found.items() if key not in inside and f.asked.name != "model"}
        return settings, options

    def _check(self) -> None:
        """Say what is wrong beside each field, and show the command."""
        if not self._ready:
            return
        settings, options = self._values()
        self._wrong = trainform.problems(self._model, settings, options)
        for field in self.query(FormField):
            field.tell(self._wrong.get(field.asked.name, ""))
        self.query_one("#train", Button).disabled = bool(self._wrong)
        command = trainform.command_of(self._model, settings, options)
        self.query_one("#command", Static).update(
            Content.assemble(("$ ", "$text-muted"), shown(command, "$text-accent"))
        )
        self.query_one("#said", Static).update(Content())

    @on(FormField.Changed)
    def check(self, message: FormField.Changed) -> None:
        """Check while it is typed."""
        message.stop()
        if self._picked != self._model:
            self._load()
        else:
            self._check()

    @on(FormField.Submitted)
    def enter(self, message: FormField.Submitted) -> None:
        """Train by Enter, where all is well; else go to what is not."""
        message.stop()
        wrong = next((field for field in self.query(FormField) if field.asked.name in self._wrong), None)
        if wrong is not None:
            wrong.take_focus()
        else:
            self._train()

    def on_button_pressed(self) -> None:
        """Train by button."""
        self._train()

    def _train(self) -> None:
        from recsys_tui.runs import submit_run

        if not self._ready:
            self._say(f"the settings of {self._picked} are being read: press again when they are there")
            return
        if self._wrong:
            return
        app = cast("RecsysApp", self.app)
        if app.read_only:
            app.say_read_only()
            return
        limit = int(app.options.memory_gb * 2**30)
        model, (settings, options) = self._model, self._values()
        request = trainform.request_of(model, settings, options, threads=app.options.threads, memory_limit=limit)
        self.query_one("#train", Button).disabled = True
        self._say("starts …")
        self._place.remember("model", model)
        self._place.ask(
            "submit", lambda services: submit_run(services, request, origin="tui"), self._started, self._refused
        )

    def _started(self, job: int) -> None:
        if self.is_attached:
            self.dismiss(job)

    def _refused(self, error: Exception) -> None:
        """Say what is refused only when it is asked for, such as members that do not exist; beside its field."""
        if not self.is_attached:
            return
        hint = getattr(error, "hint", "")
        said, named = f"{error}; {hint}", {str(error).partition(" ")[0], hint.partition("=")[0]}
        self.query_one("#train", Button).disabled = not self._ready
        field = next((one for one in self.query(FormField) if one.asked.name in named), None)
        self._say(said if field is None else "")
        if field is not None:
            self._wrong = {field.asked.name: said}
            field.tell(said)
            field.take_focus()

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(shown(text))

    def action_copy(self) -> None:
        """Copy the command that asks for the same."""
        if self._ready and not self._wrong:
            settings, options = self._values()
            cast("RecsysApp", self.app).copy_out(trainform.command_of(self._model, settings, options))
