"""Pairs of a measured and a true image: registered, checked, or simulated."""
