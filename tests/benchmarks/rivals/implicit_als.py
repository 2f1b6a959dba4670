"""implicit: train ALS twice, the first time to warm up, and rank the catalogue for users with held-out items."""

import json
import sys
import time

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

data = np.load(sys.argv[1])
users, items = data["users"], data["items"]
matrix = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=tuple(data["shape"]))
settings = {"factors": int(data["factors"]), "iterations": int(data["iterations"]), "num_threads": 2}
AlternatingLeastSquares(**settings | {"iterations": 1}).fit(matrix[:1000], show_progress=False)
model = AlternatingLeastSquares(**settings, random_state=0)
with threadpool_limits(1, "blas"):  # as its documentation asks: it has threads of its own
    began = time.perf_counter()
    model.fit(matrix, show_progress=False)
    seconds = time.perf_counter() - began
asked, wanted = data["test_users"], data["test_items"]
lists = np.concatenate(
    [model.recommend(part, matrix[part], N=10)[0] for part in np.array_split(asked, len(asked) // 500 + 1)]
)
ranks = np.argmax(lists == wanted[:, None], axis=1)
gains = np.where((lists == wanted[:, None]).any(axis=1), 1 / np.log2(ranks + 2), 0)
print(json.dumps({"train": seconds, "ndcg": float(gains.mean())}))
