"""One line to script it: whatever holds an image in, a result out.

These functions choose reader, model and writer, run a job to its end, show how far it
is, and raise what fails. The events of a job are there for whoever wants them:
`iter_upscale`, `iter_inspect`, `iter_fine_tune`.
"""
