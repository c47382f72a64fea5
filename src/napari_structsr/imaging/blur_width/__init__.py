"""How wide the blur of an image is: fitted to what is small, or read off the image."""
