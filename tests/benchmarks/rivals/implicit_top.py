"""implicit: train ALS, then the best ten for one user after the other, and for all at once."""

import json
import sys
import time

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

data = np.load(sys.argv[1])
matrix = csr_matrix((data["ratings"], (data["users"], data["items"])), shape=tuple(data["shape"]))
model = AlternatingLeastSquares(factors=64, iterations=int(data["iterations"]), random_state=0, num_threads=2)
began = time.perf_counter()
model.fit(matrix, show_progress=False)
train = time.perf_counter() - began
times = []
for user in data["asked"]:
    began = time.perf_counter()
    model.recommend(user, matrix[user], N=10)
    times.append(time.perf_counter() - began)
began = time.perf_counter()
model.recommend(np.arange(matrix.shape[0]), matrix, N=10)
everybody = time.perf_counter() - began
print(json.dumps({"train": train, "median": float(np.median(times)), "all": everybody}))
