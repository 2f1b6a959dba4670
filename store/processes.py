"""Whether another process is there."""

import os


def is_running(pid: int | None) -> bool:
    """Tell whether a process of this number exists, whoever's it is; None stands for an unknown one."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
