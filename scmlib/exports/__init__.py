"""A run handed on to other programs: the network as ONNX, embeddings and masks as files."""
