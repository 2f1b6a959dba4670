"""An ensemble: predicted ratings stacked, rankings blended, by weights found on rows that no member learned from.

    rating(u, i)  = mean + Σ_k w_k(u, i) (r_k(u, i) - mean),    w_k = a_k + b_k 20/(20 + n_u) + c_k 20/(20 + n_i) ≥ 0
    score(u, i)   = Σ_k v_k (s_k(u, i) - mean_u s_k) / deviation_u s_k,    v_k ≥ 0, Σ v_k = 1

To find the weights each member is trained once more without a part of the training rows, which it then predicts. What
serves are the members trained on all of them: given ones, such as registered versions, or the ensemble's own.

Source: Breiman 1996, "Stacked Regressions" (weights that are not negative); Sill, Takács, Mackey, Lin 2009,
"Feature-Weighted Linear Stacking"; the blend by `ensemble_weights.blended`.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.data import Interactions
from engine.errors import ResumeRefused, SettingRefused
from engine.models.base import Epoch, Model, TrainingFacts
from engine.models.config import Config, setting
from engine.models.ensemble_fit import Validation, inner_parts
from engine.models.ensemble_serving import Member, ServedEnsemble
from engine.splits import SPLITS

DEFAULT_MEMBERS = ("popularity", "mf", "ease")


@dataclass(frozen=True)
class EnsembleConfig(Config):
    """Settings of the ensemble."""

    members: str = setting(
        "",
        "What to combine: versions such as v3,v5, or models by name; empty takes the newest version of each model that "
        "was trained on the same rows.",
    )
    validation: str = setting(
        "auto",
        "How the rows that weights are found on are held out of the training rows; auto: as the test rows are.",
        choices=("auto", *SPLITS),
    )
    support: bool = setting(
        True, "Let the weights of ratings depend on how much is known of user and item, where that predicts better."
    )


@dataclass(frozen=True)
class Recipe:
    """How a member is trained, and what stands for it in the end.

    Attributes:
        label: how people call it: `v3`, or the name of its model.
        model: its name in the table of models.
        settings: its hyper-parameters.
        trained: the member itself, where there is one already.
        sha256: checksum of its arrays, where it is a registered version.
    """

    label: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    trained: Model | None = None
    sha256: str = ""


class Ensemble(ServedEnsemble):
    """The ensemble with its training.

    Attributes:
        recipes: the members to be; without any those that the settings name are trained here.
        serves_later: leave the members in with which the weights were found: those given know what is measured on.
        inner_split: how the rows that weights are found on are held out, where the settings leave it open.
    """

    name = "ensemble"
    Config = EnsembleConfig

    recipes: tuple[Recipe, ...] = ()
    serves_later: bool = False
    inner_split: str = "random"

    def __init__(self, config: EnsembleConfig | None = None, **settings: Any) -> None:
        """Take settings; members that are named are at least two.

        Raises:
            SettingRefused: fewer, or one of them twice.
        """
        super().__init__(config, **settings)
        if self.config.members:
            check_members(self._asked())

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Train one member an epoch, each without the validation rows, weighing them anew; then put the final ones in.

        Members that are not given are trained once more on all rows, one an epoch. Losses are RMSE of the ensemble in
        rating units, or 1 - NDCG where no member predicts ratings. That on training rows need not fall: the weights are
        found on others.

        Raises:
            SettingRefused: fewer than two members.
            TrainingFailed: a member cannot be trained.
            ResumeRefused: it goes on from a state with other members.
        """
        recipes = self.recipes or self._named()
        if self.epochs_done:
            self._check_same(recipes)
        self.facts = TrainingFacts.of(train)
        how = self.inner_split if self.config.validation == "auto" else self.config.validation
        learned, held_out = inner_parts(train, how, seed)
        judge = Validation(learned, held_out, self.facts)
        planned = len(recipes) + sum(recipe.trained is None for recipe in recipes)
        if not self.epochs_done:
            self.members = []
        elif self.epochs_done < len(recipes):  # of a run that goes on: they are as they were trained there
            for member in self.members:
                judge.add(member.model)
        for recipe in recipes[self.epochs_done :]:
            model = _trained(recipe, learned, seed)
            judge.add(model)
            self.members = [*self.members, Member(recipe.label, recipe.model, found=model)]
            self._weigh(judge)
            yield self._epoch(recipe, planned, train, valid)
        yield from self._final(recipes, planned, train, valid, seed)

    def _final(
        self, recipes: tuple[Recipe, ...], planned: int, train: Interactions, valid: Interactions | None, seed: int
    ) -> Iterator[Epoch]:
        """Put the members that serve in the place of those that the weights were found with."""
        self._put_given(recipes)
        own = [place for place, one in enumerate(recipes) if one.trained is None and self.members[place].counts]
        for place in own[max(0, self.epochs_done - len(recipes)) :]:
            self.put(place, _trained(recipes[place], train, seed))
            yield self._epoch(recipes[place], planned, train, valid)

    def _check_same(self, recipes: tuple[Recipe, ...]) -> None:
        """Refuse to go on with others: weights that were found for some would serve with others."""
        had, has = ([one.label for one in some] for some in (self.members, recipes[: len(self.members)]))
        if had != has:
            other = ", ".join(
                f"{now} in place of {before}" for before, now in zip(had, has, strict=False) if now != before
            )
            raise ResumeRefused(
                f"the members are not those that the run began with: {other or 'there are fewer'}",
                hint="train anew, without --resume; or name the versions: --set members=v3,v5",
            )

    def settle(self, train: Interactions) -> None:
        """Put the given members in the place of those that the weights were found with."""
        del train
        self._put_given(self.recipes)

    def _put_given(self, recipes: tuple[Recipe, ...]) -> None:
        for place, (recipe, member) in enumerate(zip(recipes, self.members, strict=False)):
            if not member.counts:
                self.put(place, None)
            elif recipe.trained is not None and not self.serves_later:
                self.put(place, recipe.trained, recipe.sha256)

    def _asked(self) -> list[str]:
        return [name.strip() for name in self.config.members.split(",") if name.strip()]

    def _named(self) -> tuple[Recipe, ...]:
        """Return the members that the settings name, with their usual settings.

        Raises:
            SettingRefused: a name is no model's, or there are fewer than two.
        """
        from engine.models import model_class

        names = self._asked() or list(DEFAULT_MEMBERS)
        return tuple(Recipe(name, model_class(name).name, asdict(model_class(name)().config)) for name in names)

    def _epoch(self, recipe: Recipe, planned: int, train: Interactions, valid: Interactions | None) -> Epoch:
        self.epochs_done += 1
        losses = {name: self.loss(rows) for name, rows in {"train": train, "valid": valid}.items() if rows is not None}
        note = recipe.label if recipe.label == recipe.model else f"{recipe.label} {recipe.model}"
        return Epoch(self.epochs_done, planned, losses, len(train), note)

    def _weigh(self, judge: Validation) -> None:
        """Find the weights of the members there are so far."""
        stacking, blend = judge.weights(use_support=self.config.support)
        self.take_weights(stacking, blend)
        self.fitted_loss = judge.loss(stacking, blend)

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory: the largest member's training, and all members beside it."""
        from engine.models import MODELS, model_class

        if not self.recipes and not all(
            name in MODELS for name in self._asked()
        ):  # versions, which are looked up later
            return 100 * n_ratings + 256 * (n_users + n_items)
        recipes = self.recipes or self._named()
        needs = [model_class(one.model)(**one.settings).memory_bytes(n_users, n_items, n_ratings) for one in recipes]
        return max(needs) + sum(needs) // 3


def check_members(names: list[str]) -> None:
    """Refuse an ensemble of one, and of the same twice.

    Raises:
        SettingRefused: says which.
    """
    if len(names) < 2:
        raise SettingRefused(
            f"members = {','.join(names)} is refused", hint="an ensemble has at least two members: members=v3,v5"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingRefused(f"members names {', '.join(twice)} twice", hint="name each member once")
    if "ensemble" in names:
        raise SettingRefused("an ensemble cannot be a member of another", hint="name its members instead")


def _trained(recipe: Recipe, rows: Interactions, seed: int) -> Model:
    """Return a member trained on rows, from the beginning to its end."""
    from engine.models import model_class

    model = model_class(recipe.model)(**recipe.settings)
    for _ in model.fit_epochs(rows, seed=seed):
        pass
    return model
