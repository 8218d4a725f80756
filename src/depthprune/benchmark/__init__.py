"""The evaluation of one model: perplexity, zero-shot accuracy, speed, memory, parameters."""
