"""The compiled loop of matrix factorization by stochastic gradient descent."""

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled


@compiled
def descend(
    order: NDArray[np.int64],
    triples: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]],
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    rates: tuple[float, float],
    penalty: float,
) -> None:
    """Make one pass of stochastic gradient descent over ratings in an order, changing users and items (·, 1 + k).

    Column 0 is the bias. With e = r - b_u - b_i - p·q each parameter x moves by rate·(-∂(e² + penalty·x²)/2), where
    `rates` are the steps of biases and of factors.
    One thread: two that meet at a row would make the result depend on which came first.

    Source: Funk 2006; Koren, Bell, Volinsky 2009, equations 5 and 6.
    """
    bias_rate, rate = np.float32(rates[0]), np.float32(rates[1])
    keep_bias, keep = np.float32(1.0 - rates[0] * penalty), np.float32(1.0 - rates[1] * penalty)
    for position in range(len(order)):
        rating = order[position]
        user, item = triples[0][rating], triples[1][rating]
        product = np.float32(0.0)
        for a in range(1, users.shape[1]):
            product += users[user, a] * items[item, a]
        error = triples[2][rating] - users[user, 0] - items[item, 0] - product
        users[user, 0] = keep_bias * users[user, 0] + bias_rate * error
        items[item, 0] = keep_bias * items[item, 0] + bias_rate * error
        step = rate * error
        for a in range(1, users.shape[1]):
            p, q = users[user, a], items[item, a]
            users[user, a] = keep * p + step * q
            items[item, a] = keep * q + step * p
