"""Widgets of the terminal UI: they show what they are given and post what was done; they read and decide nothing."""
