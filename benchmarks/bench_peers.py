"""Hetao beside NVFLARE, Flower, TNO, vantage6, R and statsmodels, on the same data.

    python benchmarks/bench_peers.py [--only hetao,flower,cpu] [--cache DIR] [--page]

Every run is a command of its own in a network of its own, measured from outside: wall
time, processor time of all its processes, bytes between them; its answer is compared
with R's pooled fit. Peers are installed in environments of their own under `--cache`,
by pinned version. Runs are kept one by one in `figures.json` there, so that some may be
repeated; `--page` only writes `docs/benchmarks/peers.md`, its picture and its figures
anew. A peer that cannot be had or does not end is reported as not run, with the reason.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# One thread each: processes share the processors.
BLAS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
os.environ.update(dict.fromkeys(BLAS, "1"))

from peers import cox_cpu, data, page  # noqa: E402
from peers.distance import in_errors, nvflare_seconds, of_curves  # noqa: E402
from peers.environments import PEERS, Missing  # noqa: E402
from peers.runs import HERE, RUNS, Places  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "out" / "bench-peers"
DOCS = ROOT / "docs" / "benchmarks"
WHO = ("r", "statsmodels", "hetao", *PEERS)


def say(text):
    """Print a line at once."""
    print(text, flush=True)


def answer_of(run, path, log):
    """Return what a run found: terms or a curve, rounds, seconds of the rounds."""
    if run.who != "hetao":
        found = json.loads(path.read_text("utf-8"))
        if run.who == "nvflare":
            found["seconds"] = nvflare_seconds(log)
        return found
    results = json.loads((path / "findings.json").read_text("utf-8"))
    body = json.loads(log.splitlines()[-1])
    found = {"rounds": body["rounds"], "seconds": sum(results["seconds"].values())}
    if "curves" in body:
        curve = body["curves"][0]
        return found | {"time": curve["time"], "survival": curve["survival"]}
    return found | {"estimate": [term["estimate"] for term in body["terms"]]}


def distance(run, found, pooled):
    """Return how far an answer lies from the pooled one."""
    if run.task == "km":
        return of_curves(found, pooled)
    return in_errors(found["estimate"], pooled["pooled"])


def carried_out(run, cache, pooled):
    """Carry one run out; return what is kept of it.

    Args:
        run: which.
        cache: where data, environments and sources lie.
        pooled: task → R's answer, filled in by R's own runs.
    """
    kept = {
        "name": run.name,
        "who": run.who,
        "program": run.program,
        "task": run.task,
        "setting": run.setting,
        "kind": run.kind,
        "sites": run.sites,
        "when": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "load": round(os.getloadavg()[0], 1),
    }
    with tempfile.TemporaryDirectory(prefix="hetao-peers-") as name:
        work = Path(name)
        at = Places(cache / "data", cache, work, work / "answer")
        figures, log = work / "figures.json", work / "log"
        try:
            command = run.command(at)
        except Missing as missing:
            return kept | {"not_run": str(missing)}
        meter = [sys.executable, HERE / "meter.py", figures, run.seconds, *command]
        errors = cache / f"{run.name}.errors"
        with log.open("wb") as out, errors.open("wb") as err:
            subprocess.run(
                [str(word) for word in meter],
                stdout=out,
                stderr=err,
                cwd=HERE
                if run.who == "nvflare"
                else work,  # it looks for scripts there
                check=True,
            )
        said = log.read_text("utf-8", "replace")
        shutil.copy(log, cache / f"{run.name}.log")
        kept |= json.loads(figures.read_text("utf-8"))
        if kept["late"]:
            return kept | {"not_run": f"not done after {run.seconds:.0f} s"}
        if kept["status"] or not at.answer.exists():
            return kept | {"not_run": f"it ended with {kept['status']}, no answer"}
        found = answer_of(run, at.answer, said)
    if run.who == "r":
        pooled[run.task] = found
        (cache / f"pooled-{run.task}.json").write_text(json.dumps(found), "utf-8")
    try:
        kept["distance"] = distance(run, found, pooled[run.task])
    except ValueError as error:
        return kept | {"not_run": str(error)}
    for word in ("rounds", "seconds", "processor"):
        kept[word] = found.get(word)
    return kept


def known(cache):
    """Return what earlier calls kept: the runs by name, and R's pooled answers."""
    path = cache / "figures.json"
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {"runs": {}}
    pooled = {
        path.stem.removeprefix("pooled-"): json.loads(path.read_text("utf-8"))
        for path in cache.glob("pooled-*.json")
    }
    return kept, pooled


def main():
    """Run what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", default="", help="some of " + ", ".join((*WHO, "cpu"))
    )
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--page", action="store_true", help="run nothing")
    chosen = parser.parse_args()
    cache = chosen.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    only = {word for word in chosen.only.split(",") if word}
    kept, pooled = known(cache)
    if not chosen.page:
        data.write(cache / "data")
        order = sorted(RUNS, key=lambda run: WHO.index(run.who))
        for run in order:
            names = {run.who, run.name}
            if only and not only & names:
                continue
            kept["runs"][run.name] = carried_out(run, cache, pooled)
            say(page.line(kept["runs"][run.name]))
            (cache / "figures.json").write_text(json.dumps(kept, indent=1), "utf-8")
        if not only or "cpu" in only:
            kept["cpu"] = cox_cpu.measured(cache / "data" / "dialysis.csv")
            say(page.cpu_line(kept["cpu"]))
            (cache / "figures.json").write_text(json.dumps(kept, indent=1), "utf-8")
    DOCS.mkdir(parents=True, exist_ok=True)
    ordered = [kept["runs"][r.name] for r in RUNS if r.name in kept["runs"]]
    page.write(ordered, kept.get("cpu"), DOCS)
    say(f"{DOCS / 'peers.md'} is written")


if __name__ == "__main__":
    main()
