"""Invented ratings with the structure of real ones; see README.md here."""
