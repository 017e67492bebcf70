"""Whether the sites meant the same by each concept set, in words of three languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetao.ledger.concept_sets import AcrossSites, across_sites
from hetao.report.custody import short_digest
from hetao.study import LANGUAGES, Study

SAME, DIFFER, PARTLY, NONE = "same", "differ", "partly", "none"
WORDS = {
    SAME: (
        "Every site's vocabulary makes the same list of it",
        "各機構的詞彙表解析結果一致",
        "各机构的词汇表解析结果一致",
    ),
    DIFFER: (
        "The sites' vocabularies make {} different lists of it",
        "各機構的詞彙表解析出 {} 種不同結果",
        "各机构的词汇表解析出 {} 种不同结果",
    ),
    PARTLY: (
        "The same list at every site that has a vocabulary",
        "凡已載入詞彙表的機構，解析結果一致",
        "凡已加载词汇表的机构，解析结果一致",
    ),
    NONE: (
        "No site has a vocabulary",
        "沒有機構載入詞彙表",
        "没有机构加载词汇表",
    ),
}
NOTE = (
    "Compared is what each site's loaded vocabulary makes of a set. Which codes occur "
    "at a site is not told. A site without a vocabulary finds codes as its data "
    "write them.",
    "比較的是各機構所載入的詞彙表對概念集的解析結果；各機構出現過哪些編碼並不透露。"
    "沒有詞彙表的機構按資料中的寫法比對編碼。",
    "比较的是各机构所加载的词汇表对概念集的解析结果；各机构出现过哪些编码并不透露。"
    "没有词汇表的机构按数据中的写法比对编码。",
)


@dataclass(frozen=True)
class SetView:
    """One concept set, as a reader sees it.

    Attributes:
        label: of the set.
        is_same: whether all sites resolved it alike.
        said: (language, sentence) in each of the three languages.
        groups: (short digest, sites) that resolved it alike; largest first.
        without: sites that have no vocabulary.
    """

    label: str
    is_same: bool
    said: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    without: tuple[str, ...]


def sets_of(study: Study, body: Mapping[str, Any]) -> tuple[SetView, ...]:
    """Return every concept set that the sites of a certificate told of."""
    told = {str(site["name"]): site["concepts"] for site in body["sites"]}
    labels = {one.name: one.label or one.name for one in study.concepts}
    return tuple(
        SetView(
            labels.get(one.name, one.name),
            one.is_same,
            in_languages(WORDS[_verdict(one)], len(one.groups)),
            tuple((short_digest(digest), sites) for digest, sites in one.groups),
            one.without,
        )
        for one in across_sites(told)
    )


def in_languages(
    words: tuple[str, str, str], *parts: object
) -> tuple[tuple[str, str], ...]:
    """Return (language, sentence) for each of the three languages."""
    said = (text.format(*parts) for text in words)
    return tuple(zip(LANGUAGES, said, strict=True))


def _verdict(one: AcrossSites) -> str:
    if not one.groups:
        return NONE
    if one.differs:
        return DIFFER
    return PARTLY if one.without else SAME
