"""In words: on which rows a version was measured."""

from typing import Any


def protocol_words(protocol: dict[str, Any]) -> str:
    """Say in words which rows a version was measured on."""
    if protocol["split"] == "outside":
        words = (
            f"{protocol['test_rows']:,} ratings of a file, {protocol['unknown_rows']:,} more of unknown users or items"
        )
    elif not protocol.get("test_rows"):
        return "not measured: no rows were held out"
    else:
        share = f"{protocol['split']}, {protocol['test']:.0%}, seed {protocol['seed']}"
        words = f"{protocol['test_rows']:,} rows held out ({share})"
    if drawn := protocol.get("measured_users"):
        words += f", {drawn:,} users of them drawn"
    if removed := protocol.get("removed_training_rows"):
        words += f", {removed:,} training ratings of these users removed since and taken for unseen"
    words += ", then fitted on all" if protocol.get("full") else ""
    if rule := protocol.get("interactions"):
        words += f"; in training {_RULES.get(rule, rule)}"
    return words


_RULES = {
    "equal": "every rating counts as an interaction",
    "rating": "every rating counts as an interaction, higher ones for more",
    "liked": "ratings from the user's mean on count as interactions",
}
