"""Cut blocks out of a checkpoint: plan what will be written, then copy bytes."""
