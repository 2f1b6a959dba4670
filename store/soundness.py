"""Whether the files of a version, and of the versions that it is made of, are what was written."""

from pathlib import Path

from store.artifacts import MODEL_ARRAYS, check_file
from store.versions import ModelVersion


def damage(folder: Path, version: ModelVersion, files: str = "") -> list[str]:
    """Return one line for each file of a version that is not as written, of those whose names begin so.

    Args:
        folder: of all versions.
        version: whose files are read to their end.
        files: beginning of the names.
    """
    chosen = sorted(name for name in version.files if name.startswith(files))
    problems = (check_file(folder / version.name, name, version.files) for name in chosen)
    return [problem for problem in problems if problem]


def damage_of_member(folder: Path, made: ModelVersion, name: str, member: ModelVersion | None) -> list[str]:
    """Return what is wrong with a member of an ensemble: gone, another one than was put in, or damaged.

    Args:
        folder: of all versions.
        made: the ensemble.
        name: of the member.
        member: its row, None where there is none.
    """
    if member is None:
        return [f"{name}, of which {made.name} is made, is gone"]
    if member.files[MODEL_ARRAYS].sha256 != made.members[name]:
        return [f"{name} is not the version that {made.name} was made of"]
    return [f"{problem}; {made.name} is made of {name}" for problem in damage(folder, member, "model.")]
