"""`revoked.html`: a revoked study's certificate: what had left, what is tainted.

Three languages, and it checks itself as the page of any certificate does
(`script.py`); what hospitals' own lists show, it does not, and says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hetao.canonical import parse_canonical
from hetao.dossier.script import render_shell, render_words
from hetao.dossier.words import WORDS as PAGES
from hetao.ledger.revoked import verify_revoked
from hetao.permit import bundle_from

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
        "destroyed": "{site} destroyed it at {at}, and lists these releases.",
        "not_destroyed": "{site} lists these releases. Its list is of before it "
        "destroyed anything: that nothing more left it since is the coordinator's "
        "word.",
        "unsent": "{site} also released {task}, which is not in this certificate: it "
        "does not know that its hub received it. Somebody may have it all the same.",
        "unlisted": "{site}: its own list was not given. That nothing more left it is "
        "the coordinator's word.",
        "reason": "The reason given: “{reason}”",
        "run": "Run",
        "study": "Digest of the study",
        "tainted_none": "Nothing: nothing had been released.",
        "proofs": (
            "{boss} signed exactly this certificate, to the last character.",
            "Whoever is named above as having ended the study held an office that had "
            "to approve it, and signed that word with a key that counted then.",
            "Each of the {releases} releases was signed by its hospital, under this "
            "permit and for this run; each sum that was made is of these releases.",
            "The certificate stands in the coordinator's log, and both hubs, {hubs}, "
            "signed that they saw it.",
        ),
        "limits": (
            "That nothing more left a hospital, and when one destroyed what it kept: "
            "this page does not check the hospitals' own lists. Ask each for its own, "
            "and use hetao verify --list.",
            "That the approvals held until then, and that each release was of a class "
            "that the permit allows: hetao verify checks these.",
            "That anybody independent saw the coordinator's log: only a policy of your "
            "own says whom you believe. Give it to this page, or to hetao verify.",
            "That the keys in this file belong to whom they name. Compare the "
            "fingerprints below with the parties, by telephone or from your own list.",
            "That this page is honest. A forged page could say anything; for a "
            "decision, check revoked.json with your own copy of hetao verify or "
            "verify_hetao.py.",
        ),
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
        "destroyed": "{site} 已於 {at} 銷毀，並列出這些放行記錄。",
        "not_destroyed": "{site} 列出這些放行記錄，但其清單製作時尚未銷毀任何內容；"
        "其後並無其他內容離開該院，僅憑統籌方所言。",
        "unsent": "{site} 另曾放行 {task}，並未載於本證書：該院不知其樞紐有否收到；"
        "仍可能有人持有。",
        "unlisted": "{site}：未提供其自行簽署的清單；"
        "並無其他內容離開該院，僅憑統籌方所言。",
        "reason": "所述理由：「{reason}」",
        "run": "運行",
        "study": "研究的摘要",
        "tainted_none": "無：沒有放行任何內容。",
        "proofs": (
            "{boss} 簽署了這份證書，一字不差。",
            "上文所列終止研究者，均擔任須予批准的職務，並以當時有效的金鑰簽署其聲明。",
            "全部 {releases} 次放行均由所屬醫院就本許可及本次運行簽署；"
            "已作出的總和均由這些放行相加而成。",
            "證書記於統籌方的日誌，兩個樞紐 {hubs} 均簽署見證。",
        ),
        "limits": (
            "有沒有其他內容離開醫院，以及醫院何時銷毀所保存的內容："
            "本頁不核驗各醫院自己的清單。請向各醫院索取，並用 hetao verify --list。",
            "批准是否一直有效，以及每次放行是否屬許可容許的級別：請用 hetao verify。",
            "有沒有獨立第三方見過統籌方的日誌：只有您自己的見證規則才說明您相信誰；"
            "請交給本頁或 hetao verify。",
            "本檔內的金鑰是否屬於所示各方。請以電話或自己的名單，核對下列指紋。",
            "本頁本身是否可信。偽造的頁面可以任意顯示；作決定前，請用自己的 "
            "hetao verify 或 verify_hetao.py 核驗 revoked.json。",
        ),
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
        "destroyed": "{site} 已于 {at} 销毁，并列出这些放行记录。",
        "not_destroyed": "{site} 列出这些放行记录，但其清单制作时尚未销毁任何内容；"
        "其后并无其他内容离开该院，仅凭统筹方所言。",
        "unsent": "{site} 另曾放行 {task}，并未载于本证书：该院不知其枢纽是否收到；"
        "仍可能有人持有。",
        "unlisted": "{site}：未提供其自行签署的清单；"
        "并无其他内容离开该院，仅凭统筹方所言。",
        "reason": "所述理由：“{reason}”",
        "run": "运行",
        "study": "研究的摘要",
        "tainted_none": "无：没有放行任何内容。",
        "proofs": (
            "{boss} 签署了这份证书，一字不差。",
            "上文所列终止研究者，均担任须予批准的职务，并以当时有效的密钥签署其声明。",
            "全部 {releases} 次放行均由所属医院就本许可及本次运行签署；"
            "已作出的总和均由这些放行相加而成。",
            "证书记于统筹方的日志，两个枢纽 {hubs} 均签署见证。",
        ),
        "limits": (
            "有没有其他内容离开医院，以及医院何时销毁所保存的内容："
            "本页不核验各医院自己的清单。请向各医院索取，并用 hetao verify --list。",
            "批准是否一直有效，以及每次放行是否属许可允许的级别：请用 hetao verify。",
            "有没有独立第三方见过统筹方的日志：只有您自己的见证规则才说明您相信谁；"
            "请交给本页或 hetao verify。",
            "本文件内的密钥是否属于所示各方。请通过电话或自己的名单，核对下列指纹。",
            "本页本身是否可信。伪造的页面可以任意显示；作决定前，请用自己的 "
            "hetao verify 或 verify_hetao.py 核验 revoked.json。",
        ),
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
        InvalidData: a text in it cannot stand in a page.
    """
    found = verify_revoked(certificate, None, lists)
    body = parse_canonical(certificate)["body"]
    permit = bundle_from(body["permit"]).permit
    title = found.title or str(body["study"]["name"])
    told = {
        "found": found,
        "title": title,
        "boss": permit.coordinator.name,
        "hubs": permit.hubs,
        "releases": sum(one.releases for one in found.courses),
        "words": WORDS,
        "pages": PAGES,
    }
    words = render_words("revoked_words.html.j2", told)
    return render_shell("revoked", title, words, certificate)
