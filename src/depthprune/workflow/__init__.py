"""What `import depthprune` offers: it measures, decides, cuts and runs study files.

Functions return values and print nothing but a progress bar; the command line renders them.
"""
