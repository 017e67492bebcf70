"""What left a site, in plain words of three languages, and as a picture over time."""

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from hetao.federation.releases import (
    COUNT,
    DIFFERING,
    DROPPED,
    OPENED,
    PRIVATE,
    REFUSED,
    SUM,
    Course,
    Departure,
    Releases,
)
from hetao.federation.usage import Used
from hetao.permit.signing_words import office_named
from hetao.report.custody import short_digest, time_text
from hetao.report.drawing import Drawing, Scale, shortened
from hetao.report.sentences import same
from hetao.templates import templates_of

WIDTH, LANE, LEFT, RIGHT, TOP = 940.0, 46.0, 220.0, 24.0, 26.0
MARK = 7.0  # half the side of a mark
NAME_WIDTH = 15.0  # font sizes of a lane's name
# How each kind of what is sealed in shares says so.
SHARED: Final = {SUM: "sealed", COUNT: "unopened", DIFFERING: "unopened_sites"}

WORDS: Final = {
    "en": {
        "title": "What left {site}",
        "verified": "All {size} entries of the site's log were hashed again and are as "
        "the site signed them; each release bears the site's signature.",
        "summary": "{left} messages left, {refused} requests were refused. The highest "
        "class that left is {highest}.",
        "nothing": "Nothing left, and nothing was refused.",
        "since": "Only since {since}: what the log holds of before is left out here.",
        "study": "Study: {title}",
        "unknown": "A run that the journal no longer knows",
        "outside": "Outside of any run",
        "permit": "Permit {number}, until {until}: {purpose}",
        "allowed": "Allowed by {who}",
        "by": "{by} ({role}, {side})",
        "sum": "{analysis}, round {round}: {values} numbers about {people} people",
        "count": "before {analysis}: {values} counts of {people} people: who have a "
        "combination of its columns, or for whom two definitions of the study differ",
        "unopened": "sealed in two shares, for {to}; nobody opens their sum: the hubs "
        "found of it only whether any count is of few people over {members}",
        "sites": "before {analysis}: in which of {values} numbers and parts of terms "
        "{people} people differ",
        "unopened_sites": "sealed in two shares, for {to}; nobody opens their sum: the "
        "hubs found of it only whether people differ in any at few of {members} alone",
        "sealed": "sealed in two shares, for {to}; only the sum over {members} is ever "
        "opened",
        "class": "class {released}",
        "lowered": "class {released}, made of class {source}",
        "made_of": "made of {lineage}",
        "private": "{values} counts with noise; privacy loss ε = {epsilon:g}, of all "
        "such answers so far {spent:g} of {of:g}",
        "own": "Asked by the site's own people, within its privacy budget: no permit",
        "shown": "Of the statistics that people may see about any one person, over all "
        "permits, {share} are used (data {snapshot})",
        "told": "Of the numbers that models' rounds may tell for each person, over all "
        "permits, {share} are used (data {snapshot})",
        "noise": "Of the privacy budget for counts with noise {used:g} of {most:g} are "
        "used, for good",
        "ready": "said that it is ready: digests of its data, its minimum counts",
        "closing": "closed the run: proofs from its log, data quality in bands",
        "refusal": "told the coordinator a refusal: its code and its rule, no count",
        "refused": "refused: {rule}",
        "dropped": "dropped, since it does not come from the coordinator: {rule}",
        "opened": "single medical acts were shown to an auditor: {rule}",
        "others": "{others} further entries of the log are of other kinds.",
        "picture": "When it left",
        "about": "One line a run. A filled mark is a message that left, darker for a "
        "higher class; a cross is a request that was refused.",
        "when": "When (UTC)",
        "what": "What",
        "grade": "Class",
        "checks": "Checks passed",
        "signed": "Signed record",
        "no": "Refused",
        "comma": ", ",
        "then": "; ",
        "and": " and ",
    },
    "zh-Hant": {
        "title": "{site} 放行了甚麼",
        "verified": "本院日誌的全部 {size} 條記錄已重新計算雜湊，與本院簽署的一致；"
        "每次放行均有本院簽名。",
        "summary": "放行 {left} 則訊息，拒絕 {refused} 項請求。放行的最高級別為 "
        "{highest} 級。",
        "nothing": "沒有放行任何內容，也沒有拒絕任何請求。",
        "since": "只列 {since} 起的記錄；日誌中較早的記錄不在此列。",
        "study": "研究：{title}",
        "unknown": "流水簿已沒有記錄的一次運行",
        "outside": "不屬於任何運行",
        "permit": "許可 {number}，有效至 {until}：{purpose}",
        "allowed": "批准者：{who}",
        "by": "{by}（{role}，{side}）",
        "sum": "{analysis}，第 {round} 輪：關於 {people} 人的 {values} 個數字",
        "count": "在 {analysis} 之前：{people} 人的 {values} 項人數："
        "屬於各變量的某種組合，或在研究的兩個定義下有別",
        "unopened": "密封為兩份份額，交予 {to}；總和不會被任何人開啟，"
        "樞紐只得知 {members} 合計是否有任何一項人數過少",
        "sites": "在 {analysis} 之前：{people} 人在模型各項的 {values} 個數值及"
        "其部分之中，哪些各有不同",
        "unopened_sites": "密封為兩份份額，交予 {to}；總和不會被任何人開啟，"
        "樞紐只得知是否有數值僅在 {members} 之中少數機構內各有不同",
        "sealed": "密封為兩份份額，交予 {to}；只有 {members} 的總和會被開啟",
        "class": "{released} 級",
        "lowered": "{released} 級，源自 {source} 級數據",
        "made_of": "取自 {lineage}",
        "private": "{values} 個加入雜訊的人數；私隱損失 ε = {epsilon:g}，至今此類回答"
        "合計 {spent:g}，上限 {of:g}",
        "own": "由本院人員提出，在本院的私隱預算之內：無須許可",
        "shown": "關於任何一人可向人展示的統計數字，按所有許可合計已用 {share}（數據 "
        "{snapshot}）",
        "told": "模型各輪按每人可透露的數字，按所有許可合計已用 {share}（數據 "
        "{snapshot}）",
        "noise": "加入雜訊的人數所用的私隱預算，已用 {used:g}，上限 {most:g}，不會重置",
        "ready": "表示已就緒：數據的摘要和本院的最低人數",
        "closing": "結束運行：日誌的證明和分檔的數據質量",
        "refusal": "把拒絕告知統籌方：只有代碼和規則，沒有人數",
        "refused": "已拒絕：{rule}",
        "dropped": "並非來自統籌方，不予處理：{rule}",
        "opened": "已向審計人員出示個別診療事件：{rule}",
        "others": "日誌另有 {others} 條其他種類的記錄。",
        "picture": "何時放行",
        "about": "每行為一次運行。實心標記為放行的訊息，級別越高顏色越深；"
        "叉號為被拒絕的請求。",
        "when": "時間（UTC）",
        "what": "內容",
        "grade": "級別",
        "checks": "通過的檢查",
        "signed": "簽署的記錄",
        "no": "拒絕",
        "comma": "、",
        "then": "；",
        "and": " 和 ",
    },
    "zh-Hans": {
        "title": "{site} 放行了什么",
        "verified": "本机构日志的全部 {size} 条记录已重新计算哈希，与本机构签署的一致；"
        "每次放行均有本机构签名。",
        "summary": "放行 {left} 条消息，拒绝 {refused} 项请求。放行的最高级别为 "
        "{highest} 级。",
        "nothing": "没有放行任何内容，也没有拒绝任何请求。",
        "since": "只列 {since} 起的记录；日志中较早的记录不在此列。",
        "study": "研究：{title}",
        "unknown": "流水簿已没有记录的一次运行",
        "outside": "不属于任何运行",
        "permit": "许可 {number}，有效期至 {until}：{purpose}",
        "allowed": "批准者：{who}",
        "by": "{by}（{role}，{side}）",
        "sum": "{analysis}，第 {round} 轮：关于 {people} 人的 {values} 个数字",
        "count": "在 {analysis} 之前：{people} 人的 {values} 项人数："
        "属于各变量的某种组合，或在研究的两个定义下有别",
        "unopened": "密封为两份份额，交给 {to}；总和不会被任何人打开，"
        "枢纽只得知 {members} 合计是否有任何一项人数过少",
        "sites": "在 {analysis} 之前：{people} 人在模型各项的 {values} 个数值及"
        "其部分之中，哪些各有不同",
        "unopened_sites": "密封为两份份额，交给 {to}；总和不会被任何人打开，"
        "枢纽只得知是否有数值仅在 {members} 之中少数机构内各有不同",
        "sealed": "密封为两份份额，交给 {to}；只有 {members} 的总和会被打开",
        "class": "{released} 级",
        "lowered": "{released} 级，源自 {source} 级数据",
        "made_of": "取自 {lineage}",
        "private": "{values} 个加入噪声的人数；隐私损失 ε = {epsilon:g}，至今此类回答"
        "合计 {spent:g}，上限 {of:g}",
        "own": "由本机构人员提出，在本机构的隐私预算之内：无须许可",
        "shown": "关于任何一人可向人展示的统计数字，按所有许可合计已用 {share}（数据 "
        "{snapshot}）",
        "told": "模型各轮按每人可透露的数字，按所有许可合计已用 {share}（数据 "
        "{snapshot}）",
        "noise": "加入噪声的人数所用的隐私预算，已用 {used:g}，上限 {most:g}，不会重置",
        "ready": "表示已就绪：数据的摘要和本机构的最低人数",
        "closing": "结束运行：日志的证明和分档的数据质量",
        "refusal": "把拒绝告知统筹方：只有代码和规则，没有人数",
        "refused": "已拒绝：{rule}",
        "dropped": "并非来自统筹方，不予处理：{rule}",
        "opened": "已向审计人员出示个别诊疗事件：{rule}",
        "others": "日志另有 {others} 条其他种类的记录。",
        "picture": "何时放行",
        "about": "每行为一次运行。实心标记为放行的消息，级别越高颜色越深；"
        "叉号为被拒绝的请求。",
        "when": "时间（UTC）",
        "what": "内容",
        "grade": "级别",
        "checks": "通过的检查",
        "signed": "签署的记录",
        "no": "拒绝",
        "comma": "、",
        "then": "；",
        "and": " 和 ",
    },
}
Lane = tuple[Course, tuple[Departure, ...]]


def lines_of(found: Releases, language: str = "en") -> list[str]:
    """Return what left a site, in sentences for its data manager.

    Args:
        found: what the site's log says.
        language: "en", "zh-Hant" or "zh-Hans".
    """
    said = WORDS[language]
    lines = [said["title"].format(site=found.site), *summary(found, language)]
    for course, departures in lanes(found.departures):
        lines += ["", *heading(course, language)]
        for one in departures:
            lines.append(f"  {time_text(one.at)}  {sentence(one, language)}")
    return lines


def summary(found: Releases, language: str) -> list[str]:
    """Return how much left, the highest class, and that the log holds."""
    said, departures = WORDS[language], found.departures
    left = [one for one in departures if one.has_left]
    text = said["nothing"]
    if departures:
        text = said["summary"].format(
            left=len(left),
            refused=len(departures) - len(left),
            highest=max((one.released for one in left), default=0),
        )
    lines = [said["since"].format(since=found.since)] if found.since else []
    lines += [text, said["verified"].format(size=found.size)]
    lines += [_budget(one, said) for one in found.budgets]
    if found.others:
        lines.append(said["others"].format(others=found.others))
    return lines


def _budget(one: Used, said: Mapping[str, str]) -> str:
    """Return how much of a budget is used, for the site's own people."""
    if not one.snapshot:
        return said["noise"].format(used=one.used, most=one.most)
    share = f"{min(1.0, one.used / one.most):.0%}"
    return said[one.budget].format(share=share, snapshot=short_digest(one.snapshot))


def lanes(departures: Iterable[Departure]) -> tuple[Lane, ...]:
    """Return departures by run, in the order in which runs began."""
    found: dict[tuple[str, str], list[Departure]] = {}
    for one in departures:
        found.setdefault((one.course.study, one.course.run), []).append(one)
    # A refusal's entry names the study alone: it stands with that study's last run.
    for study, run in list(found):
        owners = [
            key for key in found if key[0] == study and key[1] not in ("", PRIVATE)
        ]
        if not run and study and owners:
            found[owners[-1]] += found.pop((study, run))
            found[owners[-1]].sort(key=lambda one: one.place)
    return tuple((_course_of(some), tuple(some)) for some in found.values())


def _course_of(departures: list[Departure]) -> Course:
    known = [one.course for one in departures if one.course.title]
    return known[0] if known else departures[0].course


def heading(course: Course, language: str) -> list[str]:
    """Return which study a run was of, under which permit, and who allowed it."""
    said = WORDS[language]
    if not course.title:
        return [_nameless(course, said)]
    if not course.permit:
        return [said["study"].format(title=course.title), said["own"]]
    who = [
        said["by"].format(
            by=one.by, role=office_named(one.role, language), side=one.side
        )
        for one in course.allowed
    ]
    return [
        said["study"].format(title=course.title),
        said["permit"].format(
            number=course.number,
            until=time_text(course.not_after),
            purpose=course.purpose,
        ),
        said["allowed"].format(who=said["comma"].join(who) or "–"),
    ]


def _nameless(course: Course, said: Mapping[str, str]) -> str:
    return said["unknown" if course.run or course.study else "outside"]


def sentence(one: Departure, language: str) -> str:
    """Return one message that left, or one request that was refused, in words."""
    said = WORDS[language]
    if one.kind in (REFUSED, DROPPED, OPENED):
        return said[one.kind].format(rule=one.rule)
    if one.kind == PRIVATE:
        fields = {"values": one.values, "epsilon": one.epsilon}
        fields |= {"spent": one.spent, "of": one.of}
        parts = [said[PRIVATE].format(**fields), class_text(one, language)]
        return said["then"].join(parts)
    if one.kind not in SHARED:
        words = said.get(one.kind, one.kind)
        return said["then"].join([words, said["class"].format(released=one.released)])
    parts = [
        said[one.kind].format(
            analysis=one.analysis,
            round=one.round,
            values=one.values,
            people=one.people or "?",
        ),
        said[SHARED[one.kind]].format(
            to=said["and"].join(one.to), members=said["comma"].join(one.members)
        ),
        class_text(one, language),
    ]
    if one.lineage:
        tables = said["comma"].join(one.lineage)
        parts.append(said["made_of"].format(lineage=tables))
    return said["then"].join(parts)


def class_text(one: Departure, language: str) -> str:
    """Return the class of a message, and that of what it was made of."""
    key = "lowered" if one.released < one.source else "class"
    return WORDS[language][key].format(released=one.released, source=one.source)


def lineage_text(one: Departure, language: str) -> str:
    """Return the fields that a message was made of, in words."""
    said = WORDS[language]
    paths = (
        f"{table}.{name}" for table, names in one.lineage.items() for name in names
    )
    return said["made_of"].format(lineage=said["comma"].join(paths))


# --- the page -------------------------------------------------------------------------
def page_of(found: Releases, language: str = "en") -> str:
    """Return the page: a picture over time, then every message.

    One HTML file that opens from disk, without a script or an address.
    """
    environment = templates_of("hetao.report")
    environment.filters["time"] = time_text
    environment.filters["short"] = short_digest
    environment.filters["fields"] = lambda one: lineage_text(one, language)
    style = Path(__file__).with_name("leaving.css").read_text("utf-8")
    return environment.get_template("leaving.html.j2").render(
        found=found,
        said=WORDS[language],
        language=language,
        style=style,
        summary=summary(found, language),
        lanes=[
            (
                heading(course, language),
                [
                    (one, sentence(one, language), class_text(one, language))
                    for one in departures
                ],
            )
            for course, departures in lanes(found.departures)
        ],
        picture=timeline(found, language) if found.departures else None,
    )


def timeline(found: Releases, language: str = "en") -> Drawing:
    """Return a picture: a line a run, a mark a message at its time."""
    said, rows = WORDS[language], lanes(found.departures)
    height = TOP + LANE * len(rows) + 34
    title = said["title"].format(site=found.site)
    about = (same(title), same(said["about"]))
    drawing = Drawing("timeline", (WIDTH, height), about)
    times = [_seconds(one.at) for one in found.departures]
    low, high = min(times), max(times)
    scale = Scale(low, max(high, low + 1), LEFT + MARK, WIDTH - RIGHT - MARK)
    for number, (course, departures) in enumerate(rows):
        y = TOP + LANE * (number + 0.5)
        drawing.line((LEFT, y), (WIDTH - RIGHT, y), "lane")
        name = course.title or _nameless(course, said)
        drawing.text((0, y - 3), shortened(name, NAME_WIDTH), "name")
        drawing.text((0, y + 13), shortened(course.number, NAME_WIDTH), "small")
        places = _apart([scale.at(_seconds(one.at)) for one in departures])
        for one, x in zip(departures, places, strict=True):
            _mark(drawing, one, (x, y))
    base = TOP + LANE * len(rows)
    ends = {LEFT: (low, "start"), WIDTH - RIGHT: (high, "end")}
    for x, (at, kind) in ends.items():
        text = datetime.datetime.fromtimestamp(at, datetime.UTC)
        drawing.text((x, base + 18), f"{text:%Y-%m-%d %H:%M}", kind)
    return drawing


def _apart(places: list[float]) -> list[float]:
    """Move marks of nearly the same time apart, in their order, within the line."""
    gap = min(2 * MARK + 3, (WIDTH - RIGHT - LEFT - 2 * MARK) / len(places))
    moved = list(places)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    last = WIDTH - RIGHT - MARK
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], last - (len(moved) - 1 - i) * gap)
    return moved


def _mark(drawing: Drawing, one: Departure, at: tuple[float, float]) -> None:
    x, y = at
    if not one.has_left:
        for sign in (-1, 1):
            drawing.line(
                (x - MARK, y - sign * MARK), (x + MARK, y + sign * MARK), "refused"
            )
        return
    size = MARK if one.kind in SHARED else MARK / 2
    drawing.box((x - size, y - size), (2 * size, 2 * size), f"class-{one.released}")


def _seconds(at: str) -> float:
    return datetime.datetime.fromisoformat(at).timestamp()
