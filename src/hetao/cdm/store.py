"""A site's store: immutable snapshots by digest, and which of them is current.

    <store>/snapshots/<first 12 hex digits>/   cdm.duckdb, manifest.json, lineage.json,
                                               quality.json, quality.html,
                                               origins.duckdb
    <store>/current                            the name of the current snapshot
    <store>/staged/                            staged files of the extract

A snapshot appears by one rename and is named current by another: who is killed at any
point leaves the last good one as it was.
"""

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hetao.errors import InvalidData
from hetao.records import record
from hetao.whole import write_whole

SNAPSHOTS: Final = "snapshots"
CURRENT: Final = "current"
DATABASE: Final = "cdm.duckdb"
MANIFEST: Final = "manifest.json"
FORM: Final = "hetao.snapshot/2"
SHORT: Final = 12  # hex digits of the digest in a folder's name


@dataclass(frozen=True)
class Manifest:
    """What a snapshot is. Counts in it are for the site's own eyes.

    Attributes:
        site: the site's id.
        snapshot: `sha256:…` over the content of its tables.
        dictionary, dictionary_digest: which data dictionary they follow.
        lineage: digest of `lineage.json`, the proof about identifiers.
        mapping: digest over `site.toml`'s data half, the SELECTs, codes and units.
        curated_on: day of the curation, ISO.
        rows: by table.
        vocabulary: digest of the loaded vocabulary that codes were mapped with; "" for
            none.
    """

    site: str
    snapshot: str
    dictionary: str
    dictionary_digest: str
    lineage: str
    mapping: str
    curated_on: str
    rows: dict[str, int]
    vocabulary: str = ""


def folder_of(store: Path, snapshot: str) -> Path:
    """Return where a snapshot stands, by its digest or the start of it."""
    short = snapshot.removeprefix("sha256:")[:SHORT]
    return store / SNAPSHOTS / short


def current_folder(store: Path) -> Path:
    """Return the folder of the current snapshot.

    Raises:
        InvalidData: nothing was curated yet, or the snapshot was removed.
    """
    pointer = store / CURRENT
    if not pointer.is_file():
        raise InvalidData(
            f"there is no snapshot in {store.name}", fix="curate the site's data first"
        )
    return store / SNAPSHOTS / pointer.read_text("ascii", errors="replace").strip()


def snapshot_folder(store: Path, snapshot: str | None) -> Path:
    """Return the folder of one snapshot, or of the current one for None.

    Args:
        store: the site's store.
        snapshot: a digest, with or without `sha256:`, or at least its first six
            digits.

    Raises:
        InvalidData: it is not there, or the digits fit more than one.
    """
    if snapshot is None:
        found = [current_folder(store)]
    else:
        wanted = snapshot.removeprefix("sha256:")[:SHORT]
        if len(wanted) < 6 or not set(wanted) <= set("0123456789abcdef"):
            raise InvalidData(
                "a snapshot is named by at least six hexadecimal digits",
                fix="list them with hetao site snapshots",
            )
        found = sorted((store / SNAPSHOTS).glob(wanted + "*"))
    whole = [folder for folder in found if (folder / MANIFEST).is_file()]
    if len(whole) != 1:
        raise InvalidData(
            "the snapshot is not there" if not whole else "more than one snapshot fits",
            fix="list them with hetao site snapshots",
        )
    return whole[0]


def read_manifest(folder: Path) -> Manifest:
    """Return what a snapshot's folder says it is.

    Raises:
        InvalidData: it does not say.
    """
    try:
        body = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        body = None
    if not isinstance(body, dict) or body.pop("type", "") != FORM:
        raise InvalidData(
            f"snapshot {folder.name} is not whole", fix="curate the site's data again"
        )
    return record(Manifest, body, f"{folder.name}/{MANIFEST}", InvalidData)


def snapshots(store: Path) -> tuple[tuple[Manifest, bool], ...]:
    """Return every snapshot, the oldest first, and whether it is the current one."""
    pointer = store / CURRENT
    current = pointer.read_text("ascii").strip() if pointer.is_file() else ""
    # A folder that a killed curation left begins with a dot: it is no snapshot.
    folders = [p.parent for p in (store / SNAPSHOTS).glob(f"[!.]*/{MANIFEST}")]
    folders.sort(key=lambda folder: ((folder / DATABASE).stat().st_mtime, folder.name))
    return tuple((read_manifest(f), f.name == current) for f in folders)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest; it is the last file of a snapshot."""
    body = {"type": FORM, **asdict(manifest)}
    text = json.dumps(body, ensure_ascii=False, indent=1) + "\n"
    write_whole(folder / MANIFEST, text.encode())


def keep(built: Path, store: Path, snapshot: str) -> Path:
    """Give a built folder its place among the snapshots, and return that.

    The same content curated again stays where it is: its tables are the same to the
    byte of the digest, only what is told about them is written anew.
    """
    home = folder_of(store, snapshot)
    if not settle(built, home, MANIFEST):
        for part in sorted(built.iterdir()):
            if part.name != DATABASE:
                part.replace(home / part.name)
    sync_folder(home.parent)
    return home


def settle(built: Path, home: Path, last: str) -> bool:
    """Give a whole folder its name; return False if another run was first.

    Folders are named by what is in them, so the one that is there is as good. `last`
    is the file that a whole one has; a folder that lost it makes way.
    """
    if (home / last).is_file():
        return False
    try:
        built.rename(home)
    except OSError:
        if (home / last).is_file():
            return False
        if not home.is_dir():
            raise
        aside = home.with_name(f".{home.name}.part{secrets.token_hex(8)}")
        home.rename(aside)
        built.rename(home)
        shutil.rmtree(aside)
    return True


def make_current(store: Path, home: Path) -> None:
    """Name a snapshot the current one."""
    write_whole(store / CURRENT, f"{home.name}\n".encode())
    sync_folder(store)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
