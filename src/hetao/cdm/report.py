"""Checks → `quality.json` for programs and `quality.html` for people, site-local."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from hetao.cdm.mapping import Site
from hetao.cdm.quality import Curation

WORDS = {
    "en": {
        "title": "Data quality",
        "local": "For this site's own eyes: it shows counts of patients.",
        "fail": "Look at this first",
        "note": "Know this",
        "pass": "In order",
    },
    "zh": {
        "title": "数据质量报告",
        "local": "仅供本机构查看：内含患者计数。",
        "fail": "请先处理",
        "note": "请留意",
        "pass": "正常",
    },
}


def write_reports(curation: Curation, site: Site) -> None:
    """Write both reports beside the database; each appears whole or not at all."""
    folder = curation.database.parent
    body = {
        "site": curation.site,
        "snapshot": curation.snapshot,
        "rows": curation.rows,
        "people": curation.people,
        "rejected": curation.rejected,
        "tables": dict(curation.tables),
        "checks": [asdict(check) for check in curation.quality],
    }
    _replace(
        folder / "quality.json", json.dumps(body, ensure_ascii=False, indent=1) + "\n"
    )
    _replace(curation.report, _html(curation, site))


def _html(curation: Curation, site: Site) -> str:
    environment = Environment(
        loader=PackageLoader("hetao.cdm", "."),
        autoescape=True,
        undefined=StrictUndefined,
    )
    words = WORDS["zh" if site.language.lower().startswith("zh") else "en"]
    return environment.get_template("quality.html.j2").render(
        curation=curation, site=site, words=words
    )


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
