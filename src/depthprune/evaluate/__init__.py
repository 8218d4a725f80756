"""How a model scores on a task under many removals."""
