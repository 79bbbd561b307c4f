"""Using a trained model: photos, the inspect page, ONNX."""
