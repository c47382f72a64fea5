"""How well the width of the blur and the noise are known from an image alone."""
