"""From a DataFrame of ratings to `Interactions`: the one place where pandas comes in."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data import NO_TIME, Interactions, Scale
from engine.errors import EngineError

if TYPE_CHECKING:
    import pandas as pd

NAMES = {
    "user_id": ("user_id", "userId", "user"),
    "movie_id": ("movie_id", "movieId", "item_id", "itemId", "item"),
    "rating": ("rating",),
    "timestamp": ("timestamp", "time"),
}
"""What a column may be called; the first name is the one in messages."""


def interactions_of(ratings_df: "pd.DataFrame", *, scale: Scale | None = None) -> Interactions:
    """Return the ratings of a DataFrame in canonical order.

    Args:
        ratings_df: one row a rating, with the columns user_id (or userId), movie_id (or movieId), rating and, where
            known, timestamp: seconds since 1970 UTC or datetimes. Ids become text; where a pair of user and movie
            occurs twice the last row counts.
        scale: the rating scale; without it 0.5 to 5 where all ratings lie in that, else from the least to the greatest.

    Raises:
        EngineError: a column is missing, an id is empty, or a rating is no finite number.
    """
    named = _columns(ratings_df)
    users, user_codes = _codes(named["user_id"], "user_id")
    items, item_codes = _codes(named["movie_id"], "movie_id")
    ratings = _ratings(named["rating"])
    times = _seconds(named["timestamp"]) if "timestamp" in named else None
    last = _last_of_each(user_codes * len(items) + item_codes)
    return Interactions.build(
        users,
        items,
        user_codes[last],
        item_codes[last],
        ratings[last],
        None if times is None else times[last],
        scale=scale or _scale_of(ratings),
    )


def _columns(frame: "pd.DataFrame") -> "dict[str, pd.Series[Any]]":
    """Return the columns by their usual names; of the four only the time may be missing."""
    found = {}
    for name, spellings in NAMES.items():
        present = [spelling for spelling in spellings if spelling in frame.columns]
        if present:
            found[name] = frame[present[0]]
        elif name != "timestamp":
            raise EngineError(
                f"the DataFrame has no column {name}",
                hint=f"rename one of {', '.join(map(str, frame.columns)) or 'its columns'} to {' or '.join(spellings)}",
            )
    return found


def _codes(column: "pd.Series[Any]", name: str) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct ids as text and, for each row, its position among them."""
    import pandas as pd

    first_codes, distinct = pd.factorize(column)  # -1 for a missing value
    if (first_codes < 0).any():
        raise EngineError(
            f"{int((first_codes < 0).sum())} rows have no {name}",
            hint=f"drop them first: ratings_df.dropna(subset=[{name!r}])",
        )
    texts = [_text(value) for value in distinct]
    codes, ids = pd.factorize(np.array(texts, dtype=object))  # 7 and "7" are the same id
    return [str(text) for text in ids], np.asarray(codes, np.int64)[first_codes]


def _text(value: object) -> str:
    """Write an id as text; 7.0 is what pandas makes of 7 in a column that once held a gap."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _ratings(column: "pd.Series[Any]") -> NDArray[np.float32]:
    """Return the ratings as numbers."""
    try:
        ratings = column.to_numpy(np.float32)
    except (TypeError, ValueError) as error:
        raise EngineError(
            f"the column rating holds what is no number: {error}", hint="convert it to numbers"
        ) from error
    if not np.isfinite(ratings).all():
        count = int((~np.isfinite(ratings)).sum())
        raise EngineError(f"{count} ratings are missing or not finite", hint="drop them: ratings_df.dropna()")
    return ratings


def _seconds(column: "pd.Series[Any]") -> NDArray[np.int64]:
    """Return times as whole seconds since 1970 UTC, NO_TIME where one is missing."""
    import pandas as pd

    missing = column.isna().to_numpy(np.bool_)
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
        moments = pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy("datetime64[s]")
        return np.where(missing, NO_TIME, moments.astype(np.int64))
    try:
        numbers = column.where(~missing, 0).to_numpy(np.int64)
    except (TypeError, ValueError) as error:
        raise EngineError(
            f"the column timestamp holds what is neither seconds nor a datetime: {error}",
            hint="convert it: ratings_df['timestamp'] = pandas.to_datetime(ratings_df['timestamp'])",
        ) from error
    return np.where(missing, NO_TIME, numbers)


def _last_of_each(keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return, for each distinct key, the row where it occurs last."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    return order[np.append(ordered[1:] != ordered[:-1], [True] * min(1, len(keys))).astype(np.bool_)]


def _scale_of(ratings: NDArray[np.float32]) -> Scale:
    """Return the usual scale where it holds all ratings, else one from the least to the greatest."""
    usual = Scale()
    if not len(ratings) or (ratings.min() >= usual.low and ratings.max() <= usual.high):
        return usual
    return Scale(float(ratings.min()), float(ratings.max()), None)
