"""Shares are told in bands, so that a small site's counts stay at home."""

import pytest

from hetao.cdm import share_band


@pytest.mark.parametrize(
    ("affected", "total", "band"),
    [
        (0, 100, "0"),
        (0, 0, "0"),
        (1, 1000, "<1%"),
        (1, 100, "1-5%"),
        (5, 100, "5-20%"),
        (20, 100, "20-50%"),
        (50, 100, ">50%"),
        (100, 100, ">50%"),
    ],
)
def test_a_share_falls_in_one_band(affected, total, band):
    assert share_band(affected, total) == band
