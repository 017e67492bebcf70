"""What the report says, one sentence in three languages: `sentences.toml`."""

import functools
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Final, Self

from hetao.study import LANGUAGES

Chinese = tuple[tuple[str, str], ...]


class Said(str):
    """A sentence in English that knows itself in both Chinese scripts.

    It is its English wherever a text is asked for.

    Attributes:
        traditional, simplified: the same in either script.
    """

    traditional: str
    simplified: str

    def __new__(cls, english: str, traditional: str, simplified: str) -> Self:
        """Return the sentence."""
        made = super().__new__(cls, english)
        made.traditional, made.simplified = traditional, simplified
        return made

    @property
    def texts(self) -> tuple[str, str, str]:
        """Return it in each of LANGUAGES."""
        return str(self), self.traditional, self.simplified

    @property
    def chinese(self) -> Chinese:
        """Return (language, text) in either script, one where they agree.

        Nothing where it is the same in every language, as a number is.
        """
        english, traditional, simplified = self.texts
        if english == traditional == simplified:
            return ()
        if traditional == simplified:
            return (("zh", traditional),)
        return ("zh-Hant", traditional), ("zh-Hans", simplified)


NOTHING: Final = Said("", "", "")


def same(text: str) -> Said:
    """Return a text that needs no other words: a number, or the study's own."""
    return text if isinstance(text, Said) else Said(text, text, text)


def say(key: str, **slots: object) -> Said:
    """Return a sentence of `sentences.toml`.

    Args:
        key: which.
        slots: what fills it in: what is said itself, in the language of the sentence;
            a number or the study's own words, as they are in all.
    """
    filled = {name: _texts(value) for name, value in slots.items()}
    return Said(
        *(
            catalogue()[key][language].format(**{k: v[i] for k, v in filled.items()})
            for i, language in enumerate(LANGUAGES)
        )
    )


def joined(key: str, parts: Iterable[object]) -> Said:
    """Return parts in one, with what stands between them under `key`."""
    told = [_texts(part) for part in parts]
    return Said(
        *(
            catalogue()[key][language].join(part[i] for part in told)
            for i, language in enumerate(LANGUAGES)
        )
    )


def confident(said: Said) -> Said:
    """Return an estimate with its limits, these named as of a 95% interval."""
    english, traditional, simplified = said.texts
    return Said(
        english.replace("(", "(95% CI ", 1),
        traditional.replace("（", "（95% 置信區間 ", 1),
        simplified.replace("（", "（95% 置信区间 ", 1),
    )


def in_language(text: str, language: str) -> str:
    """Return a text in one of LANGUAGES; as it is, if it is the same in all."""
    return same(text).texts[LANGUAGES.index(language)]


def _texts(value: object) -> tuple[str, str, str]:
    return value.texts if isinstance(value, Said) else (str(value),) * 3


@functools.cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Return key → language → the words, with what fills them in by name."""
    file = resources.files("hetao.report").joinpath("sentences.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))
