"""The store: one SQLite file, the artifacts beside it, and the importers. Knows nothing of models."""
