"""A quality report → `quality.json` for programs and `quality.html` for people."""

import os
from pathlib import Path

from hetao.cdm.quality.check import Quality, quality_text


def write_reports(folder: Path, quality: Quality) -> None:
    """Write both reports into a snapshot's folder, each whole or not at all.

    `lineage.json`, where it stands in the folder, is summed up on the page.
    """
    write_whole(folder / "quality.json", quality_text(quality))


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
