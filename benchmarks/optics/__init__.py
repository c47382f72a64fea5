"""Conditional models against classical methods, over blur and noise."""
