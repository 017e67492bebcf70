"""Keys and certificates are on the disk, whole, before anybody is told of them."""

import os
import stat
from pathlib import Path

import pytest

from hetao.federation.pki import new_authority, write_certificate
from hetao.permit import new_identity, write_identity
from support_permit import NOW


@pytest.fixture
def synced(monkeypatch):
    """Return the paths that were brought to the disk, in order."""
    found, real = [], os.fsync

    def fsync(handle):
        found.append(Path(f"/proc/self/fd/{handle}").readlink())
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_a_certificate_and_its_key_are_whole_on_the_disk(tmp_path, synced):
    authority = new_authority("An authority", NOW, 1)

    certificate, key = write_certificate(tmp_path, authority, "a", (), NOW, 1)

    drafts = [one.with_name(f".{one.name}.new") for one in (key, certificate)]
    assert synced == [drafts[0], tmp_path, drafts[1], tmp_path]
    assert not any(draft.exists() for draft in drafts)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_keys_of_a_party_are_on_the_disk(tmp_path, synced):
    sign = write_identity(tmp_path, new_identity("a"))

    drafts = [one.with_name(one.name[1:].removesuffix(one.suffix)) for one in synced]
    kept = [one.with_suffix("") for one in drafts]  # without the draft's own letters
    assert kept == [
        tmp_path / "a.seal.pem",
        tmp_path / "a.log.pem",
        sign,
    ]  # which ends it
