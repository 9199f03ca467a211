"""CIFAR-10's binary format: records of a byte that is the class, and the pixels, one colour after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agn_bench.problems.catalogue import CifarEntry
from agn_bench.problems.datasets import folder_of, read_file

Part = tuple[np.ndarray, np.ndarray]


def load_cifar(name: str, entry: CifarEntry, data_dir: Path | None) -> tuple[Part, Part]:
    """Training set and test set, each (float32 pixels in [0, 1] (images, height x width x channels), int32 (images,)).

    Raises:
        BadInput: the folder or a file is missing, or a file's content is not the data set's.
    """
    folder = folder_of(name, entry, data_dir)
    height, width, channels = entry.shape

    def part(files: list[str]) -> Part:
        contents = b"".join(read_file(entry, folder, file) for file in files)
        records = np.frombuffer(contents, np.uint8).reshape(-1, 1 + entry.features)
        planes = records[:, 1:].reshape(-1, channels, height, width)
        pixels = planes.transpose(0, 2, 3, 1).reshape(len(records), -1).astype(np.float32)
        pixels /= 255
        return pixels, records[:, 0].astype(np.int32)

    to_test = [file for file in entry.sha256 if file.startswith("test")]
    return part([file for file in entry.sha256 if file not in to_test]), part(to_test)
