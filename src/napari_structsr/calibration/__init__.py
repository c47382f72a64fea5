"""How far results are usually off, fitted from pairs."""
