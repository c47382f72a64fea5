"""Measurements that developers make of the package, outside the wheel."""
