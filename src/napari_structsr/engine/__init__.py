"""Joins images, models and devices; every long job is a generator of events."""
