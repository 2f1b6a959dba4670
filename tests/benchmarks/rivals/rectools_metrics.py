"""RecTools: the metrics of lists, one value a user, and that of the whole catalogue; the area under the ROC curve.

Where RecTools knows several definitions, the one is chosen that is ours:

- nDCG is divided by what the user's items could gain in k places (`divide_by_achievable`), not by k hits;
- its average precision is divided by all relevant items: brought here to min(k, relevant), as the first k can hold;
- novelty is the mean over the list of -log2(share of the users), to the base 2 in both;
- the lift of popularity is the average popularity of the list by that of the user's training items, less one;
- the area under the whole curve is the partial one, at as many others as there are.
"""

import json
import sys

import numpy as np
import pandas as pd
from rectools import Columns
from rectools.metrics import (
    MAP,
    MRR,
    NDCG,
    AvgRecPopularity,
    CatalogCoverage,
    HitRate,
    IntraListDiversity,
    MeanInvUserFreq,
    PartialAUC,
    Precision,
    Recall,
)
from rectools.metrics.distances import PairwiseDistanceCalculator


class Cosine(PairwiseDistanceCalculator):
    """One less the cosine of genre vectors; NaN, left out of means, where an item has no genre."""

    def __init__(self, genres: np.ndarray) -> None:
        norms = np.linalg.norm(genres, axis=1, keepdims=True)
        self._unit = np.divide(genres, norms, out=np.full(genres.shape, np.nan), where=norms > 0)

    def _get_distances_for_item_pairs(self, items_0: np.ndarray, items_1: np.ndarray) -> np.ndarray:
        return 1 - (self._unit[np.asarray(items_0)] * self._unit[np.asarray(items_1)]).sum(axis=1)


def table(users: np.ndarray, items: np.ndarray) -> pd.DataFrame:
    """Return pairs, in order of users, as a table of recommendations: the first item of a user has rank 1."""
    found = pd.DataFrame({Columns.User: users, Columns.Item: items})
    return found.assign(**{Columns.Rank: found.groupby(Columns.User).cumcount() + 1})


data = np.load(sys.argv[1])
lists, users = data["lists"], data["users"]
K = lists.shape[1]
shown = table(np.repeat(users, K)[lists.ravel() >= 0], lists[lists >= 0])
test = table(data["test_users"], data["test_items"])
train = table(data["train_users"], data["train_items"])
relevant = test.groupby(Columns.User).size()
catalogue = np.arange(len(data["genres"]))
popularity, longest = AvgRecPopularity(k=K), AvgRecPopularity(k=int(train[Columns.Rank].max()))
own = longest.calc_per_user(train[train[Columns.User].isin(users)], train)
diversity = IntraListDiversity(k=K, distance_calculator=Cosine(data["genres"].astype(np.float64)))
found = {
    "precision": Precision(k=K).calc_per_user(shown, test),
    "recall": Recall(k=K).calc_per_user(shown, test),
    "hit_rate": HitRate(k=K).calc_per_user(shown, test),
    "mrr": MRR(k=K).calc_per_user(shown, test),
    "ndcg": NDCG(k=K, divide_by_achievable=True).calc_per_user(shown, test),
    "map": MAP(k=K).calc_per_user(shown, test) * relevant / relevant.clip(upper=K),
    "novelty": MeanInvUserFreq(k=K).calc_per_user(shown, train),
    "popularity_lift": popularity.calc_per_user(shown, train) / own - 1,
    "diversity": diversity.calc_per_user(shown),
}
answer = {name: [None if np.isnan(one) else one for one in by_user.reindex(users)] for name, by_user in found.items()}
answer["coverage"] = [CatalogCoverage(k=K, normalize=True).calc(shown, catalogue)]
areas = []
for user, ranked in zip(data["ranked_users"], data["ranked"], strict=True):
    mine = test[test[Columns.User] == user]
    whole = table(np.full(int((ranked >= 0).sum()), user), ranked[ranked >= 0])
    areas.append(float(PartialAUC(k=len(whole) - len(mine)).calc_per_user(whole, mine).iloc[0]))
answer["auc"] = areas
print(json.dumps(answer))
