"""The compiled loop of EASE: how often two items occur together."""

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled
from engine.kernels import Rows


@compiled
def count_together(span: tuple[int, int], by_item: Rows, by_user: Rows, gram: NDArray[np.floating]) -> None:
    """Fill the rows i of a span of gram (n_items, n_items), up to the diagonal, with Σ_u w_ui w_uj; it holds zeros."""
    for item in range(span[0], span[1]):
        for place in range(by_item.starts[item], by_item.starts[item + 1]):
            user, weight = by_item.others[place], by_item.ratings[place]
            for rating in range(by_user.starts[user], by_user.starts[user + 1]):
                if by_user.others[rating] > item:
                    break
                gram[item, by_user.others[rating]] += weight * by_user.ratings[rating]


@compiled
def count_in_order(
    span: tuple[int, int],
    starts: NDArray[np.int64],
    places: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    items: NDArray[np.int32],
    decay: NDArray[np.float32],
    backward: float,
    gram: NDArray[np.floating],
    towards: NDArray[np.floating],
) -> None:
    """Fill the rows j of a span of two matrices (n_items, n_items), which hold zeros, from histories in order.

    A pair of ratings that is d apart in a user's history counts decay_d in gram_ji, and in towards_ji where j is the
    older one; where it is the newer one `backward` times as much there.

    Args:
        span: rows j.
        starts: (n_items + 1,): the ratings of item j stand at places[starts[j]:starts[j + 1]].
        places: (n,), where each stands in `items`.
        begins: (n,), where the history begins that holds it; `ends`, where that ends.
        ends: (n,).
        items: (n,), all histories one after the other, oldest first; -1 for an item that takes no part.
        decay: (w,); farther apart than that counts for nothing.
        backward: from 0 to 1.
        gram: Σ decay.
        towards: zero on its diagonal.
    """
    for item in range(span[0], span[1]):
        for at in range(starts[item], starts[item + 1]):
            place = places[at]
            for other in range(max(begins[at], place - len(decay) + 1), min(ends[at], place + len(decay))):
                target = items[other]
                if target < 0:
                    continue
                weight = decay[abs(other - place)]
                gram[item, target] += weight
                if other > place:
                    towards[item, target] += weight
                elif other < place:
                    towards[item, target] += np.float32(backward) * weight
