"""A certificate as PDF, for a dossier: the words of its page, in one language.

Set by typst, from the extra `hetao[pdf]`; Chinese needs a font that has it, such as
Debian's `fonts-noto-cjk`. A PDF proves nothing: it names the certificate that does, in
print and as a QR code. The same certificate gives the same bytes on one machine.
"""

import functools
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import segno

from hetao.canonical import parse_canonical
from hetao.dossier.page import Found, told_of
from hetao.dossier.words import ON_PAPER, WORDS
from hetao.errors import Usage
from hetao.ledger.certificate import published, verify_certificate
from hetao.permit import parse_time
from hetao.permit.signing_words import office_named
from hetao.report.custody import Approval, time_text
from hetao.report.picture import Picture
from hetao.report.sentences import in_language

_PLACES: Final = {
    "en": ("en", "GB", "Noto Sans CJK SC"),
    "zh-Hant": ("zh", "HK", "Noto Sans CJK HK"),
    "zh-Hans": ("zh", "CN", "Noto Sans CJK SC"),
}


def make_paper(certificate: bytes, language: str = "en") -> bytes:
    """Return a certificate as PDF.

    Args:
        certificate: its bytes, with integers or without.
        language: "en", "zh-Hant" or "zh-Hans".

    Raises:
        Unverified: the certificate does not verify.
        Usage: the extra `hetao[pdf]` is not installed.
    """
    verify_certificate(certificate)
    value = parse_canonical(published(certificate))
    try:
        import typst
    except ImportError as problem:
        raise Usage(
            "PDF needs a typesetter",
            fix='pip install "hetao[pdf]", or print the page from a browser',
        ) from problem
    template = Path(__file__).with_name("paper.typ").read_bytes()
    data = json.dumps(_data(value, language), ensure_ascii=False)
    when = int(parse_time(str(value["body"]["issued"])).timestamp())
    made = typst.compile(
        template, sys_inputs={"data": data}, format="pdf", timestamp=when
    )
    return bytes(made)


def _data(value: Mapping[str, Any], language: str) -> dict[str, Any]:
    """Return every text that the template sets."""
    told, said = told_of(value), WORDS[language]
    study, body, permit, facts = (told[k] for k in ("study", "body", "permit", "facts"))
    lang, region, font = _PLACES[language]
    same: tuple[str, ...] = (
        "kicker",
        "asked",
        "allowed",
        "left",
        "nothing",
        "classes",
        "found",
    )
    same += ("caution", "proved", "unproved", "check", "fingerprints")
    comma = said["comma"]
    return {
        **{key: said[key] for key in same},
        "paper": [said["paper"], ON_PAPER[language]],
        "lang": lang,
        "region": region,
        "font": font,
        "title": study.title or study.name,
        "issued": said["issued"].format(at=time_text(body["issued"]), by=told["boss"]),
        "question": study.question or study.title,
        "sites": said["sites"].format(names=comma.join(study.sites)),
        "sections": [
            {"title": one.title, "sentences": list(one.sentences)}
            for one in told["explained"][language]
        ],
        "permit": said["permit"].format(
            number=permit["number"],
            purpose=permit["purpose"],
            begin=time_text(permit["not_before"]),
            end=time_text(permit["not_after"]),
        ),
        "approvals": {
            "head": [said[key] for key in ("who", "office", "did", "when")],
            "rows": [
                [
                    a.by,
                    _office(a, said, language),
                    said["verbs"].get(a.verb, a.verb),
                    a.at,
                ]
                for a in told["approvals"]
            ],
        },
        "reviewed": said["reviewed"].format(names=comma.join(told["reviewers"])),
        "sent": _sent(told["sites"], said),
        "lost": [
            said["lost"].format(site=s.name, why=s.lost)
            for s in told["sites"]
            if s.lost
        ],
        "answers": [_answer(one, said, language) for one in told["answers"]],
        "smallest": said["smallest"].format(
            smallest=body["smallest_shown"], base=body["rounded_to"]
        ),
        "proofs": told["proofs"][language],
        "limits": list(told["limits"][language]),
        "code": _code(facts.code),
        "code_says": said["code"],
        "code_text": facts.code,
        "facts": [
            [said["digest"], facts.body],
            [said["log"], told["boss"]],
            [said["entry"], str(facts.index)],
            [said["study_digest"], facts.study],
            [said["permit_digest"], facts.permit],
        ],
        "prints": [[name, found] for name, found in told["prints"].items()],
    }


def _office(one: Approval, said: Mapping[str, Any], language: str) -> str:
    return f"{office_named(one.role, language)}{said['aside']}{one.side}"


def _sent(sites: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    head = [said[k] for k in ("site", "side", "sums", "numbers", "class", "fewest")]
    rows = [
        [
            *(site.name, site.side, str(len(site.sent)), str(site.values)),
            *(str(site.grade), site.minima[0][0]),
        ]
        for site in sites
    ]
    return {"head": head, "rows": rows}


def _answer(found: Found, said: Mapping[str, Any], language: str) -> dict[str, Any]:
    of = functools.partial(in_language, language=language)
    head: list[str] = []
    rows: list[list[str]] = []
    if found.terms:
        head = [
            said["term"],
            said["ratio"].get(found.measure, said["other"]),
            said["p"],
        ]
        names = (
            f"{of(t.label)} ({of(t.against)})" if t.against else of(t.label)
            for t in found.terms
        )
        rows = [
            [name, of(t.interval), of(t.p)]
            for name, t in zip(names, found.terms, strict=True)
        ]
    elif found.steps:
        head = [said[key] for key in ("step", "n", "removed")]
        rows = [[of(part) for part in step] for step in found.steps]
    return {
        "name": found.name,
        "line": of(found.sentence),
        "figures": [Picture(figure, language).svg for figure in found.figures],
        "head": head,
        "rows": rows,
    }


def _code(text: str) -> str:
    made = io.BytesIO()
    segno.make(text, error="m", micro=False).save(made, kind="svg", border=2)
    return made.getvalue().decode("utf-8")
