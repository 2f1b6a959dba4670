"""Each check finds what was planted, and is quiet about sound data."""

import random

import pytest

from store.health import health
from store.importers.pipeline import import_source
from tests.cli import call, few_ratings

NOW = 1_700_000_000


def looked_at(database, folder, rows, titles=""):
    """Import rows (user, item, rating, time) and return the findings by name."""
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n" + "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in rows)
    )
    if titles:
        (folder / "movies.csv").write_text("movieId,title,genres\n" + titles)
    import_source(database, str(folder))
    return {finding.name: finding for finding in health(database, now=NOW)}


def sound(n_users=30, n_items=20, seed=1):
    rng = random.Random(seed)
    return [
        (f"u{user}", f"i{item}", rng.randint(1, 10) / 2, 1_600_000_000 + rng.randint(0, 10_000_000))
        for user in range(n_users)
        for item in range(n_items)
    ]


TITLES = "".join(f"i{item},Film {item} (1990),Drama\n" for item in range(20))


def test_sound_data_are_well(database, tmp_path):
    found = looked_at(database, tmp_path, sound(), TITLES)
    assert [name for name, finding in found.items() if not finding.ok] == []
    assert all(not finding.hint for finding in found.values())


PLANTED = {
    "one value for everything": [("flat", f"i{k}", 5, 1_600_000_000 + 1000 * k) for k in range(20)],
    "bursts": [("bot", f"x{k}", k % 5 + 1, 1_600_000_020 + k % 30) for k in range(100)],
    "times that cannot be": [("late", "i1", 3, NOW + 200_000), ("early", "i1", 4, 5)],
    "times missing": [("timeless", "i1", 3, "")],
    "duplicates": [("twice", "i1", 3, 1_600_000_000)] * 60,
    "refused rows": [("bad", "i1", "x", 1_600_000_000)] * 20,
    "users with few ratings": [(f"few{k}", "i1", k % 5 + 1, 1_600_000_000 + k) for k in range(40)],
    "items with few ratings": [("wide", f"rare{k}", k % 5 + 1, 1_600_000_000 + 1000 * k) for k in range(30)],
    "drift": [(f"u{k}", f"new{k % 7}", 5, 1_650_000_000 + k) for k in range(30) for _ in range(1)] * 1
    + [(f"u{k}", f"newer{j}", 5, 1_650_000_000 + 100 * k + j) for k in range(30) for j in range(9)],
    "copies": [(f"clone{c}", f"i{k}", k % 5 + 1, 1_600_000_000 + 1000 * k) for c in range(2) for k in range(12)],
    "values": [(f"u{k}", f"like{j}", 5, 1_600_000_000 + 1000 * j) for k in range(30) for j in range(300)],
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_was_planted_is_found_with_what_to_do(database, tmp_path, name):
    found = looked_at(database, tmp_path, sound() + PLANTED[name], TITLES)
    assert not found[name].ok, found[name]
    assert found[name].hint


def test_who_it_is_is_named(database, tmp_path):
    found = looked_at(database, tmp_path, sound() + PLANTED["copies"] + PLANTED["bursts"], TITLES)
    assert found["copies"].examples == ["clone0", "clone1"]
    assert found["bursts"].examples == ["bot"]


def test_gaps_of_the_catalogue(database, tmp_path):
    titles = "i1,Same (1990),Drama\ni2,same (1990),War\ni3,Three (1990),(no genres listed)\nunseen,U (1990),War\n"
    found = looked_at(database, tmp_path, sound(), titles)
    assert found["titles twice"].value == 1
    assert found["items without title"].value == 17
    assert found["items without genres"].value == 18
    assert (found["items nobody rated"].value, found["items nobody rated"].ok) == (1, True)


def test_an_empty_store_says_so(database):
    (finding,) = health(database)
    assert not finding.ok
    assert "import" in finding.hint


def test_the_command(tmp_path):
    db = tmp_path / "recsys.db"
    call(db, "import", few_ratings(tmp_path / "few"))
    found = call(db, "data", "health", "--json").json
    assert {"name", "ok", "detail", "hint", "value", "examples"} == set(found["checks"][0])
    assert found["ok"] == all(check["ok"] for check in found["checks"])
    shown = call(db, "data", "health").out
    assert all(check["name"] in shown and check["hint"] in shown for check in found["checks"])
