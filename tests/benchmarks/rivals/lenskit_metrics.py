"""LensKit: the metrics of lists and of predicted ratings, one value a user; the Gini coefficient of all lists."""

import json
import sys

import numpy as np
from lenskit.data import ItemList
from lenskit.metrics import MAE, NDCG, RMSE, Hit, ListGini, LogRankWeight, Precision, Recall, RecipRank
from lenskit.metrics.ranking._map import AveragePrecision

data = np.load(sys.argv[1])
K = data["lists"].shape[1]
LISTS = {
    "precision": Precision(n=K),
    "recall": Recall(n=K),
    "ndcg": NDCG(n=K, weight=LogRankWeight(offset=1)),  # without the offset the second place is not discounted
    "map": AveragePrecision(n=K),
    "mrr": RecipRank(n=K),
    "hit_rate": Hit(n=K),
}
RATINGS = {"rmse": RMSE(), "mae": MAE()}
found: dict[str, list[float]] = {name: [] for name in (*LISTS, *RATINGS)}
for user, row in zip(data["users"], data["lists"], strict=True):
    mine = data["test_users"] == user
    items = data["test_items"][mine]
    recommended = ItemList(item_ids=row[row >= 0], ordered=True)
    for name, measure in LISTS.items():
        value = measure.measure_list(recommended, ItemList(item_ids=items))
        if name == "recall":  # there it is relative to what a list of K can hold
            value *= min(K, len(items)) / len(items)
        found[name].append(float(value))
    predicted = ItemList(item_ids=items, scores=data["predicted"][mine])
    for name, measure in RATINGS.items():
        rated = ItemList(item_ids=items, rating=data["test_ratings"][mine])
        found[name].append(float(measure.measure_list(predicted, rated)))
shown = [ItemList(item_ids=row[row >= 0], ordered=True) for row in data["lists"]]
gini = ListGini(n=K, items=int(data["n_items"]))
found["gini"] = [float(gini.global_aggregate([gini.compute_list_data(one, None) for one in shown]))]
print(json.dumps(found))
