"""The report's sections and first facts, in words of three languages."""

from dataclasses import dataclass
from typing import Final

from hetao.report.sentences import Said


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        title: its heading.
        lead: (traditional, simplified) what stands in it, for who reads no English.
    """

    title: Said
    lead: tuple[str, str]

    @property
    def leads(self) -> tuple[tuple[str, str], ...]:
        """Return (language, sentence) in either script."""
        return ("zh-Hant", self.lead[0]), ("zh-Hans", self.lead[1])


SECTIONS: Final = {
    "answer": Section(
        Said("Question and answer", "問題與答案", "问题与答案"),
        (
            "研究提出的問題，以及每項分析的一句結論。句子只由數字生成：說明在這些數據中"
            "發現了甚麼，不說明原因。",
            "研究提出的问题，以及每项分析的一句结论。句子只由数字生成：说明在这些数据中"
            "发现了什么，不说明原因。",
        ),
    ),
    "models": Section(
        Said("Models", "模型", "模型"),
        (
            "每個模型的係數、95% 置信區間、標準誤與 p 值。方塊為估計值，橫線為置信區間"
            "，虛線表示沒有關聯。",
            "每个模型的系数、95% 置信区间、标准误与 p 值。方块为估计值，横线为置信区间"
            "，虚线表示没有关联。",
        ),
    ),
    "effects": Section(
        Said("Effects", "效應", "效应"),
        (
            "兩組之間的平均效應。置信區間已計入所有回歸（包括傾向性評分）的估計誤差。",
            "两组之间的平均效应。置信区间已计入所有回归（包括倾向性评分）的估计误差。",
        ),
    ),
    "performance": Section(
        Said("Predictions", "預測", "预测"),
        (
            "預測的區分度、校準度與淨獲益。人數不足的切點已省略或合併。",
            "预测的区分度、校准度与净获益。人数不足的切点已省略或合并。",
        ),
    ),
    "curves": Section(
        Said("Survival", "生存分析", "生存分析"),
        (
            "未發生事件者所佔比例，按研究公開的時間格計算；陰影為逐點 95% 置信區間。"
            "事件太少的時間格已與下一格合併。",
            "未发生事件者所占比例，按研究公开的时间格计算；阴影为逐点 95% 置信区间。"
            "事件太少的时间格已与下一格合并。",
        ),
    ),
    "tests": Section(
        Said("Groups compared", "組間比較", "组间比较"),
        (
            "各組的人數、事件數，以及假如各組風險相同時預期的事件數。",
            "各组的人数、事件数，以及假如各组风险相同时预期的事件数。",
        ),
    ),
    "measures": Section(
        Said("Measures", "各項指標", "各项指标"),
        (
            "率、分位數、指標、薈萃分析與篩查的結果。",
            "率、分位数、指标、荟萃分析与筛查的结果。",
        ),
    ),
    "tables": Section(
        Said("Who they were", "研究對象", "研究对象"),
        (
            "各組的基線特徵。SMD 為前兩組的標準化均值差。",
            "各组的基线特征。SMD 为前两组的标准化均值差。",
        ),
    ),
    "steps": Section(
        Said("Who was counted", "納入人數", "纳入人数"),
        (
            "所有機構合計，每項條件之後餘下的人數。",
            "所有机构合计，每项条件之后余下的人数。",
        ),
    ),
    "quality": Section(
        Said("Sites and data quality", "機構與數據質量", "机构与数据质量"),
        (
            "各機構自身政策要求的最低數目（放寬者以粗體標示），以及質量檢查的通過率。"
            "通過率以區間表示，其背後的數目留在機構內。",
            "各机构自身政策要求的最低数目（放宽者以粗体标示），以及质量检查的通过率。"
            "通过率以区间表示，其背后的数目留在机构内。",
        ),
    ),
    "concepts": Section(Said("Concept sets", "概念集", "概念集"), ("", "")),
    "left": Section(
        Said("What left each site", "離開各機構的內容", "离开各机构的内容"),
        (
            "離開機構的只有對眾人的總和，每個總和拆成兩份，單獨一份不透露任何內容，"
            "分別密封給兩個樞紐；只有各機構的合計才會還原。病人資料列：無。",
            "离开机构的只有对众人的总和，每个总和拆成两份，单独一份不透露任何内容，"
            "分别密封给两个枢纽；只有各机构的合计才会还原。病人数据行：无。",
        ),
    ),
    "permit": Section(
        Said("Who approved", "批准者", "批准者"),
        (
            "研究所依據的許可，以及各方簽署的批註和要求該批註的規則。規則出自 Hetao "
            "附帶的規則集，並非法律意見。",
            "研究所依据的许可，以及各方签署的批注和要求该批注的规则。规则出自 Hetao "
            "附带的规则集，并非法律意见。",
        ),
    ),
    "pooled": Section(
        Said("Checked against pooled rows", "與合併數據核對", "与合并数据核对"),
        (
            "只有示範才能作此核對，因為只有示範同時持有全部檔案；真實研究中無人能夠。",
            "只有演示才能作此核对，因为只有演示同时持有全部文件；真实研究中无人能够。",
        ),
    ),
    "run": Section(
        Said("The run", "運行情況", "运行情况"),
        ("所用時間與訊息數目。", "所用时间与消息数目。"),
    ),
    "verify": Section(
        Said("How to verify", "如何核驗", "如何核验"),
        (
            "本頁只是證書的圖像，任何人都能做出相似的頁面；作準的是證書檔案。請憑檔案離線"
            "核驗，並使用您自己的各方名單與見證規則：",
            "本页只是证书的图像，任何人都能做出相似的页面；作准的是证书文件。请凭文件离线"
            "核验，并使用您自己的各方名单与见证规则：",
        ),
    ),
}
FACTS: Final[dict[str, Said]] = {
    "sites": Said("Sites", "機構", "机构"),
    "sides": Said("Sides", "所在地", "所在地"),
    "analyses": Said("Analyses", "分析", "分析"),
    "rows": Said(
        "Patient rows that left a site",
        "離開機構的病人資料列",
        "离开机构的病人数据行",
    ),
    "smallest": Said("Smallest count shown", "顯示的最小人數", "显示的最小人数"),
    "permit": Said("Permit", "許可", "许可"),
}
