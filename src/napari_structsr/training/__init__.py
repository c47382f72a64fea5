"""Training: recipes, pairs, losses, and a loop that can be read aloud."""
