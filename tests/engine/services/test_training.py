"""What a training run does besides fitting."""

from contextlib import closing

from engine.services import Services, heldout
from engine.services.request import TrainingRequest
from store.importers.pipeline import import_source
from tests.conftest import ROOT


def test_many_users_are_measured_by_a_sample_and_the_protocol_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(heldout, "MOST_USERS", 50)
    services = Services.open(tmp_path / "films.db", create=True)
    import_source(services.database, str(ROOT / "sample_data"))
    with closing(services.training.run(TrainingRequest("popularity"))) as events:
        for _ in events:
            pass
    version = services.registry.resolve("latest")
    assert version.protocol["measured_users"] == 50
    assert version.metrics["ndcg@10"].users == 50
    again = services.evaluation.report("latest")
    assert again.protocol["measured_users"] == again.report.n_users == 50
    assert again.report.metrics["ndcg@10"].value == version.metrics["ndcg@10"].value  # the same users are drawn
