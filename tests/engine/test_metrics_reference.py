"""The same lists measured by RecTools 0.19.0 and LensKit 2025.8.1: their numbers, to 1e-9.

Where a library defines a metric otherwise the test says so. User 7 has seven held-out items, more than k = 5: there
RecTools divides the average precision by 7, LensKit the recall by 5.
"""

import numpy as np
import pytest

from engine.data import Interactions, ItemFeatures
from engine.metrics import Evidence, metric

TRAIN = [
    *[(0, item) for item in (3, 4, 6, 10, 11, 12)],
    *[(1, item) for item in (5, 6, 8, 9)],
    *[(2, item) for item in (1, 2, 3, 5, 7, 9, 10)],
    *[(3, item) for item in (1, 7, 9, 10)],
    *[(4, item) for item in (3, 5, 7, 9, 11, 14)],
    *[(5, item) for item in (4, 5, 8, 14)],
    *[(6, item) for item in (0, 4, 6, 8, 9)],
    *[(7, item) for item in (0, 7, 9, 12)],
]
TEST = [
    *[(0, item) for item in (1, 2, 5, 7, 8)],
    *[(1, item) for item in (1, 2, 4, 12)],
    *[(2, item) for item in (4, 8, 11, 13)],
    *[(3, item) for item in (0, 4, 11, 13)],
    *[(4, item) for item in (2, 8, 10, 12, 13)],
    *[(5, item) for item in (0, 1, 2, 6, 9)],
    *[(6, item) for item in (1, 5, 10, 11, 14)],
    *[(7, item) for item in (2, 5, 6, 8, 10, 11, 14)],
]
LISTS = [
    [1, 5, 14, 8, 2, 0],
    [10, 1, 2, 0, 4, 13],
    [0, 14, 4, 11, 12, 6],
    [3, 8, 12, 6, 2, 14],
    [12, 6, 8, 2, 4, 13],
    [6, 7, 1, 0, 10, 9],
    [13, 14, 3, 11, 10, 5],
    [10, 2, 3, 14, 5, 1],
]
GENRES = ["1100", "1111", "0110", "1000", "1001", "1011", "0010", "1011"]
GENRES += ["0010", "1001", "1000", "1001", "0111", "0101", "0101"]

# fmt: off
RECTOOLS = {
    "precision@5": [0.8, 0.6, 0.4, 0.0, 0.6, 0.6, 0.6, 0.8],
    "recall@5": [0.8, 0.75, 0.5, 0.0, 0.6, 0.6, 0.6, 0.5714285714285714],
    "hit_rate@5": [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
    "mrr@5": [1.0, 0.5, 0.3333333333333333, 0.0, 1.0, 1.0, 0.5, 1.0],
    # divide_by_achievable=True
    "ndcg@5": [0.830419897363192, 0.592512031964586, 0.36331756126716835, 0.0, 0.6548086577531307, 0.6548086577531307,
               0.4912596920895758, 0.830419897363192],
    "map@5": [0.71, 0.44166666666666665, 0.20833333333333331, 0.0, 0.4833333333333333, 0.4833333333333333, 0.32,
              0.5071428571428571 * 7 / 5],
    # MeanInvUserFreq
    "novelty@5": [1.8830074998557689, 1.9660149997115375, 1.8830074998557689, 1.8490224995673064, 1.8490224995673064,
                  1.5660149997115376, 1.9660149997115375, 1.7660149997115375],
    # CatalogCoverage(normalize=True)
    "coverage@5": [0.9333333333333333],
    # IntraListDiversity with the cosine distance of the genre vectors
    "diversity@5": [0.4618807402538567, 0.4964466094067263, 0.4458758547680686, 0.5614589318319927,
                    0.5206341027856064, 0.5156812204999351, 0.5585786437626906, 0.6528802880693022],
}
LENSKIT = {
    "precision@5": [0.8, 0.6, 0.4, 0.0, 0.6, 0.6, 0.6, 0.8],
    "recall@5": [0.8, 0.75, 0.5, 0.0, 0.6, 0.6, 0.6, 0.8 * 5 / 7],
    "hit_rate@5": [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
    "mrr@5": [1.0, 0.5, 0.3333333333333333, 0.0, 1.0, 1.0, 0.5, 1.0],
    # weight=LogRankWeight(offset=1): without it LensKit does not discount the second place
    "ndcg@5": [0.8304198973631919, 0.5925120319645861, 0.3633175612671684, 0.0, 0.6548086577531308,
               0.6548086577531308, 0.4912596920895758, 0.8304198973631919],
    # ListGini
    "gini@5": [0.25],
    "rmse": [1.6514115174601394, 2.097552144763033, 2.6332584377534993, 2.8989437731698073, 2.1106539271041096,
             1.7619307591389621, 2.0268843084892634, 1.433701503103069],
    "mae": [1.436, 1.8425, 2.43, 2.8325, 1.666, 1.292, 1.814, 0.9585714285714287],
}
PREDICTED = [
    2.92, 3.38, 3.64, 2.23, 4.85, 2.86, 3.51, 3.54, 1.74, 1.25, 2.65, 4.06, 4.26, 3.92, 1.45, 4.65, 4.21, 4.51, 3.09,
    4.66, 1.19, 1.12, 1.08, 2.01, 1.99, 1.75, 3.27, 1.16, 3.36, 1.66, 3.71, 1.08, 2.24, 4.75, 3.15, 4.25, 3.63, 3.44,
    1.77,
]
RATED = [
    4, 3, 2, 1, 2, 5, 3, 5, 5, 5, 1, 1, 3, 2, 5, 2, 1, 1, 2, 4, 1, 4, 2, 2, 4, 5, 3, 4, 2, 1, 5, 4, 4, 5, 3, 1, 3, 3,
    2,
]
# fmt: on


@pytest.fixture(scope="module")
def evidence():
    genres = np.array([[int(flag) for flag in row] for row in GENRES], np.uint8)
    features = ItemFeatures(genres, tuple("abcd"), np.zeros(15, np.int16))
    ids = [f"{number:02}" for number in range(15)]

    def ratings(pairs):
        users, items = np.array(pairs).T
        return Interactions.build(ids[:8], ids, users, items, np.ones(len(pairs)), features=features)

    error = np.array(PREDICTED) - RATED
    users = np.array(TEST)[:, 0]
    return Evidence.of_lists(
        np.arange(8),
        np.array(LISTS, np.int32),
        ratings(TRAIN),
        ratings(TEST),
        squared_error=np.bincount(users, error**2),
        absolute_error=np.bincount(users, np.abs(error)),
    )


@pytest.mark.parametrize("name", RECTOOLS)
def test_equals_rectools(evidence, name):
    np.testing.assert_allclose(metric(name).values(evidence), RECTOOLS[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", LENSKIT)
def test_equals_lenskit(evidence, name):
    np.testing.assert_allclose(metric(name).values(evidence), LENSKIT[name], rtol=0, atol=1e-9)
