"""How well the lists bring up held-out items. Relevance is binary: every held-out item of a user is relevant."""

import numpy as np
from numpy.typing import NDArray

from engine.metrics.base import Evidence, Metric, Values


def precision(evidence: Evidence, k: int) -> Values:
    """Return hits in the first k places / k, (U,)."""
    return _defined(evidence, _found(evidence, k) / k)


def recall(evidence: Evidence, k: int) -> Values:
    """Return hits in the first k places / relevant items, (U,)."""
    return _defined(evidence, _found(evidence, k) / _relevant(evidence))


def hit_rate(evidence: Evidence, k: int) -> Values:
    """Return 1 where the first k places hold a hit, else 0, (U,)."""
    return _defined(evidence, (_found(evidence, k) > 0).astype(np.float64))


def ndcg(evidence: Evidence, k: int) -> Values:
    """Return the discounted hits / those of the best possible list, (U,)."""
    hits = evidence.hits[:, :k]
    best = np.minimum(_relevant(evidence), k)  # (U,), hits of the best possible list
    places = max(hits.shape[1], int(best.max(initial=1)))
    discounts = 1 / np.log2(np.arange(2, places + 2))  # (places,), 1 / log2(place + 1)
    gained = hits @ discounts[: hits.shape[1]]
    ideal = np.cumsum(discounts)[best - 1]
    return _defined(evidence, gained / ideal)


def average_precision(evidence: Evidence, k: int) -> Values:
    """Return the precision at each hit's place, summed, / min(k, relevant items), (U,)."""
    hits = evidence.hits[:, :k]
    precisions = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return _defined(evidence, (precisions * hits).sum(axis=1) / np.minimum(_relevant(evidence), k))


def reciprocal_rank(evidence: Evidence, k: int) -> Values:
    """Return 1 / place of the first hit within k, 0 where there is none, (U,)."""
    hits = evidence.hits[:, :k]
    if not hits.shape[1]:
        return _defined(evidence, np.zeros(len(hits)))
    return _defined(evidence, np.where(hits.any(axis=1), 1 / (np.argmax(hits, axis=1) + 1), 0.0))


def auc(evidence: Evidence, _k: int) -> Values:
    """Return the areas under the ROC curves that the pass collected, (U,)."""
    return np.full(len(evidence.users), np.nan) if evidence.auc is None else evidence.auc


def _found(evidence: Evidence, k: int) -> NDArray[np.int64]:
    """Return the number of hits in the first k places (U,)."""
    found: NDArray[np.int64] = evidence.hits[:, :k].sum(axis=1)
    return found


def _relevant(evidence: Evidence) -> NDArray[np.int64]:
    """Return the number of relevant items (U,), at least 1 so that it can divide; `_defined` takes such users out."""
    return np.maximum(evidence.relevant, 1)


def _defined(evidence: Evidence, values: Values) -> Values:
    """Put NaN where a user has no relevant item."""
    return np.where(evidence.relevant > 0, values, np.nan)


_EMPTY = "Undefined for a user without held-out items: left out of the mean and counted. An empty list scores 0."

PRECISION = Metric(
    name="precision",
    sentence="Share of the first k recommended items that the user has among the held-out ones.",
    formula="hits@k / k",
    source="Herlocker, Konstan, Terveen, Riedl 2004, Evaluating collaborative filtering recommender systems, 4.2",
    empty_case=_EMPTY + " Places that a short list leaves empty count as misses.",
    better="higher",
    compute=precision,
)

RECALL = Metric(
    name="recall",
    sentence="Share of the user's held-out items that are among the first k recommended ones.",
    formula="hits@k / relevant",
    source="Herlocker, Konstan, Terveen, Riedl 2004, Evaluating collaborative filtering recommender systems, 4.2",
    empty_case=_EMPTY,
    better="higher",
    compute=recall,
)

NDCG = Metric(
    name="ndcg",
    sentence="Held-out items among the first k, worth less the lower they stand, relative to the best possible list.",
    formula="DCG@k / IDCG@k; DCG@k = sum over places p <= k of hit(p) / log2(p + 1); "
    "IDCG@k = sum over p <= min(k, relevant) of 1 / log2(p + 1)",
    source="Järvelin, Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques, with binary gains and the "
    "discount of Burges et al. 2005, Learning to rank using gradient descent",
    empty_case=_EMPTY,
    better="higher",
    compute=ndcg,
)

MAP = Metric(
    name="map",
    sentence="Precision at the place of each hit, averaged over as many items as the first k places could have held.",
    formula="sum over places p <= k of hit(p) * precision@p / min(k, relevant)",
    source="Manning, Raghavan, Schütze 2008, Introduction to Information Retrieval, 8.4, cut at k",
    empty_case=_EMPTY,
    better="higher",
    compute=average_precision,
)

MRR = Metric(
    name="mrr",
    sentence="One divided by the place of the first held-out item within the first k, 0 where there is none.",
    formula="1 / place of the first hit, if it is <= k, else 0",
    source="Voorhees 1999, The TREC-8 question answering track report, cut at k",
    empty_case=_EMPTY,
    better="higher",
    compute=reciprocal_rank,
)

HIT_RATE = Metric(
    name="hit_rate",
    sentence="Share of users who find at least one held-out item among the first k.",
    formula="1 if hits@k > 0 else 0",
    source="Deshpande, Karypis 2004, Item-based top-N recommendation algorithms, 6.1",
    empty_case=_EMPTY,
    better="higher",
    compute=hit_rate,
)

AUC = Metric(
    name="auc",
    sentence="Chance that a held-out item scores above an item the user has not rated at all; ties count half.",
    formula="( pairs with score(relevant) > score(other) + pairs with equal scores / 2 ) / (relevant * others), "
    "over all items of the catalogue that are not the user's training items",
    source="Rendle, Freudenthaler, Gantner, Schmidt-Thieme 2009, BPR, section 3.1",
    empty_case="Undefined for a user without held-out items, or who has rated everything: left out and counted.",
    better="higher",
    compute=auc,
    needs="scores",
)
