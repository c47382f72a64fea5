"""Layers side by side, in turn, or on two sides of a line."""
