"""On what kind of file system a file lies."""

import os
from pathlib import Path

_LOCAL = frozenset(["bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "tmpfs", "xfs", "zfs"])
_MOUNTS = Path("/proc/self/mountinfo")


def is_local(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Tell whether a file lies on a file system of this machine that is known to share memory between processes.

    False also where that cannot be told: for what must never happen on a disk of the network.

    Source: proc_pid_mountinfo(5); a mount point stands in field 5, the type after the field "-".
    """
    try:
        lines = os.fsdecode(mounts.read_bytes()).splitlines()
        place = path.resolve()
    except OSError:
        return False
    found: tuple[int, str] = 0, ""
    for fields in map(str.split, lines):
        point = Path(fields[4].encode().decode("unicode_escape"))
        if place.is_relative_to(point):
            found = max(found, (len(point.parts), fields[fields.index("-") + 1]), key=lambda one: one[0])
    return found[1] in _LOCAL
