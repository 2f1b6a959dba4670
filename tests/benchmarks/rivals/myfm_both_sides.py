"""myFM: a factorization machine with who rated what on both sides, seconds to sample and RMSE on the test rows."""

import json
import sys
import time
import warnings

import numpy as np
from scipy.sparse import csr_matrix, eye, hstack

warnings.filterwarnings("ignore")  # of the package that it asks for its version

from myfm import MyFMRegressor, RelationBlock  # noqa: E402

data = np.load(sys.argv[1])
n_users, n_items = data["shape"]
users, items, ratings = data["users"], data["items"], data["ratings"]
given = csr_matrix((np.ones(len(users)), (users, items)), shape=(n_users, n_items))


def described(given: csr_matrix) -> csr_matrix:
    """Return who it is, and 1/√n for each of the n that it goes with."""
    counts = np.maximum(np.diff(given.indptr), 1)
    return hstack([eye(given.shape[0]), given.multiply(1 / np.sqrt(counts)[:, None])], format="csr")


of_users, of_items = described(given), described(given.T.tocsr())
rows = [RelationBlock(users, of_users), RelationBlock(items, of_items)]
asked = [RelationBlock(data["test_users"], of_users), RelationBlock(data["test_items"], of_items)]
shapes = [n_users, n_items, n_items, n_users]
machine = MyFMRegressor(rank=int(data["rank"]), random_seed=0)
began = time.perf_counter()
iterations = int(data["iterations"])
machine.fit(None, ratings, X_rel=rows, n_iter=iterations, n_kept_samples=iterations - 20, group_shapes=shapes)
seconds = time.perf_counter() - began
left = machine.predict(None, asked) - data["test_ratings"]
print(json.dumps({"train": seconds, "rmse": float(np.sqrt(np.mean(left**2)))}))
