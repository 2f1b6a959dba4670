"""The services: where the engine meets the store. `Services.open(home)` is the one object that a front end holds."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from store.database import CACHE_KIB, Database
from store.journal import Journal
from store.migrations import SCHEMA_VERSION, migrate, schema_version
from store.registry import Registry

if TYPE_CHECKING:
    from engine.services.canary import CanaryService
    from engine.services.compare import ComparisonService
    from engine.services.counterfactual import CounterfactualService
    from engine.services.evaluation import EvaluationService
    from engine.services.explain import ExplainerService
    from engine.services.manager import MLModelManager
    from engine.services.memory import Memory
    from engine.services.onboarding import OnboardingService
    from engine.services.profile import ProfileService
    from engine.services.realtime import RealtimeLearner
    from engine.services.recommend import Recommender
    from engine.services.training import TrainingService
    from engine.services.what_if import WhatIfService


class Services:
    """All services over one database; each is made when it is first asked for, so that nothing heavy loads early."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, home: Path | str, *, create: bool = False, cache_kib: int = CACHE_KIB) -> Self:
        """Open the services over the database file `home`.

        Args:
            home: path of the database.
            create: make or migrate the file; without it a missing file is an error at first use.
            cache_kib: pages of the file that each thread keeps in memory.

        Raises:
            NotOurDatabase, TooNew: the file cannot be used.
            NotFound: it does not exist and `create` is false.
        """
        database = Database(home, cache_kib=cache_kib)
        if create or schema_version(database) < SCHEMA_VERSION:
            migrate(database)
        return cls(database)

    @cached_property
    def registry(self) -> Registry:
        """The versions."""
        return Registry(self.database)

    @cached_property
    def journal(self) -> Journal:
        """The jobs and their events."""
        return Journal(self.database)

    @cached_property
    def memory(self) -> "Memory":
        """What is remembered of the database until it changes."""
        from engine.services.memory import Memory

        return Memory(self.database)

    @cached_property
    def manager(self) -> "MLModelManager":
        """Saving, loading, choosing and falling back."""
        from engine.services.manager import MLModelManager

        return MLModelManager(self.registry, self.memory)

    @cached_property
    def training(self) -> "TrainingService":
        """Training runs."""
        from engine.services.training import TrainingService

        return TrainingService(self)

    @cached_property
    def evaluation(self) -> "EvaluationService":
        """Metrics of versions."""
        from engine.services.evaluation import EvaluationService

        return EvaluationService(self)

    @cached_property
    def comparison(self) -> "ComparisonService":
        """Versions against one another."""
        from engine.services.compare import ComparisonService

        return ComparisonService(self)

    @cached_property
    def canary(self) -> "CanaryService":
        """Versions tried on a share of the users."""
        from engine.services.canary import CanaryService

        return CanaryService(self)

    @cached_property
    def recommender(self) -> "Recommender":
        """Lists and predicted ratings."""
        from engine.services.recommend import Recommender

        return Recommender(self)

    @cached_property
    def explainer(self) -> "ExplainerService":
        """Why this item for this user."""
        from engine.services.explain import ExplainerService

        return ExplainerService(self)

    @cached_property
    def what_if(self) -> "WhatIfService":
        """Lists as they would be with other ratings."""
        from engine.services.what_if import WhatIfService

        return WhatIfService(self)

    @cached_property
    def counterfactual(self) -> "CounterfactualService":
        """What it would take for an item to leave a list."""
        from engine.services.counterfactual import CounterfactualService

        return CounterfactualService(self)

    @cached_property
    def onboarding(self) -> "OnboardingService":
        """Questions to newcomers."""
        from engine.services.onboarding import OnboardingService

        return OnboardingService(self)

    @cached_property
    def profiles(self) -> "ProfileService":
        """What there is to say of a user and of an item."""
        from engine.services.profile import ProfileService

        return ProfileService(self)

    @cached_property
    def realtime(self) -> "RealtimeLearner":
        """New ratings and what they change."""
        from engine.services.realtime import RealtimeLearner

        return RealtimeLearner(self)
