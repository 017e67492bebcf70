"""What is run: who, on which rows, in which setting, by which command."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peers.data import DIALYSIS, GROUPS, HEART
from peers.environments import PEERS, ready

HERE = Path(__file__).parent
HEART_ROWS, DIALYSIS_ROWS = ("heart", "hospital"), ("dialysis", "center")


@dataclass(frozen=True)
class Places:
    """Where a run finds and leaves things.

    Attributes:
        data: what `data.write` wrote.
        cache: environments and sources of peers.
        work: an empty folder of the run's own.
        answer: the file in which it leaves its answer.
    """

    data: Path
    cache: Path
    work: Path
    answer: Path


@dataclass(frozen=True)
class Run:
    """One program in one setting.

    Attributes:
        name: unique.
        who: its group, for `--only`: hetao, floor, or a peer.
        task: logistic, cox (risk sets within centres), cox-whole or km.
        setting: in words, for the table.
        sites: how many.
        command: places → the command line.
        seconds: after which it is stopped.
        kind: "recommended" by its makers, "best" that was found, or "" where there is
            one.
    """

    name: str
    who: str
    task: str
    setting: str
    sites: int
    command: Callable[[Places], list[str]]
    seconds: float = 240.0
    kind: str = ""

    @property
    def program(self) -> str:
        """Return the program's name with its version."""
        if self.who in PEERS:
            return PEERS[self.who].name
        return {
            "hetao": "Hetao",
            "r": "R, pooled",
            "statsmodels": "statsmodels, pooled",
        }[self.who]


def _hetao(model, formula, rows, *words):
    name, site = rows

    def command(at):
        policy = at.work / "policy.toml"
        policy.write_text(POLICY, "utf-8")
        fit = [sys.executable, "-m", "hetao.cli", "fit", model, formula]
        fit += ["--data", str(at.data / f"{name}.csv"), "--split-by", site, *words]
        return [*fit, "--policy", str(policy), "--out", str(at.answer), "--json"]

    return command


POLICY = """reason = "public research data"
[minimum]
people = 1
cell = 1
events = 1
share = 10.0
leverage = 1.0
sites = 1
"""


def _floor(program, script, task):
    rows = "heart" if task == "logistic" else "dialysis"

    def command(at):
        path = at.data / f"{rows}.csv"
        return [program, str(HERE / script), task, str(path), str(at.answer)]

    return command


def _peer(who, script, *words):
    """Return a command in a peer's environment; words are filled in from the places."""

    def command(at):
        python = ready(who, at.cache)
        here = {
            "data": at.data,
            "sources": at.cache / "sources",
            "work": at.work,
            "answer": at.answer,
            "here": HERE,
        }
        return [str(python), str(HERE / script), *(w.format(**here) for w in words)]

    return command


def _nvflare_logistic(rounds, damping, weight):
    words = ("logistic", "{data}/heart", "4", "{work}", "{answer}")
    return _peer("nvflare", "nvflare_job.py", *words, rounds, damping, weight)


def _flower(mode, rounds, local, rate):
    config = (
        "data='{data}/heart' out='{answer}' "
        f"rounds={rounds} local='{local}' rate={rate}"
    )
    return _peer(
        "flower", "flower_net.py", mode, "{here}/flower", "4", "{work}", config
    )


def _tno(*words):
    return _peer("tno", "tno_parties.py", *words)


def _vantage6(noise):
    words = ("{data}/dialysis", "{sources}", noise, "{answer}")
    return _peer("vantage6", "vantage6_km.py", *words)


_COX = ("cox", DIALYSIS, DIALYSIS_ROWS)
RUNS = (
    Run(
        "hetao-logistic",
        "hetao",
        "logistic",
        "processes, TLS, two hubs",
        4,
        _hetao("logistic", HEART, HEART_ROWS),
    ),
    Run(
        "r-logistic",
        "r",
        "logistic",
        "`glm`",
        1,
        _floor("Rscript", "floor.R", "logistic"),
    ),
    Run(
        "statsmodels-logistic",
        "statsmodels",
        "logistic",
        "`Logit`, Newton",
        1,
        _floor(sys.executable, "floor.py", "logistic"),
    ),
    Run(
        "nvflare-logistic",
        "nvflare",
        "logistic",
        "simulator; its example's 5 rounds, damping 0.8",
        4,
        _nvflare_logistic("5", "0.8", "rows"),
        kind="recommended",
    ),
    Run(
        "nvflare-logistic-long",
        "nvflare",
        "logistic",
        "simulator; 20 rounds, damping 1",
        4,
        _nvflare_logistic("20", "1.0", "rows"),
        kind="more rounds",
    ),
    Run(
        "nvflare-logistic-best",
        "nvflare",
        "logistic",
        "simulator; 10 rounds, damping 1, every client says weight 1",
        4,
        _nvflare_logistic("10", "1.0", "one"),
        kind="best",
    ),
    Run(
        "flower-logistic",
        "flower",
        "logistic",
        "Ray; FedAvg, its quickstart's 25 rounds of one L-BFGS pass with l2",
        4,
        _flower("simulation", 25, "sklearn", 1.0),
        kind="recommended",
    ),
    Run(
        "flower-logistic-best",
        "flower",
        "logistic",
        "Ray; FedAvg, 25 rounds of one gradient step of length 6",
        4,
        _flower("simulation", 25, "gradient", 6.0),
        kind="best",
    ),
    Run(
        "tno-logistic",
        "tno",
        "logistic",
        "processes over HTTP; its usual 25 rounds",
        4,
        _tno("logistic", "{data}/heart", "{answer}", "25", "rows"),
        kind="recommended",
    ),
    Run(
        "tno-logistic-best",
        "tno",
        "logistic",
        "the same; 8 rounds, every client says weight 1",
        4,
        _tno("logistic", "{data}/heart", "{answer}", "8", "one"),
        kind="best",
    ),
    Run(
        "hetao-cox",
        "hetao",
        "cox",
        "processes, TLS, two hubs",
        67,
        _hetao(*_COX, "--strata", "site"),
    ),
    Run("r-cox", "r", "cox", "`coxph`", 1, _floor("Rscript", "floor.R", "cox")),
    Run(
        "statsmodels-cox",
        "statsmodels",
        "cox",
        "`PHReg`",
        1,
        _floor(sys.executable, "floor.py", "cox"),
    ),
    Run(
        "hetao-cox-whole",
        "hetao",
        "cox-whole",
        "processes, TLS, two hubs; a public grid of months",
        67,
        _hetao(*_COX),
    ),
    Run(
        "r-cox-whole",
        "r",
        "cox-whole",
        "`coxph`",
        1,
        _floor("Rscript", "floor.R", "cox-whole"),
    ),
    Run(
        "tno-cox",
        "tno",
        "cox-whole",
        "processes over HTTP; 10 rounds as in its own test, 44 even bins",
        67,
        _tno("cox", "{data}/dialysis", "{answer}", "10", "rows", "default"),
        kind="recommended",
    ),
    Run(
        "tno-cox-best",
        "tno",
        "cox-whole",
        "the same; 12 rounds, every client says weight 1, a bin a month",
        67,
        _tno("cox", "{data}/dialysis", "{answer}", "12", "one", "months"),
        kind="best",
    ),
    Run(
        "hetao-km",
        "hetao",
        "km",
        "processes, TLS, two hubs",
        67,
        _hetao("km", "Surv(time, event) ~ 1", DIALYSIS_ROWS),
    ),
    Run("r-km", "r", "km", "`survfit`", 1, _floor("Rscript", "floor.R", "km")),
    Run(
        "statsmodels-km",
        "statsmodels",
        "km",
        "`SurvfuncRight`",
        1,
        _floor(sys.executable, "floor.py", "km"),
    ),
    Run(
        "nvflare-km",
        "nvflare",
        "km",
        "simulator; histograms by month, centres in five groups",
        GROUPS,
        _peer(
            "nvflare",
            "nvflare_job.py",
            "km",
            f"{{data}}/dialysis-{GROUPS}",
            str(GROUPS),
            "{work}",
            "{answer}",
            str(GROUPS),
        ),
        kind="recommended",
    ),
    Run(
        "vantage6-km",
        "vantage6",
        "km",
        "mock client, one process; its usual noise",
        67,
        _vantage6("default"),
        kind="recommended",
    ),
    Run(
        "vantage6-km-best",
        "vantage6",
        "km",
        "mock client, one process; noise off",
        67,
        _vantage6("NONE"),
        kind="best",
    ),
)
