"""Code systems, and the concept ids of codes that no loaded vocabulary holds."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

FIRST_LOCAL = 2_000_000_000  # OMOP leaves concept ids from here on to the sites
_SHIFT = 14  # 64 - 14 = 50 bits: with FIRST_LOCAL still below 2^53, exact in JSON


@dataclass(frozen=True)
class System:
    """One code system.

    Attributes:
        name: how mappings and concept sets call it, such as "icd9cm".
        vocabulary_id: OMOP's name of the vocabulary, or ours where OMOP has none.
        oid: object identifiers seen in documents, the official one first; () for none.
        uri: what FHIR calls the system; "" for none.
        matching: how a code of a concept set meets a site's codes: "prefix": every
            code that begins so, dots left out; "section": this section and those
            under it; "exact": the code itself, unless it ends in `*`.
        domain: OMOP's domain of its codes; "" where they are of several.
        hgr: whether its codes are of genes or genomes: human genetic resources
            information.
        extensions: vocabulary ids whose codes extend the same roots.
        labels: by language: "en", "zh-Hant", "zh-Hans".
    """

    name: str
    vocabulary_id: str
    matching: str
    domain: str
    extensions: tuple[str, ...]
    oid: tuple[str, ...]
    hgr: bool
    uri: str
    labels: Mapping[str, str]


def local_concept_id(system: str, code: str) -> int:
    """Return the concept id of a code that no vocabulary gives one.

    The same at every site without any coordination: 2,000,000,000 and the first 50
    bits of SHA-256 over `system|code`. Two of a million codes share an id with a
    chance of about one in two thousand.
    """
    first = hashlib.sha256(f"{system}|{code}".encode()).digest()[:8]
    return FIRST_LOCAL + (int.from_bytes(first, "big") >> _SHIFT)
