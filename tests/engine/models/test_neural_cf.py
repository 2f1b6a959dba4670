"""Neural collaborative filtering: its loss, its sampler, its two ways to score, and what becomes of bad wishes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from engine.errors import SettingRefused, TrainingFailed
from engine.models.base import TrainingFacts
from engine.models.neural_cf import INSTALL, NeuralCF
from engine.models.neural_scores import fitted_to_ratings
from engine.models.neural_sizes import loss_of
from engine.models.neural_torch import Network, Rows, Shape, ranking_loss
from engine.models.neural_training import Head, Options
from tests.data import planted, rmse, table

SMALL = {"embedding_dim": 6, "hidden_layers": [8, 4], "negatives": 16, "early_stopping": False}
CPU = torch.device("cpu")
OPTIONS = Options("softmax", 0.01, 0.0, 0.0, 64, 8, 5, 0)


def trained(train, **settings):
    model = NeuralCF(**SMALL | settings)
    epochs = list(model.fit_epochs(train, seed=5))
    return model, epochs


def head_of(train, name="ratings", options=OPTIONS, variant="neumf"):
    targets = (train.ratings - train.ratings.mean()).astype(np.float32)
    rows = Rows.of(train, targets, ranks=name == "ranking", device=CPU)
    shape = Shape(train.n_users, train.n_items, variant, 4, (6, 3), np.zeros((train.n_items, 0), np.float32))
    return Head(shape, options, rows, [1])


@pytest.fixture(scope="module")
def data():
    return planted(120, 80, 3000)


# --- the loss ---------------------------------------------------------------------------------------------------------


def test_the_loss_is_chosen_by_the_number_of_ratings():
    assert [loss_of("auto", number) for number in (1, 499_999, 500_000, 25_000_000)] == ["softmax"] * 2 + ["bce"] * 2
    assert loss_of("bce", 10) == "bce"
    assert loss_of("softmax", 10**7) == "softmax"


@pytest.mark.parametrize("name", ["ratings", "ranking"])
@pytest.mark.parametrize("rule", ["softmax", "bce"])
def test_the_gradient_is_that_of_the_loss(data, name, rule):
    options = Options(rule, 0.01, 0.05, 0.0, 64, 8, 5, 0)
    head = head_of(data[0].rows(data[0].user_index < 20), name, options)
    network = head.network.double()
    with torch.no_grad():  # away from the kinks of rectifiers that get nothing
        for layer in (0, 1):
            getattr(network, f"offset_{layer}").normal_()
    if name == "ratings":
        head.rows = Rows(head.rows.users, head.rows.items, head.rows.targets.double(), None, head.rows.starts)
    units = (head.rows.in_groups() if name == "ranking" else head.rows.one_by_one())[:12]

    def loss():
        torch.manual_seed(3)  # the same negatives
        return head.loss(units)

    loss().backward()
    for parameter in network.parameters():
        if not parameter.numel():
            continue
        gradient = (parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad).view(-1)
        flat = parameter.data.view(-1)
        for place in {0, int(gradient.abs().argmax())}:
            step, before = 1e-6, float(flat[place])
            with torch.no_grad():
                flat[place] = before + step
                above = float(loss())
                flat[place] = before - step
                below = float(loss())
                flat[place] = before
            assert float(gradient[place]) == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-7)


def test_the_ranking_losses_by_hand():
    scores = torch.tensor([[2.0, -1.0, 1.0, 0.0]])  # two rated items, two negatives
    counts = torch.tensor([[True, False]])  # the second is padding
    e = np.exp
    by_hand = -np.log(e(2) / (e(2) + e(1) + e(0)))
    assert float(ranking_loss(scores, counts, "softmax")) == pytest.approx(by_hand, rel=1e-6)
    others = (np.log1p(e(1)) + np.log1p(e(0))) / 2
    assert float(ranking_loss(scores, counts, "bce")) == pytest.approx(np.log1p(e(-2)) + 4 * others, rel=1e-6)


@pytest.mark.parametrize("variant", ["gmf", "mlp", "neumf"])
def test_a_tiny_set_is_learned_by_heart(variant):
    rows = table(*np.divmod(np.arange(30), 5), np.random.default_rng(0).integers(1, 11, 30) / 2)
    wishes = {"epochs": 150, "batch_size": 10, "dropout": 0.0, "weight_decay": 0.0, "learning_rate": 0.03}
    model, _ = trained(rows, variant=variant, embedding_dim=12, head="ratings", **wishes)
    assert rmse(model, rows) < 0.05


@pytest.mark.parametrize("loss", ["softmax", "bce"])
def test_the_ranking_head_learns_who_rated_what(data, loss):
    train, _ = data
    model, epochs = trained(train, head="ranking", loss=loss, epochs=15, learning_rate=0.02, weight_decay=0.0)
    assert epochs[-1].losses["train"] < 0.9 * epochs[0].losses["train"]
    rated = np.zeros((train.n_users, train.n_items), np.bool_)
    rated[train.user_index, train.item_index] = True
    scores = model.score_users(np.arange(train.n_users))
    both = [(row[mine].mean(), row[~mine].mean()) for row, mine in zip(scores, rated, strict=True) if mine.any()]
    assert np.mean([mine > others for mine, others in both]) > 0.99


# --- the sampler ------------------------------------------------------------------------------------------------------


def test_negatives_are_never_rated_and_all_others_are_equally_likely():
    rng = np.random.default_rng(2)
    users, items = np.nonzero(rng.random((6, 40)) < np.array([0.02, 0.2, 0.5, 0.9, 0.8, 0.3])[:, None])
    rows = table(users, items, np.full(len(users), 3.0), n_users=6, n_items=40)
    sampler = Rows.of(rows, rows.ratings, ranks=True, device=CPU).negatives
    torch.manual_seed(1)
    drawn, lacking = sampler.draw(torch.arange(6, dtype=torch.int32), 20_000)
    assert not lacking.any()
    for user in range(6):
        unrated = np.setdiff1d(np.arange(40), items[users == user])
        counts = np.bincount(drawn[user].numpy(), minlength=40)
        assert counts[items[users == user]].sum() == 0
        assert chisquare(counts[unrated]).pvalue > 1e-4


def test_who_rated_everything_is_told_apart():
    rows = table([0, 0, 0, 1], [0, 1, 2, 1], [3.0, 4, 5, 1], n_users=3)
    sampler = Rows.of(rows, rows.ratings, ranks=True, device=CPU).negatives
    drawn, lacking = sampler.draw(torch.tensor([0, 1, 2]), 50)
    assert lacking.tolist() == [True, False, False]
    assert set(drawn[1].tolist()) == {0, 2}
    assert set(drawn[2].tolist()) == {0, 1, 2}


def test_an_epoch_deals_every_row_once(data):
    train, _ = data
    rows = Rows.of(train, train.ratings, ranks=True, device=CPU)
    groups = rows.in_groups()
    dealt = groups[groups >= 0]
    assert sorted(dealt.tolist()) == list(range(len(train)))
    users = np.where(groups >= 0, train.user_index[groups.clamp(min=0)], train.user_index[groups[:, :1]])
    assert (users == users[:, :1]).all()


# --- scoring ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["gmf", "mlp", "neumf"])
def test_numpy_scores_as_torch_does(data, variant):
    train, _ = data
    model, _ = trained(train, variant=variant, ranking_variant=variant, epochs=4)
    users = np.arange(0, train.n_users, 11)
    for name in ("ratings", "ranking"):
        network = Network(Shape(train.n_users, train.n_items, *model._shape(name)), 0.0).eval()
        with torch.no_grad():
            for key, parameter in network.named_parameters():
                parameter.copy_(torch.from_numpy(model._raw[name][key]).reshape(parameter.shape))
            everything = torch.arange(train.n_items).expand(len(users), -1)
            wanted = network(torch.from_numpy(users), everything)[0].numpy()
        head = model.heads[name]
        scores = np.stack([head.scores(head.users[user]) for user in users])
        np.testing.assert_allclose(scores, wanted, atol=1e-5)
        pairs = np.repeat(users, train.n_items), np.tile(np.arange(train.n_items), len(users))
        np.testing.assert_allclose(head.pair_scores(*pairs), wanted.ravel(), atol=1e-5)


def test_slopes_are_the_derivatives_of_scores(data):
    model, _ = trained(data[0], epochs=3)
    head, items = model.heads["ratings"], np.arange(0, 80, 9)
    vector = head.users[7].copy()
    scores, slopes = head.slopes(vector, items)
    np.testing.assert_allclose(scores, head.scores(vector, items), atol=1e-6)
    for place in range(0, len(vector), 3):
        above, below = vector.copy(), vector.copy()
        above[place] += 1e-3
        below[place] -= 1e-3
        measured = (head.scores(above, items) - head.scores(below, items)) / 2e-3
        np.testing.assert_allclose(slopes[:, place], measured, atol=5e-3)


def test_a_host_without_torch_serves_explains_and_folds_in(data, tmp_path):
    train, _ = data
    model, _ = trained(train, epochs=3)
    from safetensors.numpy import save_file

    arrays, extra = model.state()
    save_file(arrays, tmp_path / "a.safetensors")
    (tmp_path / "e.json").write_text(__import__("json").dumps(extra))
    items, ratings = train.history(3)
    np.savez(tmp_path / "h.npz", items=items, ratings=ratings)
    code = """
import json, sys
sys.modules["torch"] = None
import numpy as np
from safetensors.numpy import load_file
from engine.models.base import State
from engine.models.neural_cf import NeuralCF
from engine.models.removal import contributions_by_removal
model = NeuralCF()
model.restore(State(load_file("a.safetensors"), json.load(open("e.json"))))
history = np.load("h.npz")
vector = model.fold_in(history["items"], history["ratings"])
parts = contributions_by_removal(model, history["items"], history["ratings"], np.array([5]))[0]
assert len(parts.amounts) and np.isfinite(parts.amounts).all()
np.savez("out.npz", vector=vector, scores=model.score_users(np.arange(5)), rated=model.ratings(model.user_vector(3)))
"""
    root = Path(__file__).parents[3]
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, env={"PYTHONPATH": str(root), "PATH": "/usr/bin"}
    )
    there = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(there["vector"], model.fold_in(items, ratings), atol=1e-5)
    np.testing.assert_allclose(there["scores"], model.score_users(np.arange(5)), atol=1e-5)
    np.testing.assert_allclose(there["rated"], model.ratings(model.user_vector(3)), atol=1e-5)


def test_folding_in_finds_what_training_found(data):
    train, test = data
    model, _ = trained(train, epochs=15, learning_rate=0.01)
    folded = np.empty(len(test), np.float32)
    cold = model.ratings(model.cold_vector())[test.item_index]
    for user in np.unique(test.user_index):
        rows = test.user_index == user
        folded[rows] = model.ratings(model.fold_in(*train.history(int(user))), test.item_index[rows])
    error = float(np.sqrt(np.mean((folded - test.ratings) ** 2)))
    assert error < 1.02 * rmse(model, test)
    assert error < 0.95 * float(np.sqrt(np.mean((cold - test.ratings) ** 2)))


def test_a_fitted_vector_is_no_worse_than_its_start(data):
    model, _ = trained(data[0], epochs=3)
    head = model.heads["ratings"]
    items, targets = np.array([1, 5, 9]), np.array([2.0, -1.0, 0.5], np.float32)
    start, ridge = model._cold["ratings"], np.full(head.width, 0.1)
    found = fitted_to_ratings(head, start, items, targets, ridge)
    before, after = (float(np.sum((targets - head.scores(one, items)) ** 2)) for one in (start, found))
    assert after < before


# --- training ---------------------------------------------------------------------------------------------------------


def test_large_tables_learn_by_touched_rows_alone():
    users = np.arange(200) // 2
    rows = table(users, np.arange(200) % 2 + (users % 50) * 2, 1 + 4 * (users % 2), n_users=400, n_items=600)
    model, epochs = trained(rows, batch_size=16, epochs=3, learning_rate=0.02, negatives=4)
    assert np.isfinite(epochs[-1].losses["train"])
    assert epochs[-1].losses["train"] < epochs[0].losses["train"]
    assert head_of(rows, "ranking", Options("softmax", 0.01, 0.0, 0.0, 16, 4, 5, 0)).network.sparse == (True, True)
    whole = model.state()
    half = NeuralCF(**SMALL | {"batch_size": 16, "epochs": 3, "learning_rate": 0.02, "negatives": 4})
    for epoch in half.fit_epochs(rows, seed=5):
        if epoch.number == 2:
            break
    again = NeuralCF()
    again.restore(half.state())
    assert [epoch.number for epoch in again.fit_epochs(rows, seed=5)] == [3]
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(again.state().arrays[name], array, err_msg=name)


def test_pretraining_trains_each_half_alone_and_goes_on_from_both(data):
    train, _ = data
    model, epochs = trained(train, pretrain=3, epochs=6, learning_rate=0.01, head="ratings")
    assert len(epochs) == 6
    assert epochs[-1].losses["train"] < epochs[0].losses["train"]
    half = NeuralCF(**SMALL | {"pretrain": 3, "epochs": 6, "learning_rate": 0.01, "head": "ratings"})
    for epoch in half.fit_epochs(train, seed=5):
        if epoch.number == 3:  # the last epoch of the halves
            break
    again = NeuralCF()
    again.restore(half.state())
    list(again.fit_epochs(train, seed=5))
    np.testing.assert_array_equal(again.score_users(np.arange(9)), model.score_users(np.arange(9)))


def test_early_stopping_ends_with_the_best_epoch(data):
    train, test = data
    wishes = {"epochs": 40, "learning_rate": 0.03, "weight_decay": 0.0, "dropout": 0.0, "head": "ratings"}
    stopped, epochs = trained(train, early_stopping=True, **wishes)
    assert len(epochs) < 40
    assert rmse(stopped, test) < rmse(trained(train, **wishes)[0], test)


def test_out_of_memory_halves_the_batch_and_says_so(data):
    head = head_of(data[0])
    largest = head.batch // 3
    forward = head.network.forward

    def crowded(users, items, halves=("gmf", "mlp")):
        if len(users) > largest:
            raise torch.OutOfMemoryError
        return forward(users, items, halves)

    head.network.forward = crowded
    assert np.isfinite(head.epoch(1))
    assert head.batch <= largest
    assert "out of memory" in head.notes[0]
    largest = 0
    with pytest.raises(TrainingFailed) as failed:
        head.epoch(2)
    assert failed.value.hint


def test_a_loss_that_is_not_finite_ends_the_run(data):
    model = NeuralCF(**SMALL | {"learning_rate": 1.0, "weight_decay": 100.0, "epochs": 30, "head": "ratings"})
    model.facts = TrainingFacts.of(data[0])
    head = head_of(data[0])
    with torch.no_grad():
        head.network.level.fill_(float("nan"))
    with pytest.raises(TrainingFailed) as failed:
        head.epoch(1)
    assert "learning_rate" in failed.value.hint


def test_a_device_that_is_not_there_is_named_and_the_cpu_taken(data):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    _, epochs = trained(data[0], epochs=2, device="cuda")
    assert "CPU" in epochs[0].note
    assert not epochs[1].note


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_learns_as_well_as_the_cpu(data):
    train, test = data
    errors = [rmse(trained(train, epochs=10, device=device)[0], test) for device in ("cpu", "cuda")]
    assert errors[1] == pytest.approx(errors[0], rel=0.05)


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ({"hidden_layers": "16,32"}, "hidden_layers"),
        ({"hidden_layers": "64,0"}, "hidden_layers"),
        ({"hidden_layers": "wide"}, "hidden_layers"),
        ({"hidden_layers": ""}, "hidden_layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"batch_size": -1}, "batch_size"),
        ({"variant": "lstm"}, "variant"),
        ({"pretrain": 3, "variant": "gmf"}, "pretrain"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_impossible_wishes_are_refused_by_name(wish, named):
    with pytest.raises(SettingRefused) as refused:
        NeuralCF(**wish)
    assert named in str(refused.value)
    assert refused.value.hint


def test_layers_are_read_from_text_and_lists():
    assert NeuralCF(hidden_layers="64,32").config == NeuralCF(hidden_layers=[64, 32]).config
    assert NeuralCF(hidden_layers="[32, 16]").config.hidden_layers == [32, 16]


def test_a_batch_larger_than_the_data_is_made_smaller(data):
    _, epochs = trained(data[0], batch_size=2**20, epochs=3, learning_rate=0.01)
    assert epochs[-1].losses["train"] < epochs[0].losses["train"]


def test_the_designs_names_are_there(data):
    train, _ = data
    model, _ = trained(train, epochs=1)
    assert set(model.build_model()) == {"ratings", "ranking"}
    assert "torch" in INSTALL
