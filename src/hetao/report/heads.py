"""The heads of the report's tables, and what a row is called, in Chinese.

A head that is a label of the study or a group is the study's own text, the same in all
languages, and stays as it is.
"""

import re
from typing import Final

from hetao.report.sentences import Said, same

CI: Final = re.compile(r"(.+) \(95% (?:CI|interval)\)")

# English → (traditional, simplified)
HEADS: Final[dict[str, tuple[str, str]]] = {
    # methods
    "Logistic regression": ("邏輯回歸", "逻辑回归"),
    "Linear regression": ("線性回歸", "线性回归"),
    "Poisson regression": ("Poisson 回歸", "Poisson 回归"),
    "Negative binomial regression": ("負二項回歸", "负二项回归"),
    "Gamma regression": ("Gamma 回歸", "Gamma 回归"),
    "Cox regression": ("Cox 回歸", "Cox 回归"),
    "Conditional logistic regression": ("條件邏輯回歸", "条件逻辑回归"),
    "Case-crossover analysis": ("病例交叉分析", "病例交叉分析"),
    "Self-controlled case series": ("自身對照病例系列", "自身对照病例系列"),
    "Effect by propensity score weighting": (
        "傾向性評分加權的效應",
        "倾向性评分加权的效应",
    ),
    "Effect by standardisation": ("標準化的效應", "标准化的效应"),
    "Doubly robust effect": ("雙重穩健效應", "双重稳健效应"),
    "Effect by strata of the propensity score": (
        "傾向性評分分層的效應",
        "倾向性评分分层的效应",
    ),
    "Kaplan-Meier curves": ("Kaplan-Meier 曲線", "Kaplan-Meier 曲线"),
    "Log-rank test": ("對數秩檢驗", "对数秩检验"),
    "Linear mixed model, a random intercept for each site": (
        "線性混合模型，各機構隨機截距",
        "线性混合模型，各机构随机截距",
    ),
    "Generalised linear mixed model, a random intercept for each site": (
        "廣義線性混合模型，各機構隨機截距",
        "广义线性混合模型，各机构随机截距",
    ),
    "Meta-analysis": ("薈萃分析", "荟萃分析"),
    "Performance of a prediction": ("預測效能", "预测效能"),
    "Gradient-boosted trees": ("梯度提升樹", "梯度提升树"),
    "Neural network": ("神經網絡", "神经网络"),
    "Indicator over time": ("指標的時間變化", "指标的时间变化"),
    "Meta-analysis by likelihood profiles": (
        "按似然剖面的薈萃分析",
        "按似然剖面的荟萃分析",
    ),
    "Medians and quartiles": ("中位數與四分位數", "中位数与四分位数"),
    "Incidence rates": ("發病率", "发病率"),
    "Screen of exposures and outcomes": (
        "暴露因素與結局的篩查",
        "暴露因素与结局的筛查",
    ),
    "Who was counted": ("納入人數", "纳入人数"),
    "Who they were": ("研究對象", "研究对象"),
    # of models and effects
    "Term": ("項", "项"),
    "Intercept": ("截距", "截距"),
    "Coefficient": ("係數", "系数"),
    "Standard error": ("標準誤", "标准误"),
    "z": ("z 值", "z 值"),
    "t": ("t 值", "t 值"),
    "p": ("p 值", "p 值"),
    "Odds ratio": ("優勢比", "优势比"),
    "Rate ratio": ("率比", "率比"),
    "Hazard ratio": ("風險比", "风险比"),
    "Risk ratio": ("相對危險度", "相对危险度"),
    "Mean ratio": ("均值比", "均值比"),
    "Difference": ("差值", "差值"),
    "Ratio": ("比值", "比值"),
    "Risk difference": ("危險度差", "危险度差"),
    "Mean difference": ("均值差", "均值差"),
    "Rate difference": ("率差", "率差"),
    "Risk ratio (Mantel-Haenszel)": (
        "相對危險度（Mantel-Haenszel 法）",
        "相对危险度（Mantel-Haenszel 法）",
    ),
    "Odds ratio (Mantel-Haenszel)": (
        "優勢比（Mantel-Haenszel 法）",
        "优势比（Mantel-Haenszel 法）",
    ),
    "Rate ratio (Mantel-Haenszel)": (
        "率比（Mantel-Haenszel 法）",
        "率比（Mantel-Haenszel 法）",
    ),
    "Difference of survival": ("生存率之差", "生存率之差"),
    "Difference of restricted means": (
        "限制平均生存時間之差",
        "限制平均生存时间之差",
    ),
    "At unit variance": ("標準化係數", "标准化系数"),
    "Lambda": ("懲罰強度 λ", "惩罚强度 λ"),
    "Columns in": ("納入的列數", "纳入的列数"),
    "Deviance outside the folds": ("折外偏差", "折外偏差"),
    "Chi-square": ("卡方值", "卡方值"),
    "df": ("自由度", "自由度"),
    "Time": ("時間", "时间"),
    "Hazard": ("風險", "风险"),
    "Score": ("傾向性評分", "倾向性评分"),
    "Contrast": ("對比", "对比"),
    "95% CI": ("95% 置信區間", "95% 置信区间"),
    "Estimate": ("估計值", "估计值"),
    "Arm": ("組別", "组别"),
    "People": ("人數", "人数"),
    "Events": ("事件數", "事件数"),
    "Mean outcome, adjusted": ("調整後的平均結局", "调整后的平均结局"),
    "Effective sample size": ("有效樣本量", "有效样本量"),
    "Before": ("調整前", "调整前"),
    "After": ("調整後", "调整后"),
    # of predictions
    "Measure": ("指標", "指标"),
    "Area under the ROC curve": ("ROC 曲線下面積", "ROC 曲线下面积"),
    "Brier score": ("Brier 分數", "Brier 分数"),
    "Scaled Brier score": ("標準化 Brier 分數", "标准化 Brier 分数"),
    "Observed to expected events": ("實際與預期事件數之比", "实际与预期事件数之比"),
    "Calibration in the large": ("總體校準度", "总体校准度"),
    "Calibration intercept": ("校準截距", "校准截距"),
    "Calibration slope": ("校準斜率", "校准斜率"),
    "Mean squared error": ("均方誤差", "均方误差"),
    "Root mean squared error": ("均方根誤差", "均方根误差"),
    "R²": ("決定係數", "决定系数"),
    "How it was trained": ("訓練方式", "训练方式"),
    "Value": ("數值", "数值"),
    "Threshold": ("閾值", "阈值"),
    "Sensitivity": ("敏感度", "灵敏度"),
    "Specificity": ("特異度", "特异度"),
    "Positive predictive value": ("陽性預測值", "阳性预测值"),
    "Negative predictive value": ("陰性預測值", "阴性预测值"),
    "Net benefit": ("淨獲益", "净获益"),
    "Treating all": ("全部治療", "全部治疗"),
    "Predicted": ("預測概率", "预测概率"),
    "Mean prediction": ("平均預測概率", "平均预测概率"),
    # of survival, groups and people
    "Group": ("組別", "组别"),
    "Median": ("中位數", "中位数"),
    "Observed": ("實際值", "实际值"),
    "Expected": ("預期值", "预期值"),
    "Variable": ("變量", "变量"),
    "SMD": ("標準化均值差", "标准化均值差"),
    "Step": ("步驟", "步骤"),
    "Share of everyone": ("佔全體的比例", "占全体的比例"),
    "Left": ("餘下人數", "余下人数"),
    "Removed": ("排除人數", "排除人数"),
    # of measures and screens
    "Fixed effect": ("固定效應", "固定效应"),
    "Random, DerSimonian-Laird": (
        "隨機效應（DerSimonian-Laird 法）",
        "随机效应（DerSimonian-Laird 法）",
    ),
    "Random, Paule-Mandel": (
        "隨機效應（Paule-Mandel 法）",
        "随机效应（Paule-Mandel 法）",
    ),
    "Random, REML": ("隨機效應（REML 法）", "随机效应（REML 法）"),
    "Random effects (ML)": ("隨機效應（最大似然法）", "随机效应（最大似然法）"),
    "With it": ("符合人數", "符合人数"),
    "Share": ("比例", "比例"),
    "Mean": ("平均值", "平均值"),
    "Person-time": ("人時", "人时"),
    "Rate": ("率", "率"),
    "Standardised rate": ("標準化率", "标准化率"),
    "With HKSJ limits": ("HKSJ 置信區間", "HKSJ 置信区间"),
    "95% prediction interval": ("95% 預測區間", "95% 预测区间"),
    "Exposure": ("暴露因素", "暴露因素"),
    "Controls fitted": ("已擬合的對照數", "已拟合的对照数"),
    "Standard deviation": ("標準差", "标准差"),
    "Calibrated": ("校準後", "校准后"),
    "Calibrated p": ("校準後 p 值", "校准后 p 值"),
    "Adjusted p": ("調整後 p 值", "调整后 p 值"),
    "Reason": ("原因", "原因"),
    "Weight": ("權重", "权重"),
    "not every site holds enough people, events or leverage for it": (
        "並非每間機構都有足夠人數、事件或槓桿值",
        "并非每家机构都有足够人数、事件或杠杆值",
    ),
    "columns determine each other, or no one has the outcome": (
        "各列互相決定，或沒有人出現結局",
        "各列互相决定，或没有人出现结局",
    ),
    "a site could not compute it, or one person would decide too much": (
        "有機構未能計算，或單一個人的影響過大",
        "有机构未能计算，或单一个人的影响过大",
    ),
    # of sites and their data
    "Site": ("機構", "机构"),
    "People, at least": ("最少人數", "最少人数"),
    "In a cell, at least": ("每格最少人數", "每格最少人数"),
    "Events, at least": ("最少事件數", "最少事件数"),
    "Parameters per person, at most": ("每人參數上限", "每人参数上限"),
    "Leverage of a person, at most": ("單人槓桿值上限", "单人杠杆值上限"),
    "Sites in a sum, at least": ("總和的最少機構數", "总和的最少机构数"),
    "Conformance": ("符合性", "符合性"),
    "Completeness": ("完整性", "完整性"),
    "Plausibility": ("合理性", "合理性"),
    "Table": ("表", "表"),
    "Where": ("位置", "位置"),
    "What was asked": ("檢查要求", "检查要求"),
    "Share of rows": ("佔資料列的比例", "占数据行的比例"),
    "What was found": ("檢查結果", "检查结果"),
    "Concept set": ("概念集", "概念集"),
    "At the sites": ("在各機構", "在各机构"),
    "Who made the same list": ("列表相同的機構", "列表相同的机构"),
    # of what left
    "Releases": ("放行次數", "放行次数"),
    "Numbers": ("數字個數", "数字个数"),
    "Sealed bytes": ("密封位元組", "密封字节"),
    "All bytes sent": ("送出位元組總數", "发送字节总数"),
    "Highest class": ("最高級別", "最高级别"),
    "Patient rows": ("病人資料列", "病人数据行"),
    "Task": ("任務", "任务"),
    "Analysis": ("分析", "分析"),
    "Round": ("輪", "轮"),
    "Bytes": ("位元組", "字节"),
    "Class": ("級別", "级别"),
    "At": ("時間", "时间"),
    "Record": ("放行記錄", "放行记录"),
    # of the permit
    "By": ("簽署人", "签署人"),
    "Office": ("審批處", "审批处"),
    "Side": ("側", "侧"),
    "Said": ("審批意見", "审批意见"),
    "Rule": ("規則", "规则"),
    "Key fingerprint": ("密鑰指紋", "密钥指纹"),
    "Permit": ("許可", "许可"),
    "Purpose": ("目的", "目的"),
    "In force": ("有效期", "有效期"),
    "Crossing": ("過河", "过河"),
    # of the check against pooled rows, and of how to verify
    "Federated": ("聯邦計算", "联邦计算"),
    "Pooled": ("合併計算", "合并计算"),
    "Difference in standard errors": ("差異（以標準誤計）", "差异（以标准误计）"),
    "Truth, in this made-up population": (
        "真值（虛構人口）",
        "真值（虚构人口）",
    ),
    "Messages": ("訊息數目", "消息数目"),
    "Study": ("研究", "研究"),
    "Run": ("運行", "运行"),
    "Issued": ("簽發時間", "签发时间"),
    "Log checkpoint": ("日誌檢查點", "日志检查点"),
    # of the estimand
    "Who": ("研究對象", "研究对象"),
    "What is compared": ("比較內容", "比较内容"),
    "What is measured in each person": ("每人的測量內容", "每人的测量内容"),
    "What may happen in between": ("期間可能發生的事件", "期间可能发生的事件"),
    "How it is summed up": ("匯總方式", "汇总方式"),
    # of single tables
    "Table 1": ("表 1", "表 1"),
    "Attrition": ("流失表", "流失表"),
    "All together": ("合計", "合计"),
}
# Steps of attrition that every study names alike.
STEPS: Final[dict[str, tuple[str, str]]] = {
    "Everyone in the data": ("數據中的所有人", "数据中的所有人"),
    "Index day in the period": ("指標日在研究期間內", "索引日在研究期间内"),
    "Of the age asked for": ("符合年齡要求", "符合年龄要求"),
    "Of the sex asked for": ("符合性別要求", "符合性别要求"),
    "Index day in the season": ("指標日在指定月份內", "索引日在指定月份内"),
    "Observed for long enough": ("觀察時間足夠", "观察时间足够"),
    "No entry event in the washout": (
        "洗脫期內沒有進入事件",
        "洗脱期内没有进入事件",
    ),
    "In one arm alone": ("只屬於一個組別", "只属于一个组别"),
    "At risk": ("處於風險期", "处于风险期"),
    "Matched": ("已配對", "已匹配"),
}
# What holds the study's own words or numbers in between.
FORMS: Final[tuple[tuple[re.Pattern[str], str, str], ...]] = (
    (re.compile(r"Mean up to (.+)"), "至 {} 的平均值", "至 {} 的平均值"),
    (re.compile(r"Ratio adjusted for (.+)"), "按 {} 調整的率比", "按 {} 调整的率比"),
)


PER: Final = re.compile(r"Difference for ([\d,]+) person-(.+)")
# unit of time → person-time in it
PERSON_TIME: Final = {
    "day": ("人日", "人日"),
    "week": ("人週", "人周"),
    "month": ("人月", "人月"),
    "year": ("人年", "人年"),
}


def named(text: str) -> Said:
    """Return a head, or what a thing is called, in three languages.

    A head that is said already, or the same in every language, stays as it is; so what
    the study words is handed in as `same`.
    """
    if isinstance(text, Said):
        return text
    found = _chinese(text)
    return same(text) if found is None else Said(text, *found)


def step_named(text: str) -> Said:
    """Return a step of attrition: in three languages, or as the study words it."""
    return Said(text, *STEPS.get(text, (text, text)))


def measure_named(measure: str) -> Said:
    """Return a measure within a sentence, such as `odds ratio`."""
    known = named(measure.capitalize())
    return Said(measure, known.traditional, known.simplified)


def person_time(unit: str) -> Said:
    """Return `person-days` of a unit of time, or of the study's own label of it."""
    own = (f"人·{unit} ",) * 2
    return Said(f"person-{unit}", *PERSON_TIME.get(unit.lower().removesuffix("s"), own))


def _chinese(text: str) -> tuple[str, str] | None:
    if text in HEADS:
        return HEADS[text]
    limits = CI.fullmatch(text)
    if limits:
        inner, ends = _chinese(limits[1]), HEADS["95% CI"]
        if inner is None:
            return None
        return f"{inner[0]}（{ends[0]}）", f"{inner[1]}（{ends[1]}）"
    rate = PER.fullmatch(text)
    if rate:
        _, traditional, simplified = person_time(rate[2]).texts
        return f"每 {rate[1]} {traditional}的差值", f"每 {rate[1]} {simplified}的差值"
    for form, traditional, simplified in FORMS:
        said = form.fullmatch(text)
        if said:
            return traditional.format(said[1]), simplified.format(said[1])
    return None
