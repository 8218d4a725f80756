"""What lies in a checkpoint: the files that transformers reads, their tensors, its fingerprint."""
