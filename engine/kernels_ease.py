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
