"""The engine: data, splits, models, metrics and ranking on NumPy arrays; `engine.services` joins it to the store."""
