"""An order is written whole, or not at all."""

import errno
import os

import pytest

from hetao.cli.settle import write_order
from hetao.errors import Usage


def test_a_full_disk_leaves_no_half_an_order(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)

    with pytest.raises(Usage, match="cannot be written: No space left"):
        write_order(tmp_path / "order.xml", b"x")

    assert list(tmp_path.iterdir()) == []
