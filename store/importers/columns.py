"""Which column is the user, the item, the rating and the time: by what the operator states, else by name."""

import re
from collections.abc import Mapping, Sequence

from store import errors

ROLES = ("user", "item", "rating", "time")
# in order of preference: Amazon's data has both reviewTime ("01 1, 2014") and unixReviewTime, both asin and parent_asin
SYNONYMS = {
    role: tuple(names.split())
    for role, names in {
        "user": """
            user userid reviewerid reviewuserid customerid visitorid memberid accountid profileid raterid authorid
            viewerid readerid listenerid playerid uid username reviewer customer member rater userno usernumber""",
        "item": """
            item itemid movieid parentasin asin productid isbn bookid trackid songid artistid albumid gameid animeid
            mangaid recipeid businessid articleid contentid videoid filmid showid jokeid beerid listingid iid mid sku
            movie product book track song artist game film itemno""",
        "rating": """
            rating ratings overall score stars starrating userrating bookrating reviewrating reviewscore
            reviewoverall itemrating movierating ratingvalue rate star grade value preference""",
        "time": """
            timestamp time unixreviewtime unixtime ratingtimestamp reviewtimestamp ts epoch at datetime ratedat
            createdat updatedat date ratingdate reviewdate reviewtime created""",
    }.items()
}


def plain(name: str) -> str:
    """Return a column's name as compared: lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def role_of(name: str) -> str | None:
    """Return the role that a column's name suggests, or None."""
    return next((role for role, names in SYNONYMS.items() if plain(name) in names), None)


def check_mapping(mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the mapping with stripped columns.

    Raises:
        UsageRefused: a role that does not exist, or a role without a column.
    """
    for role, column in mapping.items():
        if role not in ROLES or not str(column).strip():
            raise errors.UsageRefused(
                f"--map {role}={column}: no such role" if role not in ROLES else f"--map {role}= names no column",
                hint="--map user=COLUMN,item=COLUMN,rating=COLUMN,time=COLUMN; a column is a name or a number from 1",
            )
    return {role: str(column).strip() for role, column in mapping.items()}


def find_columns(names: Sequence[str], mapping: Mapping[str, str], *, source: str) -> dict[str, int]:
    """Return the position of each role's column: as stated, else by name; time may be missing.

    Raises:
        DataRefused: a column is missing or ambiguous; the hint names the `--map` to use.
    """
    found = {role: _stated(names, column, role=role, source=source) for role, column in mapping.items()}
    for role in ROLES:
        if role not in found and (position := _by_name(names, role, set(found.values()), source)) is not None:
            found[role] = position
    missing = [role for role in ROLES[:3] if role not in found]
    if missing:
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        flags = ",".join(f"{role}=COLUMN" for role in missing)
        raise errors.DataRefused(
            f"{source} has no {' and no '.join(missing)} column; its columns: {shown or 'none'}",
            hint=f"state it: --map {flags} (a name, or a number from 1)",
        )
    if len(set(found.values())) < len(found):
        stated = ",".join(f"{role}={column}" for role, column in mapping.items())
        raise errors.DataRefused(f"--map {stated} names a column twice", hint=f"columns: {', '.join(names[:20])}")
    return {role: found[role] for role in ROLES if role in found}


def _stated(names: Sequence[str], column: str, *, role: str, source: str) -> int:
    for same in (str, plain):
        if wanted := same(column):
            matches = [position for position, name in enumerate(names) if same(name) == wanted]
            if len(matches) == 1:
                return matches[0]
    if column.isdecimal() and 1 <= int(column) <= len(names):
        return int(column) - 1
    raise errors.DataRefused(
        f"--map {role}={column}: {source} has no such column",
        hint=f"columns: {', '.join(names[:20])}; or a number from 1 to {len(names)}",
    )


def _by_name(names: Sequence[str], role: str, taken: set[int], source: str) -> int | None:
    keys = [plain(name) for name in names]
    for synonym in SYNONYMS[role]:
        matches = [position for position, key in enumerate(keys) if key == synonym and position not in taken]
        if len(matches) > 1:
            numbers = " or ".join(f"--map {role}={position + 1}" for position in matches)
            raise errors.DataRefused(
                f"{source} has {len(matches)} columns called {names[matches[0]]!r}", hint=f"state one: {numbers}"
            )
        if matches:
            return matches[0]
    return None
