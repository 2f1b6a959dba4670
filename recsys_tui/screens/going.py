"""The six places by their number keys."""

from recsys_tui.screens.typed import Typed


class Going(Typed):
    """What goes from one place to another."""

    def delay_update(self, delay: float = 0.05) -> None:
        """Draw a place at once: Textual would wait for so many seconds, in which a key shows nothing."""

    def toast(self, message: str, *, severity: str = "information", seconds: float = 5) -> None:
        """Tell what was done, for a few seconds."""
        raise NotImplementedError

    def _go(self, name: str) -> None:
        if name in self.places:
            self.switch_mode(name)
        else:
            self.toast(f"{name} is not part of this program yet", severity="warning")

    def action_train(self) -> None:
        """Go to Train."""
        self._go("train")

    def action_models(self) -> None:
        """Go to Models."""
        self._go("models")

    def action_users(self) -> None:
        """Go to Users."""
        self._go("users")

    def action_rate(self) -> None:
        """Go to Rate."""
        self._go("rate")

    def action_data(self) -> None:
        """Go to Data."""
        self._go("data")

    def action_jobs(self) -> None:
        """Go to Jobs."""
        self._go("jobs")
