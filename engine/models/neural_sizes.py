"""How large steps of neural collaborative filtering are, and what memory a training takes; without torch."""

from typing import NamedTuple

GROUP = 64
"""Rows of a user that share their negatives."""

WHOLE = 16
"""A catalogue of up to so many times the items of a row is multiplied whole."""

_MANY = 500_000  # ratings from which on an epoch has steps enough for the slower of the two losses
_A_ROOT, _LARGEST = 4.0, 16_384  # a batch that is not wished for is so many times the root of the number of ratings
_LEAST_STEPS = 24  # of an epoch then
_TORCH = 300 * 2**20  # bytes that torch takes, before any data
_A_ROW = 90  # bytes of a rating: the rows, those learned from, both heads' copies, and an order of them
_COPIES = (
    8.5  # of a parameter: itself, its gradient, two moments, the best so far, and what serves, twice while it changes
)
_A_PAIR = 64  # bytes of a scored pair: draws, numbers, scores and their gradients
_KEPT = 3  # times that what a layer holds is there: forward, backward, and what is worked on


class Form(NamedTuple):
    """What decides the size of a head: whether it ranks, its variant, its widths."""

    ranks: bool
    variant: str
    width: int
    layers: tuple[int, ...]


def batch_of(wished: int, n_ratings: int) -> int:
    """Return the ratings a step, at least 1 and no more than there are; a `wished` of 0 leaves it to their number."""
    chosen = wished or min(round(_A_ROOT * n_ratings**0.5), _LARGEST, -(-n_ratings // _LEAST_STEPS))
    return max(1, min(chosen, n_ratings))


def loss_of(wished: str, n_ratings: int) -> str:
    """Return the loss that a ranking head learns by; a `wished` of auto leaves it to the number of ratings.

    Cross-entropy takes more steps to get as far as softmax and gets farther (docs/models.md).
    """
    if wished != "auto":
        return wished
    return "bce" if n_ratings >= _MANY else "softmax"


def training_bytes(forms: list[Form], n_users: int, n_items: int, n_ratings: int, *, batch: int, negatives: int) -> int:
    """Return a forecast of the peak memory of training these heads, torch and the rows included.

    Args:
        forms: of the heads.
        n_users: with ratings.
        n_items: of the catalogue.
        n_ratings: of the data.
        batch: ratings a step, as wished for.
        negatives: of a group.
    """
    parameters, largest = 0, 0
    for form in forms:
        halves = 2 if form.variant == "neumf" else 1
        parameters += (n_users + n_items) * (1 + halves * form.width)
        largest = max(largest, _step_bytes(form, n_items, batch_of(batch, n_ratings), negatives))
    return int(_TORCH + _A_ROW * n_ratings + 4 * _COPIES * parameters + largest)


def _step_bytes(form: Form, n_items: int, batch: int, negatives: int) -> int:
    """Return the bytes that one step holds besides the parameters."""
    units = max(1, batch // GROUP) if form.ranks else batch
    in_a_row = GROUP + negatives if form.ranks else 1
    numbers = 0 if form.variant == "gmf" else sum(form.layers)
    if form.variant != "mlp":
        whole = form.ranks and n_items <= WHOLE * in_a_row
        numbers += -(-n_items // in_a_row) if whole else form.width
    return units * in_a_row * (_A_PAIR + 4 * _KEPT * numbers)
