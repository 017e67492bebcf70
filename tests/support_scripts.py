"""Characters by which a text in one Chinese script is told from one in the other."""

# Line by line: what the first writes, the second writes otherwise.
_BOTH = """
數據機構編號診斷藥檢驗錄單個來該載屬類別開時間結為無與學醫體準應對顯經過這樣層
数据机构编号诊断药检验录单个来该载属类别开时间结为无与学医体准应对显经过这样层
組項標誤優勢風險預測區誌聯審樞紐閘權趨總簽發許圍釋見證條觀擬懲罰觸陰變線圖縮試殘較
组项标误优势风险预测区志联审枢纽闸权趋总签发许围释见证条观拟惩罚触阴变线图缩试残较
從種後級邏輯術計調關貫實須員點產併還邊門資訊損網絡訓練獲週內們說將讀隻歲務選論詢問
从种后级逻辑术计调关贯实须员点产并还边门资讯损网络训练获周内们说将读只岁务选论询问
題維護續衛廣義雙穩負連離塊齡擔幾異約陽齊輪輸驟監認讓貢嚴寬歸幹紮際暫參節傾貝葉敏執
题维护续卫广义双稳负连离块龄担几异约阳齐轮输骤监认让贡严宽归干扎际暂参节倾贝叶敏执
"""
_LINES = [line for line in _BOTH.split("\n") if line]
assert [len(one) for one in _LINES[::2]] == [len(one) for one in _LINES[1::2]]
_PAIRS = [
    pair
    for lines in zip(_LINES[::2], _LINES[1::2], strict=True)
    for pair in zip(*lines, strict=True)
    if pair[0] != pair[1]
]
# Written in either script, in words of its own: 志願 and 批准 are Traditional.
_SHARED = set("志周并只干扎准")
TRADITIONAL = {one for one, _ in _PAIRS}
SIMPLIFIED = {one for _, one in _PAIRS} - _SHARED
