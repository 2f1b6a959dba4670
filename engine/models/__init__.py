"""The table of models. A new one is one file and one line; the contract suites then test it by themselves."""

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from engine.errors import SettingRefused

if TYPE_CHECKING:
    from engine.models.base import Model

MODELS = {
    "bayesian-mf": "engine.models.bayesian_mf:BayesianMFModel",
    "popularity": "engine.models.popularity:Popularity",
    "content": "engine.models.content:ContentModel",
    "mf": "engine.models.matrix_factorization:MatrixFactorizationModel",
    "ials": "engine.models.implicit_als:ImplicitALS",
    "ease": "engine.models.ease:Ease",
    "next": "engine.models.next_item:NextItem",
    "ncf": "engine.models.neural_cf:NeuralCF",
    "ensemble": "engine.models.ensemble:Ensemble",
}


def model_class(name: str) -> "type[Model]":
    """Return the class of a model by its name in the table.

    Raises:
        SettingRefused: no such model; the hint names the nearest and all there are.
    """
    if name not in MODELS:
        near = get_close_matches(name, MODELS, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise SettingRefused(f"unknown model {name!r}", hint=f"{guess}models: {', '.join(MODELS)}")
    module, _, attribute = MODELS[name].partition(":")
    found: type[Model] = getattr(import_module(module), attribute)
    return found
