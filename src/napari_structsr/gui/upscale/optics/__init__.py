"""How an image was taken, as the Upscale dock asks for it, reads it and shows it."""
