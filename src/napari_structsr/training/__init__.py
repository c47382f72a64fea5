"""Training from scratch: recipes, patches, losses, and the loop."""
