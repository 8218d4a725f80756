"""Find the block stack of a model, and run the model without some of its blocks."""
