"""A clinical term, however it is written → one form in which terms are compared.

Full-width becomes half-width, capitals small, traditional characters simplified,
regional words one word; dots, dashes, brackets and spaces between words go. It is for
comparing only and is never shown: what a person reads is the term as it was written.
"""

import re
import unicodedata
from typing import Final

# Each traditional character of clinical terms beside its one simplified form.
_PAIRS: Final = (
    "動动 顫颤 頻频 過过 緩缓 傳传 導导 礙碍 竇窦 壓压 張张 縮缩 脈脉 靜静 狹狭 閉闭 "
    "鎖锁 擴扩 樑梁 絞绞 腎肾 臟脏 腦脑 腫肿 惡恶 細细 轉转 結结 節节 腸肠 膽胆 頭头 "
    "頸颈 聾聋 視视 網网 類类 風风 濕湿 關关 質质 鬆松 損损 傷伤 斷断 創创 燒烧 燙烫 "
    "鎮镇 藥药 劑剂 錠锭 膠胶 針针 點点 貧贫 顆颗 單单 總总 鈣钙 鉀钾 鈉钠 鎂镁 鐵铁 "
    "鋅锌 氫氢 離离 鹼碱 鹽盐 濃浓 檢检 驗验 測测 試试 陰阴 陽阳 數数 據据 紀纪 錄录 "
    "診诊 療疗 門门 護护 婦妇 產产 兒儿 內内 發发 熱热 嘔呕 瀉泻 鏈链 黴霉 綠绿 膿脓 "
    "桿杆 愛爱 監监 術术 後后 複复 雜杂 併并 變变 異异 遺遗 綜综 徵征 癥症 狀状 級级 "
    "別别 經经 絡络 氣气 虛虚 實实 鬱郁 滯滞 飲饮 補补 湯汤 壞坏 處处 組组 織织 纖纤 "
    "維维 積积 鳴鸣 運运 體体 養养 營营 鈷钴 釓钆 顯显 電电 圖图 線线 攝摄 區区 個个 "
    "對对 時时 間间 長长 寬宽 為为 與与 無无 從从 來来 開开 應应 該该 種种 樣样 醫医 "
    "學学 國国 際际 標标 準准 碼码 編编 號号 項项 團团 隊队 務务 員员 專专 業业 練练 "
    "習习 題题 嚴严 輕轻 減减 輸输 滲渗 壺壶 鐘钟 頓顿 擊击 鬚须 齡龄 齒齿 齦龈 齲龋 "
    "顎颚 顱颅 額额 勞劳 暈晕 癱瘫 癲癫 癇痫 憂忧 譫谵 認认 憶忆 覺觉 癮瘾 煙烟 劃划 "
    "評评 衛卫 麼么 眾众 腳脚 臉脸 層层 隻只 條条 瀰弥 彌弥 壽寿 濾滤 勻匀 漿浆 繫系 "
    "紅红 聲声 態态 闌阑 諾诺 韋韦 證证 側侧 參参 規规 帶带 皰疱 賴赖 爾尔 雙双 齊齐 "
    "淨净 華华 馬马 奧奥 黃黄 鏡镜 鈦钛 計计 圍围 機机 構构 冊册 報报 許许 則则 書书 "
    "聯联 載载 島岛 葉叶 羥羟 溫温 灣湾 嗎吗 貝贝 沒没 託托 撲扑 樂乐 萊莱 蘭兰 龍龙 "
    "鳥鸟 蒼苍 當当 歸归 黨党 蘇苏 棗枣 薑姜 陳陈 連连 蓮莲 膚肤 瘡疮 瘧疟 瘺瘘 殘残 "
    "製制 週周 礎础 殼壳 濁浊 渾浑 漲涨 絲丝 純纯 繃绷 緊紧 續续 絨绒 縫缝 繼继 纏缠 "
    "脅胁 脹胀 膩腻 舊旧 莖茎 藍蓝 蟲虫 訊讯 記记 訴诉 詢询 誘诱 語语 誤误 調调 負负 "
    "費费 資资 趨趋 軟软 軸轴 較较 輔辅 辦办 達达 適适 選选 遲迟 遞递 邊边 釋释 鈍钝 "
    "鉛铅 鉤钩 銀银 銅铜 銳锐 鋁铝 鋰锂 錫锡 錳锰 鍵键 鏽锈 鑽钻 閃闪 閥阀 闊阔 陣阵 "
    "階阶 隨随 險险 隱隐 難难 雲云 霧雾 靈灵 韌韧 響响 頁页 頂顶 順顺 預预 頑顽 領领 "
    "頜颌 頰颊 顏颜 餘余 餵喂 驅驱 驚惊 鮮鲜 麥麦 復复 鉍铋 鉻铬 鈾铀 鉑铂 銨铵 銫铯 "
    "鈹铍 銻锑 鎳镍 鋇钡 鈧钪 釩钒 喚唤 嚥咽 嗆呛 啞哑 囈呓 墜坠 屍尸 屆届 峽峡 帳帐 "
    "幣币 徑径 憊惫 戶户 拋抛 掃扫 揀拣 搖摇 擠挤 攣挛 暫暂 殺杀 歲岁 殭僵 毀毁 涼凉 "
    "淚泪 瀆渎 灑洒 災灾 煉炼 燈灯 獨独 獲获 現现 環环 畫画 痺痹 瘓痪 瘋疯 皺皱 盤盘 "
    "眥眦 睏困 矽硅 磚砖 禦御 穩稳 窺窥 筆笔 範范 簡简 籤签 糧粮 約约 納纳 紗纱 絕绝 "
    "給给 統统 綱纲 緣缘 縱纵 績绩 罰罚 罷罢 聖圣 職职 聽听 肅肃 脫脱 腡脶 腖胨 臍脐 "
    "臨临 舉举 艱艰 苧苎 莧苋 葯药 蔔卜 蔭荫 薦荐 蘆芦 蘋苹 蠶蚕 蠅蝇 蠍蝎 衝冲 裝装 "
    "褲裤 觀观 訂订 訓训 設设 註注 詳详 誌志 說说 論论 謂谓 議议 譜谱 讀读 貫贯 責责 "
    "買买 賀贺 賬账 賣卖 躍跃 車车 輻辐 農农 遊游 遙遥 遜逊 還还 鄧邓 鄭郑 鏟铲 鑑鉴 "
    "陸陆 雞鸡 頌颂 頦颏 願愿 飛飞 饑饥 騎骑 騰腾 髕髌 鬧闹 鯊鲨 鱗鳞 鴉鸦 麴曲 "
    "醯酰 髖髋 彎弯 佈布 飽饱 儀仪 "
)
SIMPLIFY: Final = str.maketrans({pair[0]: pair[1] for pair in _PAIRS.split()})
# One thing, two words: the left is read as the right. In simplified characters.
SYNONYMS: Final = (
    ("心房纤颤", "心房颤动"),
    ("房颤", "心房颤动"),
    ("脑卒中", "中风"),
    ("肌酸酐", "肌酐"),
    ("血色素", "血红蛋白"),
    ("血红素", "血红蛋白"),
    ("血糖", "葡萄糖"),
    ("三酸甘油酯", "甘油三酯"),
    ("三酸甘油脂", "甘油三酯"),
    ("中性脂肪", "甘油三酯"),
    ("白血球", "白细胞"),
    ("红血球", "红细胞"),
    ("血小板计数", "血小板"),
    ("谷丙转氨酶", "丙氨酸氨基转移酶"),
    ("谷草转氨酶", "天门冬氨酸氨基转移酶"),
    ("恶性肿瘤", "癌"),
    ("原发性高血压", "高血压"),
    ("高血压病", "高血压"),
    ("二型", "2型"),
    ("ii型", "2型"),
    ("一型", "1型"),
    ("冠状动脉粥样硬化性心脏病", "冠心病"),
    ("缺血性心脏病", "冠心病"),
    ("阿士匹灵", "阿司匹林"),
    ("华法令", "华法林"),
    ("二甲双胍片", "二甲双胍"),
    ("细胞计数", "细胞"),
    ("红细胞压积", "血细胞比容"),
    ("血球容积", "血细胞比容"),
    ("嗜中性白血球", "中性粒细胞"),
    ("维他命", "维生素"),
    ("体重指标", "体重指数"),
    ("血氧饱和度脉搏血氧仪", "脉搏血氧饱和度"),
    ("第一秒用力呼气量与用力肺活量比值", "一秒率"),
    ("嗜中性白血球", "中性粒细胞"),
    ("嗜中性球", "中性粒细胞"),
    ("嗜酸性白细胞", "嗜酸性粒细胞"),
    ("嗜碱性白细胞", "嗜碱性粒细胞"),
    ("粒细胞计数", "粒细胞"),
    ("运铁蛋白", "转铁蛋白"),
    ("副甲状腺", "甲状旁腺"),
    ("无机磷", "磷酸盐"),
    ("碳酸氢根", "碳酸氢盐"),
    ("超敏", "高敏"),
    ("伽马谷氨酰转肽酶", "γ谷氨酰转移酶"),
    ("丙种谷氨酰转肽酶", "γ谷氨酰转移酶"),
    ("天门冬氨酸转氨酶", "天门冬氨酸氨基转移酶"),
    ("大肠癌", "结直肠癌"),
    ("乳房癌", "乳腺癌"),
    ("乳癌", "乳腺癌"),
    ("心脏衰竭", "心力衰竭"),
    ("心衰", "心力衰竭"),
    ("缺血性中风", "脑梗死"),
    ("脑梗塞", "脑梗死"),
    ("心肌梗塞", "心肌梗死"),
    ("甲型血友病", "血友病a"),
    ("丙胺酸转氨酶", "丙氨酸氨基转移酶"),
    ("丙氨酸转氨酶", "丙氨酸氨基转移酶"),
    ("haemo", "hemo"),
    ("anaemi", "anemi"),
    ("oedema", "edema"),
    ("ischaem", "ischem"),
    ("glycaem", "glycem"),
    ("lipidaem", "lipidem"),
    ("leukaem", "leukem"),
    ("diarrhoea", "diarrhea"),
    ("oesoph", "esoph"),
    ("tumour", "tumor"),
    ("hba1c", "hemoglobin a1c"),
)
# A longer word goes before a shorter one in it, and what is read so stays so: the
# short 房颤 must not be found again within 心房颤动.
_READ: Final = {word: word for _, word in SYNONYMS} | dict(SYNONYMS)
_WORDS: Final = re.compile("|".join(sorted(map(re.escape, _READ), key=len)[::-1]))


def normal_term(text: str) -> str:
    """Return a term in the form in which terms are compared; "" if nothing is left.

    Words of letters and digits keep one space between them; Chinese characters have
    none.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(SIMPLIFY)
    kept = "".join(c if c.isalnum() else " " for c in plain)
    spaced = " ".join(kept.split())
    joined = "".join(
        c
        for place, c in enumerate(spaced)
        if c != " " or not (_is_han(spaced[place - 1]) or _is_han(spaced[place + 1]))
    )
    return _WORDS.sub(lambda found: _READ[found[0]], joined)


def _is_han(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff"
