"""Neural collaborative filtering in torch: the network, its losses, an epoch. The only module that imports torch.

    score(u, i) = level + b_u + b_i + h·(p_u ∘ q_i) + w·relu(… relu(W_u x_u + W_i y_i + c) …)

The first product is generalized matrix factorization, the second a multilayer perceptron on the two vectors of its own;
together they are NeuMF. The first layer is split by its two inputs, so that an item enters it once a batch and not once
a pair. `neural_scores` computes the same from the same arrays in NumPy.

Source: He, Liao, Zhang, Nie, Hu, Chua 2017, "Neural Collaborative Filtering".
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from engine.data import Interactions
from engine.models.neural_sizes import GROUP, WHOLE

HALVES = ("gmf", "mlp")
"""Of neumf: the product and the perceptron."""

_AGAINST = 4.0  # negatives to a rated item, by their weight in the binary cross-entropy, as in the paper
_START = 0.01  # deviation of embeddings before training, as in the paper


class Shape(NamedTuple):
    """What a network is made for: counts, whether it has each half, its widths, and the items' features."""

    n_users: int
    n_items: int
    variant: str
    width: int
    layers: tuple[int, ...]
    features: NDArray[np.float32]


class Network(nn.Module):
    """One head: the parameters above, named as the arrays of a version are."""

    features: Tensor
    offset_0: Tensor

    def __init__(self, shape: Shape, dropout: float, *, sparse: tuple[bool, bool] = (False, False)) -> None:
        """Make parameters of random numbers by torch's generator.

        Args:
            shape: of the data and of the network.
            dropout: share of hidden units left out while training.
            sparse: whether the gradients of users' and of items' tables hold only the rows of the batch.
        """
        super().__init__()
        self.shape, self.dropout, self.sparse = shape, dropout, sparse
        self.register_buffer("features", torch.from_numpy(shape.features), persistent=False)
        n_features, d = shape.features.shape[1], shape.width
        self.level = nn.Parameter(torch.zeros(1))
        self.user_bias = nn.Parameter(torch.zeros(shape.n_users, 1))
        self.item_bias = nn.Parameter(torch.zeros(shape.n_items, 1))
        self.feature_bias = nn.Parameter(torch.zeros(n_features, 1))
        if shape.variant != "mlp":
            self.user_gmf, self.item_gmf = _table(shape.n_users, d), _table(shape.n_items, d)
            self.feature_gmf = nn.Parameter(torch.zeros(n_features, d))
            self.gmf_out = nn.Parameter(torch.ones(d))
        if shape.variant != "gmf":
            self.user_mlp, self.item_mlp = _table(shape.n_users, d), _table(shape.n_items, d)
            self.feature_mlp = nn.Parameter(torch.zeros(n_features, d))
            sizes = (d, *shape.layers)
            self.first_user = nn.Parameter(torch.randn(d, sizes[1]) * (1 / d) ** 0.5)
            self.first_item = nn.Parameter(torch.randn(d, sizes[1]) * (1 / d) ** 0.5)
            for place, (before, after) in enumerate(pairwise(sizes[1:]), 1):
                self.register_parameter(
                    f"weight_{place}", nn.Parameter(torch.randn(before, after) * (2 / before) ** 0.5)
                )
            for place, size in enumerate(shape.layers):
                self.register_parameter(f"offset_{place}", nn.Parameter(torch.zeros(size)))
            self.mlp_out = nn.Parameter(torch.randn(sizes[-1]) * (1 / sizes[-1]) ** 0.5)

    def forward(self, users: Tensor, items: Tensor, halves: tuple[str, ...] = HALVES) -> tuple[Tensor, Tensor]:
        """Return scores (B, K) of items (B, K) for users (B,), and the mean over the rows of their vectors' squares.

        `halves` are the parts of neumf that count; the other variants have one of them.
        """
        scores = self.level + self._rows(self.user_bias, users, 0)
        scores = scores + self._items(self.item_bias, self.feature_bias, items).squeeze(-1)
        squares = scores.new_zeros(())
        if self.shape.variant != "mlp" and "gmf" in halves:
            p = self._rows(self.user_gmf, users, 0)
            products, of_items = self._products(p * self.gmf_out, items)
            squares = squares + p.square().sum() / len(users) + of_items / items.numel()
            scores = scores + products
        if self.shape.variant != "gmf" and "mlp" in halves:
            x = self._rows(self.user_mlp, users, 0)
            before = self._items(self.item_mlp, self.feature_mlp, items, self.first_item)
            hidden = before + (x @ self.first_user + self.offset_0).unsqueeze(1)  # (B, K, h)
            scores = scores + self._perceptron(hidden)
            squares = squares + x.square().sum() / len(users)
        return scores, squares

    def _products(self, p: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the products (B, K) of vectors (B, d) with those of items (B, K), and the sum of the latter's squares.

        A catalogue that is not much larger than a row of items is multiplied whole, and numbers are looked up in place
        of vectors: a matrix product does many times the work in less time than memory takes to move the vectors.
        """
        if not self.sparse[1] and self.shape.n_items <= WHOLE * items.shape[1]:
            everything = self.item_gmf + self.features @ self.feature_gmf
            own = everything.square().sum(1, keepdim=True)
            return (p @ everything.T).gather(1, items.long()), F.embedding(items, own).sum()
        q = self._items(self.item_gmf, self.feature_gmf, items)
        if q.shape[1] == 1:  # a matrix product a row is slow where the row has one item
            return (p * q[:, 0]).sum(1, keepdim=True), q.square().sum()
        return torch.einsum("bd,bkd->bk", p, q), q.square().sum()

    def _perceptron(self, hidden: Tensor) -> Tensor:
        hidden = self._dropped(F.relu(hidden, inplace=True))
        for place in range(1, len(self.shape.layers)):
            hidden = hidden @ getattr(self, f"weight_{place}") + getattr(self, f"offset_{place}")
            hidden = self._dropped(F.relu(hidden, inplace=True))
        return hidden @ self.mlp_out

    def _dropped(self, hidden: Tensor) -> Tensor:
        """Leave out units (B, K, h) while training, the same for all items of a group: they are compared."""
        if not self.training or not self.dropout:
            return hidden
        return hidden * F.dropout(hidden.new_ones(len(hidden), 1, hidden.shape[2]), self.dropout)

    def _rows(self, table: Tensor, rows: Tensor, side: int) -> Tensor:
        return F.embedding(rows, table, sparse=self.sparse[side])

    def _items(self, table: Tensor, effects: Tensor, items: Tensor, through: Tensor | None = None) -> Tensor:
        """Return the items' vectors, their features' parts among them, put `through` a matrix.

        A table that is not much larger than a batch is put through whole, each item once.
        """
        if not self.sparse[1]:
            everything = table + self.features @ effects
            return F.embedding(items, everything if through is None else everything @ through)
        found = self._rows(table, items, 1) + self.features[items] @ effects
        return found if through is None else found @ through


def _table(rows: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, width) * _START)


class Negatives:
    """Draws items that a user has not rated, each with the same chance, without trial and error.

    With a user's rated items i_0 < i_1 < … the r-th item that they lack, from 0, is r + |{j: i_j - j <= r}|. Rows are
    in canonical order, so that one sorted array answers that count for all users at once.
    """

    def __init__(self, users: Tensor, items: Tensor, starts: Tensor, n_items: int) -> None:
        """Take the training rows.

        Args:
            users: int (n,), ascending.
            items: int (n,), ascending within a user.
            starts: int64 (n_users + 1,), where the rows of each user begin.
            n_items: of the catalogue.
        """
        place = torch.arange(len(users), device=users.device) - starts[users]
        self._keys = users.long() * n_items + items - place
        self._starts, self._n_items = starts, n_items
        self._lacked = n_items - (starts[1:] - starts[:-1])  # (n_users,)

    def draw(self, users: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return items (B, k) that the users (B,) have not rated, and which users (B,) have rated everything.

        What stands in the rows of those is any item. Randomness comes from torch's generator.
        """
        lacked = self._lacked[users].unsqueeze(1)  # (B, 1)
        chance = torch.rand(len(users), k, dtype=torch.float64, device=users.device)
        drawn = torch.minimum((chance * lacked).long(), (lacked - 1).clamp(min=0))  # the r above
        wanted = users.long().unsqueeze(1) * self._n_items + drawn
        before = torch.searchsorted(self._keys, wanted, right=True) - self._starts[users].unsqueeze(1)
        return (drawn + before).clamp(max=self._n_items - 1), lacked.squeeze(1) == 0


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows of a head on its device.

    Attributes:
        users, items: int32 (n,).
        targets: float32 (n,), ratings in standard units; of no use to a head that ranks.
        negatives: the sampler, None for a head of ratings.
    """

    users: Tensor
    items: Tensor
    targets: Tensor
    negatives: Negatives | None

    starts: Tensor

    @classmethod
    def of(cls, train: Interactions, targets: NDArray[np.float32], ranks: bool, device: torch.device) -> "Rows":
        """Put rows on the device once, where they stay."""
        users, items = (torch.from_numpy(side.copy()).to(device) for side in (train.user_index, train.item_index))
        starts = torch.from_numpy(train.indptr).to(device)
        negatives = Negatives(users, items, starts, train.n_items) if ranks else None
        return cls(users, items, torch.from_numpy(targets).to(device), negatives, starts)

    def __len__(self) -> int:
        return len(self.users)

    def one_by_one(self) -> Tensor:
        """Return the numbers of all rows in a new order, (n, 1)."""
        return torch.randperm(len(self), device=self.users.device).unsqueeze(1)

    def in_groups(self) -> Tensor:
        """Deal the rows of each user, in a new order, into groups; return row numbers (G, m), padded with -1.

        A group shares its negatives, so that each row is told apart from many at the price of a few.
        """
        n, device = len(self), self.users.device
        drawn = torch.randperm(n, device=device)
        order = drawn[torch.argsort(self.users[drawn], stable=True)]  # by user, shuffled within one
        place = torch.arange(n, device=device) - self.starts[self.users[order]]
        begins = torch.nonzero(place % GROUP == 0).squeeze(1)  # (G,)
        lengths = torch.diff(begins, append=begins.new_tensor([n]))
        inside = torch.arange(GROUP, device=device)
        rows = order[(begins.unsqueeze(1) + inside).clamp(max=n - 1)]
        groups = torch.where(inside < lengths.unsqueeze(1), rows, -1)
        return groups[torch.randperm(len(groups), device=device)]


def ranking_loss(scores: Tensor, counts: Tensor, rule: str) -> Tensor:
    """Return the mean loss of rated items against the negatives of their group.

    Args:
        scores: float (G, m + k), of m rated items and then of k negatives.
        counts: bool (G, m), False for padding, and where a user has nothing left that could be a negative.
        rule: softmax or bce; in the latter the negatives of a group weigh `_AGAINST` times its rated items.
    """
    scores = scores.float() if scores.dtype == torch.bfloat16 else scores
    m = counts.shape[1]
    rated, others = scores[:, :m], scores[:, m:]
    if rule == "softmax":
        rows = torch.logaddexp(rated, torch.logsumexp(others, 1, keepdim=True)) - rated
    else:
        rows = F.softplus(-rated) + _AGAINST * F.softplus(others).mean(1, keepdim=True)
    return (rows * counts).sum() / counts.sum().clamp(min=1)
