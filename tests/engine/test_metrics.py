"""Metrics worked by hand, and against their definitions spelled out as loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data import Interactions, ItemFeatures
from engine.errors import SettingRefused
from engine.metrics import DEFAULT, METRICS, Evidence, by_name, metric
from engine.metrics.roc import areas


def ratings(pairs, n_users, n_items, genres=None):
    """Ratings of (user, item) pairs, all 1; ids sort as their numbers do."""
    users, items = [np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1)]
    ids = [f"{number:03}" for number in range(max(n_users, n_items))]
    features = None if genres is None else ItemFeatures(np.array(genres, np.uint8), (), np.zeros(n_items, np.int16))
    return Interactions.build(ids[:n_users], ids[:n_items], users, items, np.ones(len(pairs)), features=features)


def evidence_of(lists, test, train=(), n_items=6, genres=None, **rest):
    """Evidence for the lists of users 0, 1, … with held-out pairs."""
    users = np.arange(len(lists))
    width = max(map(len, lists))
    padded = np.array([[*row, *[-1] * (width - len(row))] for row in lists], np.int32)
    known = ratings(train, len(lists), n_items, genres)
    return Evidence.of_lists(users, padded, known, ratings(test, len(lists), n_items), **rest)


def values(name, evidence):
    return metric(name).values(evidence).tolist()


@pytest.fixture
def three():
    """Three users: hits at places 1 and 3 of three relevant items, at place 3 of one, and none."""
    held_out = [(0, 0), (0, 2), (0, 3), (1, 1), (2, 4)]
    return evidence_of([[0, 1, 2], [3, 4, 1], [5]], held_out)


def test_by_hand(three):
    assert values("precision@3", three) == pytest.approx([2 / 3, 1 / 3, 0])
    assert values("recall@3", three) == pytest.approx([2 / 3, 1, 0])
    assert values("hit_rate@3", three) == [1, 1, 0]
    assert values("mrr@3", three) == pytest.approx([1, 1 / 3, 0])
    # user 0: hits at 1 and 3: DCG = 1 + 1/2 = 1.5; the best list: 1 + 1/log2(3) + 1/2 = 2.130930
    # user 1: hit at 3: 1/2 against 1
    assert values("ndcg@3", three) == pytest.approx([0.7039180890341347, 0.5, 0], abs=1e-15)
    # user 0: (1/1 + 2/3) / 3; user 1: (1/3) / 1
    assert values("map@3", three) == pytest.approx([5 / 9, 1 / 3, 0])


def test_the_cut_takes_the_first_k(three):
    assert values("precision@2", three) == [0.5, 0, 0]
    assert values("recall@2", three) == pytest.approx([1 / 3, 0, 0])
    # user 0: hit at 1 of min(2, 3) = 2: 1 / (1 + 1/log2(3)) = 0.613147
    assert values("ndcg@2", three) == pytest.approx([0.6131471927654584, 0, 0], abs=1e-15)
    assert values("map@2", three) == [0.5, 0, 0]
    assert values("mrr@2", three) == [1, 0, 0]


def test_places_that_a_short_list_leaves_empty_are_misses(three):
    assert values("precision@10", three) == pytest.approx([0.2, 0.1, 0])
    assert values("recall@10", three) == values("recall@3", three)
    assert values("map@10", three) == values("map@3", three)


def test_a_cut_beyond_every_list_costs_nothing(three):
    for name in ("precision", "recall", "ndcg", "map", "mrr", "hit_rate"):
        assert len(values(f"{name}@999999999", three)) == 3
    assert values("ndcg@999999999", three) == pytest.approx(values("ndcg@3", three))


def test_rmse_and_mae_pool_rows():
    # user 0: errors 1, -1, 2; user 1: error 3: squares 6 and 9 over 3 and 1 rows
    errors = {"squared_error": np.array([6.0, 9.0]), "absolute_error": np.array([4.0, 3.0])}
    found = evidence_of([[], []], [(0, 0), (0, 1), (0, 2), (1, 0)], **errors)
    assert values("rmse", found) == pytest.approx([np.sqrt(2), 3])
    assert values("mae", found) == pytest.approx([4 / 3, 3])
    pooled = {
        name: metric(name).mean(
            *(side.sum() for side in metric(name).terms(metric(name).values(found), found.relevant))
        )
        for name in ("rmse", "mae")
    }
    assert pooled == {"rmse": pytest.approx(np.sqrt(15 / 4)), "mae": pytest.approx(7 / 4)}


def test_a_model_that_only_ranks_has_no_rating_error(three):
    assert np.isnan(values("rmse", three)).all()
    assert np.isnan(values("mae", three)).all()
    assert np.isnan(values("auc", three)).all()


def test_coverage_and_gini_by_hand():
    # exposures of the four items: 1, 1, 2, 0; ascending 0 1 1 2 with weights -3 -1 1 3: (-1 + 1 + 6) / (4 * 4)
    found = evidence_of([[0, 2], [1, 2]], [(0, 3), (1, 3)], n_items=4)
    assert values("coverage", found) == [0.75]
    assert values("gini", found) == [0.375]
    # at 1 only the first places count: exposures 1, 1, 0, 0: (-3*0 - 0 + 1 + 3) / (4 * 2)
    assert values("coverage@1", found) == [0.5]
    assert values("gini@1", found) == [0.5]


def test_equal_exposure_is_zero_gini():
    assert values("gini", evidence_of([[0, 1], [2, 3]], [(0, 0), (1, 0)], n_items=4)) == [0]


def test_novelty_by_hand():
    # of four users all rated item 0 (0 bits), two item 1 (1 bit), one item 2 (2 bits), nobody item 3 (as one: 2 bits)
    train = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 2)]
    found = evidence_of([[0, 1], [2], [3, 1], []], [(user, 3) for user in range(4)], train, n_items=4)
    assert values("novelty", found) == pytest.approx([0.5, 2, 1.5, np.nan], nan_ok=True)


def test_popularity_lift_by_hand():
    # raters: item 0 four, item 1 two, item 2 one, item 3 none; user 0 rated 0 1 2 (7/3), user 1 rated 0 1 (3)
    train = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (0, 2)]
    found = evidence_of([[3], [0, 0], [], [1], [0]], [(user, 3) for user in range(5)], train, n_items=4)
    # nothing but item 3; (4 + 4) / 2 against 3; no list; 2 against 4; user 4 has no training ratings
    assert values("popularity_lift", found) == pytest.approx([-1, 1 / 3, np.nan, -0.5, np.nan], nan_ok=True)
    assert values("popularity_lift@1", found)[1] == pytest.approx(1 / 3)


def test_interval_coverage_pools_rows():
    found = evidence_of([[], []], [(0, 0), (0, 1), (0, 2), (1, 0)], inside=np.array([3.0, 0.0]))
    assert values("interval_coverage", found) == [1, 0]
    one = metric("interval_coverage")
    assert one.mean(*(side.sum() for side in one.terms(one.values(found), found.relevant))) == 0.75


def test_diversity_by_genres_by_hand():
    # cosines: (1,1)·(1,0) = (1,1)·(0,1) = 1/√2 and (1,0)·(0,1) = 0; item 3 has no genres and is left out
    genres = [[1, 1], [1, 0], [0, 1], [0, 0]]
    found = evidence_of([[0, 1, 2], [0, 1, 3], [1, 3], [2, 2]], [(u, 0) for u in range(4)], n_items=4, genres=genres)
    halves = 1 / np.sqrt(2)
    assert values("diversity", found) == pytest.approx([1 - 2 * halves / 3, 1 - halves, np.nan, 0], nan_ok=True)


def test_diversity_by_raters_by_hand():
    # item 0 rated by users 0 and 1, item 1 by 1 and 2, item 2 by nobody: cosine of 0 and 1 is 1/2
    train = [(0, 0), (1, 0), (1, 1), (2, 1)]
    found = evidence_of([[0, 1, 2], [0, 2], [1]], [(user, 2) for user in range(3)], train, n_items=3)
    assert values("diversity", found) == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)


def test_diversity_by_raters_against_a_dense_matrix(monkeypatch):
    rng = np.random.default_rng(0)
    dense = rng.random((200, 30)) < 0.3
    train = ratings(list(zip(*np.nonzero(dense), strict=True)), 200, 30)
    lists = np.array([rng.permutation(30)[:5] for _ in range(200)], np.int32)
    found = Evidence.of_lists(np.arange(200), lists, train, train)
    cosines = dense.T.astype(float) @ dense / np.sqrt(np.outer(dense.sum(axis=0), dense.sum(axis=0)))
    expected = [np.mean([1 - cosines[row[a], row[b]] for a in range(5) for b in range(a)]) for row in lists]
    assert values("diversity", found) == pytest.approx(expected)
    monkeypatch.setattr("engine.metrics.beyond.BLOCK_BYTES", 2000)  # several blocks of users, several of pairs
    assert values("diversity", found) == pytest.approx(expected)


class TestAuc:
    def test_by_hand(self):
        # relevant 0 and 3, seen 1, others 2 4 5: 0 beats three, 3 beats 4 and 5: 5 of 6 pairs
        scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]], np.float32)
        train, test = ratings([(0, 1)], 1, 6), ratings([(0, 0), (0, 3)], 1, 6)
        assert areas(scores, np.array([0]), train, test).tolist() == pytest.approx([5 / 6])
        # 3 now ties with 2: half a pair more
        scores[0, 3] = 0.7
        assert areas(scores, np.array([0]), train, test).tolist() == pytest.approx([5.5 / 6])

    @settings(deadline=None)  # the first call compiles
    @given(
        st.lists(st.sampled_from([0.0, 1.0, 2.0, -np.inf, np.nan]), min_size=8, max_size=8),
        st.lists(st.sampled_from(["seen", "relevant", "other"]), min_size=8, max_size=8),
    )
    def test_against_all_pairs(self, scores, kinds):
        parts = {kind: [item for item in range(8) if kinds[item] == kind] for kind in ("seen", "relevant", "other")}
        train, test = (ratings([(1, item) for item in parts[kind]], 3, 8) for kind in ("seen", "relevant"))
        found = areas(np.array([scores], np.float32), np.array([1]), train, test)[0]
        low = [-np.inf if np.isnan(score) else score for score in scores]
        pairs = [(low[a] > low[b]) + (low[a] == low[b]) / 2 for a in parts["relevant"] for b in parts["other"]]
        assert found == pytest.approx(np.mean(pairs) if pairs else np.nan, nan_ok=True)


LISTS = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6), min_size=1, max_size=5)
RANKED = [name for name, one in METRICS.items() if one.needs == "lists" and one.per_user and one.bounds[1] == 1]
FOUND = [name for name in RANKED if name != "diversity"]


@st.composite
def cases(draw):
    """Lists and at least one held-out item a user."""
    lists = draw(LISTS)
    relevant = [draw(st.sets(st.integers(0, 9), min_size=1, max_size=4)) for _ in lists]
    return lists, relevant


def case_evidence(lists, relevant):
    return evidence_of(lists, [(user, item) for user, items in enumerate(relevant) for item in items], n_items=10)


@given(cases(), st.integers(1, 8))
def test_against_the_definitions_as_loops(case, k):
    found = case_evidence(*case)
    for user, (row, relevant) in enumerate(zip(*case, strict=True)):
        hits = [place for place, item in enumerate(row[:k], 1) if item in relevant]
        ideal = sum(1 / np.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
        expected = {
            "precision": len(hits) / k,
            "recall": len(hits) / len(relevant),
            "hit_rate": float(bool(hits)),
            "ndcg": sum(1 / np.log2(place + 1) for place in hits) / ideal,
            "map": sum(order / place for order, place in enumerate(hits, 1)) / min(k, len(relevant)),
            "mrr": 1 / hits[0] if hits else 0.0,
        }
        assert {name: values(f"{name}@{k}", found)[user] for name in expected} == pytest.approx(expected, abs=1e-12)


@given(cases())
def test_the_best_list_scores_one_and_the_worst_nought(case):
    _, relevant = case
    best = case_evidence([sorted(items) for items in relevant], relevant)
    worst = case_evidence([sorted(set(range(10)) - items)[:6] for items in relevant], relevant)
    for name in FOUND:
        k = min(map(len, relevant))
        one = metric(name, k)
        if name != "recall":  # a list of k cannot hold more than k relevant items
            assert one.values(best).tolist() == pytest.approx([1] * len(relevant))
        assert one.values(worst).tolist() == [0] * len(relevant)
    assert metric("recall", 4).values(best).tolist() == [1] * len(relevant)


@given(cases(), st.randoms())
def test_the_order_of_users_does_not_matter(case, random):
    order = list(range(len(case[0])))
    random.shuffle(order)
    first, second = case_evidence(*case), case_evidence(*[[part[user] for user in order] for part in case])
    for name in RANKED:
        np.testing.assert_array_equal(metric(name, 5).values(first)[order], metric(name, 5).values(second))


def test_a_mean_leaves_the_undefined_out():
    ndcg = metric("ndcg")
    totals, weights = ndcg.terms(np.array([0.25, np.nan, 0.75]), np.array([5, 5, 5]))
    assert weights.tolist() == [1, 0, 1]
    assert ndcg.mean(totals.sum(), weights.sum()) == 0.5
    assert np.isnan(ndcg.mean(np.float64(0), np.float64(0)))


class TestNames:
    def test_the_cut_off_is_part_of_the_name(self):
        assert metric("ndcg@20").k == 20
        assert metric("ndcg").key == "ndcg@10"
        assert metric("ndcg", 5).key == "ndcg@5"
        assert metric("rmse").key == "rmse"
        assert [metric(name).key for name in ("coverage", "coverage@10", "coverage@20")] == [
            "coverage",
            "coverage@10",
            "coverage@20",
        ]

    def test_the_design_writes_at_in_letters(self):
        assert metric("precision_at_10") == metric("precision@10")

    def test_all_metrics_at_another_cut_off(self):
        assert list(by_name(DEFAULT, 20))[:3] == ["rmse", "mae", "precision@20"]
        assert "coverage@20" in by_name(DEFAULT, 20)

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("ndgc@10", "did you mean ndcg"),
            ("hitrate", "did you mean hit_rate"),
            ("quality", "metrics: rmse"),
            ("", "metrics: rmse"),
            ("rmse@10", "write rmse"),
            ("auc@5", "write auc"),
            ("ndcg@0", "at least 1"),
            ("ndcg@-1", "ndcg@10"),
            ("ndcg@ten", "ndcg@10"),
            ("ndcg@", "ndcg@10"),
            ("ndcg@²", "ndcg@10"),
            ("ndcg@" + "9" * 5000, "ndcg@10"),
        ],
    )
    def test_what_is_refused_says_what_to_write(self, name, hint):
        with pytest.raises(SettingRefused) as refused:
            metric(name)
        assert hint in refused.value.hint
