"""Profiles: mapping folders for the record systems that hospitals have."""

from hetao.cdm.profiles.laying import PROFILES, lay_profile

__all__ = ["PROFILES", "lay_profile"]
