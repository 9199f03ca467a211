"""The signals by which a terminal, a batch system or a container asks a command to end."""

from __future__ import annotations

import signal

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Often they are sent to all of a command's processes."""
