"""LibRecommender: NCF by its own trainer on one thread, seconds of the second epoch."""

import json
import os
import sys
import time

os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}  # its layers are those of Keras 2

import numpy as np
import pandas as pd
import torch
from libreco.algorithms import NCF
from libreco.data import DatasetPure

torch.set_num_threads(1)
data = np.load(sys.argv[1])
negatives = int(data["negatives"])
ones = np.ones(len(data["users"]), np.float32)
train, facts = DatasetPure.build_trainset(pd.DataFrame({"user": data["users"], "item": data["items"], "label": ones}))
model = NCF(
    "ranking",
    facts,
    embed_size=int(data["width"]),
    n_epochs=1,
    batch_size=int(data["batch"]) * (1 + negatives),  # it counts the negatives among a batch
    num_neg=negatives,
    sampler="unconsumed",
    use_bn=False,
    dropout_rate=float(data["dropout"]),
    hidden_units=tuple(data["layers"].tolist()),
    tf_sess_config={"intra_op_parallelism_threads": 1, "inter_op_parallelism_threads": 1},
)
model.fit(train, neg_sampling=True, verbose=0)
began = time.perf_counter()
model.fit(train, neg_sampling=True, verbose=0)
print(json.dumps({"epoch": time.perf_counter() - began}))
