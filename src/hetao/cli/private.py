"""`hetao site count`: how many people a study finds here, in counts with noise."""

import argparse
import json
import os
import sys
from typing import Any, Final

from hetao.cli.main import folder_for, say
from hetao.federation.clock import utc_now
from hetao.federation.self_service import Question, ask
from hetao.federation.site_file import read_site_file
from hetao.study import read_study
from hetao.whole import write_whole

WORDS: Final = {
    "en": {
        "title": "{title} at {site}: counts with noise, nothing exact",
        "few": "There are too few people here to say how many.",
        "step": "{label}: about {people} (± {margin})",
        "cells": "By {by}, each ± {margin}:",
        "cost": "Privacy loss of this answer ε = {epsilon:g}; of all answers so far "
        "{spent:g} of {of:g}. The margins hold in 19 of 20 counts.",
    },
    "zh-Hant": {
        "title": "{title}，{site}：加入雜訊的人數，並非準確數字",
        "few": "本院人數太少，不能說明有多少人。",
        "step": "{label}：約 {people} 人（± {margin}）",
        "cells": "按 {by} 分組，每組 ± {margin}：",
        "cost": "本次回答的私隱損失 ε = {epsilon:g}；至今所有回答合計 {spent:g}，上限 "
        "{of:g}。20 個人數中有 19 個在誤差範圍之內。",
    },
    "zh-Hans": {
        "title": "{title}，{site}：加入噪声的人数，并非准确数字",
        "few": "本机构人数太少，不能说明有多少人。",
        "step": "{label}：约 {people} 人（± {margin}）",
        "cells": "按 {by} 分组，每组 ± {margin}：",
        "cost": "本次回答的隐私损失 ε = {epsilon:g}；至今所有回答合计 {spent:g}，上限 "
        "{of:g}。20 个人数中有 19 个在误差范围之内。",
    },
}


def count(chosen: argparse.Namespace) -> int:
    """Answer a question of the site's own people, as far as its budget goes."""
    os.umask(0o077)
    study = read_study(chosen.study)
    setup = read_site_file(chosen.site).setup
    epsilon = chosen.epsilon or setup.policy.privacy.each
    answer = ask(setup, Question(study, tuple(chosen.by), epsilon), utc_now())
    if chosen.out is not None:
        folder_for(chosen.out.parent)
        text = json.dumps(answer.as_json(), ensure_ascii=False, indent=1)
        write_whole(chosen.out, (text + "\n").encode())
        say(f"{chosen.out}: the signed answer, which may leave the site")
    if chosen.json:
        sys.stdout.write(json.dumps(answer.as_json(), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(dict(answer.body), chosen.language)) + "\n")
    return 0


def _lines(body: dict[str, Any], language: str) -> list[str]:
    said = WORDS[language]
    lines = [said["title"].format(**body)]
    if not body["enough"]:
        lines.append(said["few"])
    for step in body["steps"]:
        shown = {**step, "people": max(0, step["people"])}
        lines.append("  " + said["step"].format(**shown))
    if body["cells"]:
        by = " × ".join(body["by"])
        lines.append(said["cells"].format(by=by, margin=body["margin"]))
    cells = [
        f"  {' / '.join(cell['levels'])}: {max(0, cell['people'])}"
        for cell in body["cells"]
    ]
    return [*lines, *cells, said["cost"].format(**body)]
