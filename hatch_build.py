"""The README as the package's description: what it links to in the checkout is not there where a package is shown.

Once `[project.urls]` of pyproject.toml has a `Source`, its links and pictures lead there. Until then a link is its text
alone, and so is a picture.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)"
"""A picture or a link to a file of the checkout."""


def description(readme: str, source: str | None) -> str:
    """The text, with every relative link as an absolute one to `source`, the repository's address, or as its text."""

    def elsewhere(found: re.Match[str]) -> str:
        picture, text, target = found.groups()
        if source is None:
            return f"[Picture: {text}]" if picture else text
        return f"{picture}[{text}]({source.rstrip('/')}/{'raw' if picture else 'blob'}/HEAD/{target})"

    return re.sub(RELATIVE, elsewhere, readme)


class Description(MetadataHookInterface):
    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = description(readme, metadata.get("urls", {}).get("Source"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
