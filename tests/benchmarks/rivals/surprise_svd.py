"""Surprise: SVD with its defaults, seconds to train and RMSE on the test rows."""

import json
import sys
import time

import numpy as np
import pandas as pd
from surprise import SVD, Dataset, Reader

data = np.load(sys.argv[1])
frame = pd.DataFrame({"user": data["users"], "item": data["items"], "rating": data["ratings"]})
train = Dataset.load_from_df(frame, Reader(rating_scale=tuple(data["scale"]))).build_full_trainset()
model = SVD(random_state=0)
began = time.perf_counter()
model.fit(train)
seconds = time.perf_counter() - began
rows = zip(data["test_users"], data["test_items"], data["test_ratings"], strict=True)
errors = [model.predict(user, item).est - rating for user, item, rating in rows]
print(json.dumps({"train": seconds, "rmse": float(np.sqrt(np.mean(np.square(errors))))}))
