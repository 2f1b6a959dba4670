"""LensKit: biased matrix factorization by ALS, seconds to train and RMSE on the test rows."""

import json
import sys
import time

import numpy as np
import pandas as pd
from lenskit.als import BiasedMFScorer
from lenskit.batch import predict
from lenskit.data import ItemList, from_interactions_df
from lenskit.pipeline import predict_pipeline

data = np.load(sys.argv[1])
train = pd.DataFrame({"user_id": data["users"], "item_id": data["items"], "rating": data["ratings"]})
test = pd.DataFrame({"user_id": data["test_users"], "item_id": data["test_items"], "rating": data["test_ratings"]})
dataset = from_interactions_df(train)
predict_pipeline(BiasedMFScorer(embedding_size=50, epochs=1)).train(from_interactions_df(train.head(5_000)))  # compiles
pipeline = predict_pipeline(BiasedMFScorer(embedding_size=50))
began = time.perf_counter()
pipeline.train(dataset)
seconds = time.perf_counter() - began
lists = {user: ItemList(item_ids=rows["item_id"].to_numpy()) for user, rows in test.groupby("user_id")}
found = predict(pipeline, lists, n_jobs=1).to_df()
joined = test.merge(found, on=["user_id", "item_id"], how="left")
scores = joined["score"].fillna(train["rating"].mean())
print(json.dumps({"train": seconds, "rmse": float(np.sqrt(np.mean((scores - joined["rating"]) ** 2)))}))
