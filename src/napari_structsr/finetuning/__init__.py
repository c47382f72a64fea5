"""Training a model on from a few pairs of a user's microscope."""
