"""What is trained: the model and the data. Knows nothing of workers' timing, methods or files of results."""
