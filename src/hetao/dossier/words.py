"""What a certificate's page says, in three languages, for people of no trade."""

from collections.abc import Mapping
from typing import Any, Final

LANGUAGES: Final = ("en", "zh-Hant", "zh-Hans")
NAMES: Final = {"en": "English", "zh-Hant": "繁體中文", "zh-Hans": "简体中文"}

# Before and after the page checked itself; told in all three languages at once.
_UNCHECKED: Final = {
    "waiting": {
        "en": "NOT VERIFIED — this page could not check itself. Open it in a current "
        "browser with scripts allowed, or use hetao verify.",
        "zh-Hant": "未驗證——本頁未能自行核驗。請用新版瀏覽器開啟並允許腳本，或使用 "
        "hetao "
        "verify。",
        "zh-Hans": "未验证——本页未能自行核验。请用新版浏览器打开并允许脚本，或使用 "
        "hetao "
        "verify。",
    },
    "invalid": {
        "en": "INVALID — this is not the page that was issued. Do not rely on it.",
        "zh-Hant": "無效——這不是當初簽發的頁面，請勿採信。",
        "zh-Hans": "无效——这不是当初签发的页面，请勿采信。",
    },
    "unable": {
        "en": "NOT VERIFIED — this browser has no means to check signatures. Use a "
        "current one, or hetao verify.",
        "zh-Hant": "未驗證——此瀏覽器無法核驗簽名。請改用新版瀏覽器，或使用 hetao "
        "verify。",
        "zh-Hans": "未验证——此浏览器无法核验签名。请改用新版浏览器，或使用 hetao "
        "verify。",
    },
}
# How such words go on, of a study that was revoked.
_REVOKED: Final = {
    "en": "REVOKED — this study was stopped; rely on no result of it. That it was is "
    "checked just now, in this browser, without a network",
    "zh-Hant": "已撤銷——本研究已被終止，請勿採信其任何結果。"
    "此事剛剛在此瀏覽器中離線核驗",
    "zh-Hans": "已撤销——本研究已被终止，请勿采信其任何结果。"
    "此事刚刚在此浏览器中离线核验",
}


def _revoked(**more: str) -> dict[str, str]:
    """Return, by language, that a study was revoked, and how the sentence ends."""
    ends = {"en": more["en"], "zh-Hant": more["hant"], "zh-Hans": more["hans"]}
    return {language: _REVOKED[language] + end for language, end in ends.items()}


# kind of certificate → state → language → what the page says. All holds in four of the
# states: "holds" without a policy of the reader's, "valid" and "alone" by one, "below"
# not by the file that was chosen.
STATES: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "study": {
        **_UNCHECKED,
        "holds": {
            "en": "HOLDS, BUT DOES NOT COUNT YET — all that is here holds, checked "
            "just now, in this browser, without a network; but no witnesses of yours "
            "are named.",
            "zh-Hant": "核驗無誤，但尚不作數——此處所載剛剛在此瀏覽器中離線核驗，"
            "全部成立；但您尚未指明見證者。",
            "zh-Hans": "核验无误，但尚不作数——此处所载刚刚在此浏览器中离线核验，"
            "全部成立；但您尚未指明见证者。",
        },
        "valid": {
            "en": "VALID, AND IT COUNTS — checked just now, in this browser, without a "
            "network. As many of your witnesses saw it as your policy asks for.",
            "zh-Hant": "有效，並且作數——剛剛在此瀏覽器中離線核驗。"
            "見過它的見證者已達您的見證規則所要求。",
            "zh-Hans": "有效，并且作数——刚刚在此浏览器中离线核验。"
            "见过它的见证者已达您的见证规则所要求。",
        },
        "alone": {
            "en": "VALID BY YOUR POLICY, BUT SEEN BY NOBODY INDEPENDENT — checked just "
            "now, in this browser, without a network. None of your witnesses saw it "
            "but parties of this study.",
            "zh-Hant": "按您的見證規則有效，但沒有獨立第三方見過——"
            "剛剛在此瀏覽器中離線核驗。除本研究的參與方外，您的見證者均未見過。",
            "zh-Hans": "按您的见证规则有效，但没有独立第三方见过——"
            "刚刚在此浏览器中离线核验。除本研究的参与方外，您的见证者均未见过。",
        },
        "below": {
            "en": "DOES NOT COUNT by the file that you chose. Do not rely on it.",
            "zh-Hant": "按您所選的檔案，不作數。請勿採信。",
            "zh-Hans": "按您所选的文件，不作数。请勿采信。",
        },
    },
    "revoked": {
        **_UNCHECKED,
        "holds": _revoked(
            en="; but it does not count yet: no witnesses of yours are named.",
            hant="，但尚不作數：您尚未指明見證者。",
            hans="，但尚不作数：您尚未指明见证者。",
        ),
        "valid": _revoked(
            en="; and it counts: as many of your witnesses saw it as your policy asks "
            "for.",
            hant="，並且作數：見過它的見證者已達您的見證規則所要求。",
            hans="，并且作数：见过它的见证者已达您的见证规则所要求。",
        ),
        "alone": _revoked(
            en=", and your policy asks for no more; but it was SEEN BY NOBODY "
            "INDEPENDENT: none of your witnesses saw it but parties of this study.",
            hant="，並合乎您的見證規則；但沒有獨立第三方見過："
            "除本研究的參與方外，您的見證者均未見過。",
            hans="，并合乎您的见证规则；但没有独立第三方见过："
            "除本研究的参与方外，您的见证者均未见过。",
        ),
        "below": {
            "en": "REVOKED, says this page, but by the file that you chose that DOES "
            "NOT COUNT. Rely on no result of this study all the same, and ask its "
            "issuer.",
            "zh-Hant": "本頁稱研究已撤銷，但按您所選的檔案，此說不作數。"
            "仍請勿採信其任何結果，並向簽發方查詢。",
            "zh-Hans": "本页称研究已撤销，但按您所选的文件，此说不作数。"
            "仍请勿采信其任何结果，并向签发方查询。",
        },
    },
}
SEEN_BY: Final = {
    "en": "Your witnesses who saw it: ",
    "zh-Hant": "見過它的見證者：",
    "zh-Hans": "见过它的见证者：",
}
CHOOSE: Final = {
    "en": {
        "label": "Whose word counts for you?",
        "hint": "Choose the file of your own witness policy: it says which witnesses "
        "you believe, and how many of them must have seen this. It is read here and "
        "goes nowhere. Have it from yourself, or from somebody whom you trust; never "
        "from whoever sent you this page.",
    },
    "zh-Hant": {
        "label": "您相信誰的見證？",
        "hint": "請選擇您自己的見證規則檔案：它列明您相信哪些見證者，"
        "以及須有多少位見過。檔案只在此處讀取，不會傳往任何地方。"
        "規則須出自您自己或您信任的人，切勿使用寄來本頁者所給的。",
    },
    "zh-Hans": {
        "label": "您相信谁的见证？",
        "hint": "请选择您自己的见证规则文件：它列明您相信哪些见证者，"
        "以及须有多少位见过。文件只在此处读取，不会传往任何地方。"
        "规则须出自您自己或您信任的人，切勿使用寄来本页者所给的。",
    },
}
ON_PAPER: Final = {
    "en": "Nobody's witnesses are named on paper: by itself it does not count.",
    "zh-Hant": "紙上沒有指明任何人的見證者：單憑紙本不作數。",
    "zh-Hans": "纸上没有指明任何人的见证者：单凭纸本不作数。",
}

WORDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "en": {
        "kicker": "Certificate of a study",
        "issued": "Issued {at} by {by}",
        "asked": "What was asked",
        "about": "About whom",
        "sites": "Hospitals: {names}.",
        "allowed": "Who allowed it",
        "permit": "Permit {number}, from {begin} to {end}. Its purpose: {purpose}",
        "verbs": {
            "approve": "approved",
            "renew": "renewed",
            "revoke": "revoked",
            "withdraw": "withdrew",
            "suspend": "suspended",
            "resume": "resumed",
            "amend": "amended",
        },
        "who": "Who",
        "office": "Office",
        "did": "What",
        "when": "When (UTC)",
        "reviewed": "Before anything was shown, these people looked at the very "
        "findings "
        "below and accepted them: {names}.",
        "left": "What left each hospital",
        "nothing": "No row about any patient was released. What was released is "
        "sums, each sealed in two halves for two hubs, neither of which can read its "
        "half; only the total over all hospitals together was ever opened.",
        "site": "Hospital",
        "side": "Side",
        "sums": "Sums",
        "numbers": "Numbers in them",
        "class": "Highest class",
        "fewest": "No sum about fewer people than",
        "classes": "Class 1 is public, class 5 is a patient's own record. Class 2 is "
        "a sealed sum over enough hospitals, class 3 one in which a single "
        "hospital's part may show. Each sum was checked at its hospital before it "
        "left.",
        "lost": "{site} did not stay to the end: {why}",
        "found": "What was found",
        "people": "{n} people",
        "events": "{n} events",
        "outcome": "Outcome: {outcome}.",
        "term": "Term",
        "ratio": {
            "odds ratio": "Odds ratio (95% CI)",
            "hazard ratio": "Hazard ratio (95% CI)",
            "rate ratio": "Rate ratio (95% CI)",
            "difference": "Difference (95% CI)",
        },
        "other": "Estimate (95% CI)",
        "p": "p",
        "step": "Step",
        "n": "People",
        "removed": "Left out",
        "smallest": "Counts below {smallest} are not shown, and shown counts are "
        "multiples "
        "of {base}.",
        "figures": "In a figure a square is an estimate and its line the range that "
        "the "
        "data leave open (95%).",
        "caution": "These numbers say what was found in these records. They do not say "
        "why.",
        "own": "",
        "proved": "What is proved",
        "proofs": (
            "{boss} signed exactly this certificate, to the last character.",
            "Each of the {releases} releases was signed by its hospital and stands "
            "in that "
            "hospital's own log, which cannot be changed afterwards unseen.",
            "The sums that were opened are of exactly these releases: both hubs, "
            "{hubs}, signed them.",
            "Each release cites what its hospital sent before it, and is of the same "
            "data. {committed}",
            "The certificate is entry {index} of the coordinator's public log of "
            "{size} "
            "entries; both hubs signed that they saw it.",
            "The permit is for exactly this study.",
        ),
        "committed": {
            "all": "All {logs} hospitals had committed to their records before the "
            "study began.",
            "some": "Of {logs} hospitals {bound} had committed to their records before "
            "the study began; of the others nothing shows which records were used.",
            "none": "No hospital had committed to its records before the study began: "
            "nothing shows which records were used.",
        },
        "unproved": "What is NOT proved",
        "unseen": "That anybody independent saw the coordinator's log. NOT WITNESSED "
        "BY ANYBODY INDEPENDENT: both hubs, {hubs}, which are parties of this study, "
        "signed that they saw it, and nobody else did.",
        "seen": "That {names}, who signed beside both hubs that they saw the "
        "coordinator's log, are independent, and who they say: only a policy of your "
        "own says whom you believe. Give it to this page, or to hetao verify.",
        "limits": (
            "That the hospitals' records are true. A wrong diagnosis stays wrong.",
            "That a hospital computed what it said: it signed which program it ran.",
            "That nothing left a hospital by another way.",
            "That the keys in this file belong to whom they name. Compare the "
            "fingerprints below with the parties, by telephone or from your own list.",
            "That approvals and output checks were enough, and that the findings "
            "follow "
            "from the sums: this page does not check them, hetao verify does.",
            "That the certificate was not revoked since. Ask its issuer for the "
            "status of "
            "today.",
            "That this page is honest. A forged page could say anything; for a "
            "decision, "
            "check certificate.json with your own copy of hetao verify or "
            "verify_hetao.py.",
        ),
        "check": "To check it yourself",
        "code": "The square holds the certificate's digest, the log's name and the "
        "place "
        "in it. A certificate whose digest differs is another one.",
        "digest": "Digest",
        "log": "Log",
        "entry": "Entry",
        "study_digest": "Study",
        "permit_digest": "Permit",
        "fingerprints": "Fingerprints of the keys",
        "paper": "This paper proves nothing by itself. It names the certificate that "
        "does; the square at the end says which.",
        "aside": ", ",
        "comma": ", ",
    },
    "zh-Hant": {
        "kicker": "研究證書",
        "issued": "由 {by} 於 {at} 簽發",
        "asked": "研究問題",
        "about": "研究對象",
        "sites": "參與醫院：{names}。",
        "allowed": "誰批准",
        "permit": "許可 {number}，有效期由 {begin} 至 {end}。用途：{purpose}",
        "verbs": {
            "approve": "批准",
            "renew": "續期",
            "revoke": "撤銷",
            "withdraw": "撤回",
            "suspend": "暫停",
            "resume": "恢復",
            "amend": "修訂",
        },
        "who": "人員",
        "office": "職務",
        "did": "事項",
        "when": "時間（UTC）",
        "reviewed": "結果公開之前，以下人員審閱過本頁所列的結果並同意公開：{names}。",
        "left": "每間醫院放行了甚麼",
        "nothing": "沒有放行任何病人的記錄。放行的只有總和；每個總和都拆成兩半，"
        "分別密封交予兩個樞紐，兩者都讀不懂手上的一半；"
        "只有全部醫院合計的總數才會被開啟。",
        "site": "醫院",
        "side": "所在地",
        "sums": "總和數目",
        "numbers": "所含數字",
        "class": "最高級別",
        "fewest": "人數少於此數不予放行",
        "classes": "1 級為公開資料，5 級為病人本身的記錄。2 "
        "級為足夠多醫院的密封總和，3 級為可能看出單一醫院所佔部分的總和。"
        "每個總和離開之前，均經所屬醫院檢查。",
        "lost": "{site} 未能完成全程：{why}",
        "found": "研究結果",
        "people": "{n} 人",
        "events": "{n} 宗事件",
        "outcome": "結局：{outcome}。",
        "term": "項目",
        "ratio": {
            "odds ratio": "優勢比（95% 置信區間）",
            "hazard ratio": "風險比（95% 置信區間）",
            "rate ratio": "率比（95% 置信區間）",
            "difference": "差異（95% 置信區間）",
        },
        "other": "估計值（95% 置信區間）",
        "p": "p 值",
        "step": "步驟",
        "n": "人數",
        "removed": "剔除",
        "smallest": "少於 {smallest} 的人數不予顯示；所示人數均為 {base} 的倍數。",
        "figures": "圖中方塊為估計值，橫線為數據所容許的範圍（95%）。",
        "caution": "這些數字只說明在這些記錄中發現了甚麼，並不說明原因。",
        "own": "研究自訂的名稱按原文顯示。",
        "proved": "已證明的事項",
        "proofs": (
            "{boss} 簽署了這份證書，一字不差。",
            "全部 {releases} 次放行均由所屬醫院簽署，並記入該醫院自己的日誌；"
            "事後改動必被察覺。",
            "開啟的總和恰好由這些放行相加而成：兩個樞紐 {hubs} 均已簽署。",
            "每次放行均引用該醫院先前所發，並始終出自同一批數據。{committed}",
            "證書是統籌方公開日誌（共 {size} 條）的第 {index} 條；兩個樞紐均簽署見證。",
            "許可正是為這項研究而發。",
        ),
        "committed": {
            "all": "全部 {logs} 間醫院在研究開始前均已對其記錄作出承諾。",
            "some": "{logs} 間醫院中，{bound} 間在研究開始前已對其記錄作出承諾；"
            "其餘醫院用了哪些記錄，無從證明。",
            "none": "沒有醫院在研究開始前對其記錄作出承諾；用了哪些記錄，無從證明。",
        },
        "unproved": "未證明的事項",
        "unseen": "有沒有獨立第三方見過統籌方的日誌。沒有任何獨立見證者聯署："
        "聯署的只有兩個樞紐 {hubs}，二者均為本研究的參與方。",
        "seen": "除兩個樞紐外聯署統籌方日誌的 {names} 是否獨立、是否名副其實："
        "只有您自己的見證規則才說明您相信誰；請交給本頁或 hetao verify。",
        "limits": (
            "醫院的記錄是否真實。診斷若有錯，結果也會有錯。",
            "醫院是否如其所言計算：醫院只簽署了所用程式的雜湊值。",
            "有沒有資料經其他途徑離開醫院。",
            "本檔內的金鑰是否屬於所示各方。請以電話或自己的名單，核對下列指紋。",
            "批准和結果審查是否足夠，以及結果是否由總和得出：本頁不核驗，"
            "請用 hetao verify。",
            "證書其後有否被撤銷。請向簽發方索取今日的狀態。",
            "本頁本身是否可信。偽造的頁面可以任意顯示；作決定前，請用自己的 "
            "hetao verify 或 verify_hetao.py 核驗 certificate.json。",
        ),
        "check": "自行核驗",
        "code": "二維碼載有證書的摘要、日誌名稱和條目編號。摘要不同，即為另一份證書。",
        "digest": "摘要",
        "log": "日誌",
        "entry": "條目",
        "study_digest": "研究",
        "permit_digest": "許可",
        "fingerprints": "金鑰指紋",
        "paper": "本文件本身不構成證明，只指明可供核驗的證書；文末二維碼載明是哪一份。",
        "aside": "，",
        "comma": "、",
    },
    "zh-Hans": {
        "kicker": "研究证书",
        "issued": "由 {by} 于 {at} 签发",
        "asked": "研究问题",
        "about": "研究对象",
        "sites": "参与医院：{names}。",
        "allowed": "谁批准",
        "permit": "许可 {number}，有效期从 {begin} 至 {end}。用途：{purpose}",
        "verbs": {
            "approve": "批准",
            "renew": "续期",
            "revoke": "撤销",
            "withdraw": "撤回",
            "suspend": "暂停",
            "resume": "恢复",
            "amend": "修订",
        },
        "who": "人员",
        "office": "职务",
        "did": "事项",
        "when": "时间（UTC）",
        "reviewed": "结果公开之前，以下人员审阅过本页所列的结果并同意公开：{names}。",
        "left": "每家医院放行了什么",
        "nothing": "没有放行任何患者的记录。放行的只有总和；每个总和都拆成两半，"
        "分别密封交给两个枢纽，两者都读不懂手上的一半；"
        "只有全部医院合计的总数才会被打开。",
        "site": "医院",
        "side": "所在地",
        "sums": "总和个数",
        "numbers": "所含数字",
        "class": "最高级别",
        "fewest": "人数少于此数不予放行",
        "classes": "1 级为公开数据，5 级为患者本人的记录。2 "
        "级为足够多医院的密封总和，3 级为可能看出单一医院所占部分的总和。"
        "每个总和离开之前，均经所属医院检查。",
        "lost": "{site} 未能完成全程：{why}",
        "found": "研究结果",
        "people": "{n} 人",
        "events": "{n} 例事件",
        "outcome": "结局：{outcome}。",
        "term": "项目",
        "ratio": {
            "odds ratio": "优势比（95% 置信区间）",
            "hazard ratio": "风险比（95% 置信区间）",
            "rate ratio": "率比（95% 置信区间）",
            "difference": "差值（95% 置信区间）",
        },
        "other": "估计值（95% 置信区间）",
        "p": "p 值",
        "step": "步骤",
        "n": "人数",
        "removed": "剔除",
        "smallest": "少于 {smallest} 的人数不予显示；所示人数均为 {base} 的倍数。",
        "figures": "图中方块为估计值，横线为数据所容许的范围（95%）。",
        "caution": "这些数字只说明在这些记录中发现了什么，并不说明原因。",
        "own": "研究自定的名称按原文显示。",
        "proved": "已证明的事项",
        "proofs": (
            "{boss} 签署了这份证书，一字不差。",
            "全部 {releases} 次放行均由所属医院签署，并记入该医院自己的日志；"
            "事后改动必被察觉。",
            "打开的总和恰好由这些放行相加而成：两个枢纽 {hubs} 均已签署。",
            "每次放行均引用该医院先前所发，并始终出自同一批数据。{committed}",
            "证书是统筹方公开日志（共 {size} 条）的第 {index} 条；两个枢纽均签署见证。",
            "许可正是为这项研究而发。",
        ),
        "committed": {
            "all": "全部 {logs} 家医院在研究开始前均已对其记录作出承诺。",
            "some": "{logs} 家医院中，{bound} 家在研究开始前已对其记录作出承诺；"
            "其余医院用了哪些记录，无从证明。",
            "none": "没有医院在研究开始前对其记录作出承诺；用了哪些记录，无从证明。",
        },
        "unproved": "未证明的事项",
        "unseen": "有没有独立第三方见过统筹方的日志。没有任何独立见证者联署："
        "联署的只有两个枢纽 {hubs}，二者均为本研究的参与方。",
        "seen": "除两个枢纽外联署统筹方日志的 {names} 是否独立、是否名副其实："
        "只有您自己的见证规则才说明您相信谁；请交给本页或 hetao verify。",
        "limits": (
            "医院的记录是否真实。诊断若有错，结果也会有错。",
            "医院是否如其所言计算：医院只签署了所用程序的哈希值。",
            "有没有数据经其他途径离开医院。",
            "本文件内的密钥是否属于所示各方。请通过电话或自己的名单，核对下列指纹。",
            "批准和结果审查是否足够，以及结果是否由总和得出：本页不核验，"
            "请用 hetao verify。",
            "证书其后是否被撤销。请向签发方索取今日的状态。",
            "本页本身是否可信。伪造的页面可以任意显示；作决定前，请用自己的 "
            "hetao verify 或 verify_hetao.py 核验 certificate.json。",
        ),
        "check": "自行核验",
        "code": "二维码载有证书的摘要、日志名称和条目编号。摘要不同，即为另一份证书。",
        "digest": "摘要",
        "log": "日志",
        "entry": "条目",
        "study_digest": "研究",
        "permit_digest": "许可",
        "fingerprints": "密钥指纹",
        "paper": "本文件本身不构成证明，只指明可供核验的证书；文末二维码载明是哪一份。",
        "aside": "，",
        "comma": "、",
    },
}
