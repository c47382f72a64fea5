"""Models for other programs, and from them: ONNX, TorchScript, bioimage.io."""
