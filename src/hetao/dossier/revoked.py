"""The page of a revoked study's certificate: what had left, what is tainted.

Three languages one after the other, no script and no address. It does not check itself,
and says so: whoever decides by it checks the certificate beside it.
"""

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from hetao.ledger.revoked import verify_revoked
from hetao.report.custody import time_text

_REPORT: Final = Path(__file__).parent.parent / "report" / "report.css"
_STYLE: Final = (
    "\n.revoked { padding: .8rem 1.1rem; border-radius: 6px; background: var(--bad); "
    "color: #fff; font-weight: 600; }\n"
    "@media screen and (prefers-color-scheme: dark) { .revoked { color: #14191d; } }\n"
)

WORDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "en": {
        "kicker": "Certificate of a revoked study",
        "revoked": "REVOKED at {at}. This study was stopped before its end.",
        "ended": "{by} ({role}, {side}) {verb} at {at}.",
        "verbs": {"revoke": "revoked the permit", "withdraw": "withdrew the approval"},
        "nothing": "No finding of it was shown to anybody, and none may be.",
        "released": "What had been released",
        "analysis": "Analysis",
        "sites": "Hospitals",
        "before": "Releases before",
        "late": "Releases from then on",
        "opened": "Sums opened",
        "first": "First",
        "last": "Last",
        "tainted": "What is tainted",
        "tainted_are": "Whatever somebody worked out of the sums of: {names}. A person "
        "has to decide what becomes of it; it may not be used before.",
        "kept": "What was kept for it",
        "destroyed": "{site} destroyed it at {at}, and lists the same releases.",
        "not_destroyed": "{site} lists the same releases. Its list is of before it "
        "destroyed anything: that nothing more left it since is the coordinator's "
        "word.",
        "unlisted": "{site}: its own list was not given. That nothing more left it is "
        "the coordinator's word.",
        "check": "This page does not check itself. Check revoked.json with hetao "
        "verify, and with the hospitals' own lists (--list); verify_hetao.py checks it "
        "without them.",
        "comma": ", ",
    },
    "zh-Hant": {
        "kicker": "已撤銷研究的證書",
        "revoked": "許可已於 {at} 撤銷。本研究未完成即告終止。",
        "ended": "{by}（{role}，{side}）於 {at} {verb}。",
        "verbs": {"revoke": "撤銷許可", "withdraw": "撤回批准"},
        "nothing": "本研究沒有任何結果向任何人展示，今後亦不得展示。",
        "released": "撤銷前後已放行的內容",
        "analysis": "分析",
        "sites": "醫院",
        "before": "撤銷前放行次數",
        "late": "撤銷起放行次數",
        "opened": "已開啟的總和",
        "first": "首次",
        "last": "末次",
        "tainted": "受影響而不得使用的內容",
        "tainted_are": "凡由以下分析的總和推算所得者：{names}。須由人決定如何處置；"
        "決定之前不得使用。",
        "kept": "為本研究保存的內容",
        "destroyed": "{site} 已於 {at} 銷毀，並列出相同的放行記錄。",
        "not_destroyed": "{site} 列出相同的放行記錄，但其清單製作時尚未銷毀任何內容；"
        "其後並無其他內容離開該院，僅憑統籌方所言。",
        "unlisted": "{site}：未提供其自行簽署的清單；"
        "並無其他內容離開該院，僅憑統籌方所言。",
        "check": "本頁不會自行核驗。請以 hetao verify 核驗 revoked.json，"
        "並附上各醫院的清單（--list）；verify_hetao.py 亦可核驗，但不含清單。",
        "comma": "、",
    },
    "zh-Hans": {
        "kicker": "已撤销研究的证书",
        "revoked": "许可已于 {at} 撤销。本研究未完成即告终止。",
        "ended": "{by}（{role}，{side}）于 {at} {verb}。",
        "verbs": {"revoke": "撤销许可", "withdraw": "撤回批准"},
        "nothing": "本研究没有任何结果向任何人展示，今后亦不得展示。",
        "released": "撤销前后已放行的内容",
        "analysis": "分析",
        "sites": "医院",
        "before": "撤销前放行次数",
        "late": "撤销起放行次数",
        "opened": "已开启的总和",
        "first": "首次",
        "last": "末次",
        "tainted": "受影响而不得使用的内容",
        "tainted_are": "凡由以下分析的总和推算所得者：{names}。须由人决定如何处置；"
        "决定之前不得使用。",
        "kept": "为本研究保存的内容",
        "destroyed": "{site} 已于 {at} 销毁，并列出相同的放行记录。",
        "not_destroyed": "{site} 列出相同的放行记录，但其清单制作时尚未销毁任何内容；"
        "其后并无其他内容离开该院，仅凭统筹方所言。",
        "unlisted": "{site}：未提供其自行签署的清单；"
        "并无其他内容离开该院，仅凭统筹方所言。",
        "check": "本页不会自行核验。请以 hetao verify 核验 revoked.json，"
        "并附上各医院的清单（--list）；verify_hetao.py 亦可核验，但不含清单。",
        "comma": "、",
    },
}


def render_revoked(certificate: bytes, lists: Sequence[object] = ()) -> str:
    """Return the page of a revoked study's certificate.

    Args:
        certificate: its bytes.
        lists: of what sites say left them, as of `verify_revoked`.

    Raises:
        Unverified: it does not verify.
    """
    found = verify_revoked(certificate, None, lists)
    style = _style()
    packed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return _template().render(
        found=found,
        words=WORDS,
        style=Markup(style),  # noqa: S704 - our own file
        style_digest=f"sha256-{packed}",
    )


@functools.cache
def _style() -> str:
    return _REPORT.read_text("utf-8") + _STYLE


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("hetao.dossier", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["time"] = time_text
    return environment.get_template("revoked.html.j2")
