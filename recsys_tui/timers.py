"""What calls `schedule run-due` every hour where nobody is logged in: a line of cron, or a timer of systemd."""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from store.errors import DataRefused, NotFound, translate

_MARK = "# recsys-tui schedule"


@dataclass(frozen=True)
class Timer:
    """An hourly call for one database.

    Attributes:
        db: absolute path of the database.
        minute: of the hour at which it is made.
    """

    db: Path
    minute: int

    @property
    def command(self) -> list[str]:
        """The words of the call; by the interpreter that runs now, for cron knows no PATH of ours."""
        return [sys.executable, "-m", "recsys_tui", "--db", str(self.db), "schedule", "run-due"]

    @property
    def log(self) -> Path:
        """Where what it says goes under cron."""
        return self.db.with_name(f"{self.db.name}.schedule.log")

    @property
    def mark(self) -> str:
        """The end of the cron line, by which it is found again."""
        return f"{_MARK} {_short(self.db)}"

    @property
    def cron(self) -> str:
        """The line for `crontab`; a percent sign means a new line there."""
        words = f"{shlex.join(self.command)} >>{shlex.quote(str(self.log))} 2>&1".replace("%", "\\%")
        return f"{self.minute} * * * * umask 077; {words} {self.mark}"

    @property
    def unit(self) -> str:
        """Name of the units of systemd, without a suffix."""
        return f"recsys-tui-{_short(self.db)}"

    def units(self) -> dict[str, str]:
        """Return the two units of systemd by file name."""
        words = " ".join('"' + _escaped(word) + '"' for word in self.command)
        service = (
            f"[Unit]\nDescription=recsys-tui schedule of {_escaped(str(self.db))}\n\n"
            f"[Service]\nType=oneshot\nNice=10\nUMask=0077\nExecStart={words}\n"
        )
        timer = (
            f"[Unit]\nDescription=Every hour: {self.unit}\n\n"
            f"[Timer]\nOnCalendar=*-*-* *:{self.minute:02}:00\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
        )
        return {f"{self.unit}.service": service, f"{self.unit}.timer": timer}


def _short(db: Path) -> str:
    return sha256(os.fsencode(db)).hexdigest()[:8]


def _escaped(word: str) -> str:
    """Return a word as it stands between quotes in a unit, where some characters mean something."""
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")


def write_cron(timer: Timer) -> bool:
    """Put the line into the user's crontab, in place of an earlier one of the same database; other lines stay.

    Returns whether anything had to be changed.

    Raises:
        NotFound: there is no `crontab` here.
        DataRefused: it does not take the line.
    """
    lines = _crontab("-l", allowed="no crontab").splitlines()
    kept = [line for line in lines if not line.endswith(timer.mark)]
    if timer.cron in lines:
        return False
    _crontab("-", given="\n".join([*kept, timer.cron]) + "\n")
    return True


def _crontab(*arguments: str, given: str = "", allowed: str = "") -> str:
    program = shutil.which("crontab")
    if program is None:
        raise NotFound("there is no crontab here", hint="install cron, or take --systemd")
    done = subprocess.run([program, *arguments], input=given, capture_output=True, text=True, check=False)
    if done.returncode and not (allowed and allowed in done.stderr):
        raise DataRefused(f"crontab refuses: {done.stderr.strip()}", hint="add the line by hand: `crontab -e`")
    return done.stdout


def write_units(timer: Timer, folder: Path) -> bool:
    """Write the units and start the timer; return whether anything had to be changed.

    Args:
        timer: what is called.
        folder: of the user's units.

    Raises:
        NotFound: there is no systemd here.
        NoPermission, NoSpace: the files cannot be written.
        DataRefused: systemd does not take them.
    """
    program = shutil.which("systemctl")
    if program is None:
        raise NotFound("there is no systemd here", hint="take --cron")
    changed = False
    for name, text in timer.units().items():
        path = folder / name
        try:
            if not path.is_file() or path.read_text() != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                changed = True
        except OSError as error:
            raise translate(error, path) from error
    for words in (["daemon-reload"], ["enable", "--now", f"{timer.unit}.timer"]):
        done = subprocess.run([program, "--user", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            hint = f"the units lie in {folder}; `systemctl --user {' '.join(words)}` says more"
            raise DataRefused(f"systemctl refuses: {done.stderr.strip()}", hint=hint)
    return changed


def unit_folder(env: dict[str, str]) -> Path:
    """Return the folder of the user's units."""
    base = Path(env.get("XDG_CONFIG_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".config") / "systemd" / "user"
