"""How one image lies on another: shift, scale, and the refusal to guess."""
