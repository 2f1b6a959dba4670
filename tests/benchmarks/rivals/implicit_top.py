"""implicit: train ALS, then the best ten for one user after the other, and for all at once."""

import json
import sys
import time

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

data = np.load(sys.argv[1])
matrix = csr_matrix((data["ratings"], (data["users"], data["items"])), shape=tuple(data["shape"]))
model = AlternatingLeastSquares(factors=64, iterations=int(data["iterations"]), random_state=0, num_threads=2)
with threadpool_limits(1, "blas"):  # as its documentation asks: it has threads of its own
    began = time.perf_counter()
    model.fit(matrix, show_progress=False)
    train = time.perf_counter() - began
for user in data["asked"][:100]:
    model.recommend(user, matrix[user], N=10)
times = []
for user in data["asked"]:
    began = time.perf_counter()
    model.recommend(user, matrix[user], N=10)
    times.append(time.perf_counter() - began)
everybody = []
for _ in range(3):
    began = time.perf_counter()
    model.recommend(np.arange(matrix.shape[0]), matrix, N=10)
    everybody.append(time.perf_counter() - began)
figures = {"train": train, "median": np.median(times), "p99": np.quantile(times, 0.99), "all": min(everybody)}
print(json.dumps({name: float(value) for name, value in figures.items()}))
