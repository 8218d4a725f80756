"""The stages of `depthprune run`, each in a module of its own: do it, tell what was found."""
