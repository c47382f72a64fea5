"""Reading and writing images and weights; knows metadata, not models."""
