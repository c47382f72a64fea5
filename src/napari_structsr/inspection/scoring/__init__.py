"""Scores of planes and regions: computed, kept on disk, spread over a cluster."""
