"""Several processes, each with the whole model, that share the samples of every call."""
