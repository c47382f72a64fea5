"""Faults planted into results, to see which maps of structure error find them."""
