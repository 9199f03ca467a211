"""What is trained: the model and the data. Knows nothing of workers' timing, optimizers or files of results."""
