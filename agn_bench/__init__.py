"""agn-bench: how asynchronous training behaves when workers are stale, slow and many."""

__version__ = "0.1.0"
