"""RecBole: NeuMF by its own trainer and data loader on one thread, seconds of the second epoch."""

import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

for name, kind in {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}.items():
    setattr(np, name, kind)  # names that NumPy 2 has dropped; its configuration asks for them
warnings.filterwarnings("ignore")

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.model.general_recommender.neumf import NeuMF  # noqa: E402
from recbole.trainer import Trainer  # noqa: E402

torch.set_num_threads(1)
data = np.load(sys.argv.pop())  # its configuration reads what is left of the command line
negatives = int(data["negatives"])
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)  # it writes logs where it is
    Path("pairs").mkdir()
    pairs = pd.DataFrame({"user_id:token": data["users"], "item_id:token": data["items"]})
    pairs.to_csv("pairs/pairs.inter", sep="\t", index=False)
    settings = {
        "data_path": folder,
        "checkpoint_dir": folder,
        "load_col": {"inter": ["user_id", "item_id"]},
        "eval_args": {"split": {"RS": [1, 0, 0]}, "group_by": None, "order": "RO", "mode": "full"},
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": negatives, "alpha": 1.0, "dynamic": False},
        "train_batch_size": int(data["batch"]) * (1 + negatives),  # it counts the negatives among a batch
        "mf_embedding_size": int(data["width"]),
        "mlp_embedding_size": int(data["width"]),
        "mlp_hidden_size": data["layers"].tolist(),
        "dropout_prob": float(data["dropout"]),
        "use_gpu": False,
        "epochs": 2,
        "show_progress": False,
    }
    config = Config(model="NeuMF", dataset="pairs", config_dict=settings)
    train, _, _ = data_preparation(config, create_dataset(config))
    trainer = Trainer(config, NeuMF(config, train.dataset))
    trainer._train_epoch(train, 0)
    began = time.perf_counter()
    trainer._train_epoch(train, 1)
    print(json.dumps({"epoch": time.perf_counter() - began}))
