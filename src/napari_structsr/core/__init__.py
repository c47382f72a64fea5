"""Axes, tiles, intensities and records as plain values; numpy alone."""
