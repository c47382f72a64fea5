"""Image formation, and the measures of structure and its errors.

Images are torch tensors of shape (N, C, H, W) in one unit, usually with the range
0..1, on any device; what is measured of each image has the shape (N,). Maps state
the radius that a pixel depends on, so that tiles with as much around them give the
map of the whole image. `registration`, `psf_fit` and `blur_width` alone take numpy
arrays of shape (h, w).
"""
