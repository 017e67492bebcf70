"""Networks trained over sites, against scikit-learn's perceptron.

Its own optimiser takes every step here, from weights that are put into it: on pooled
rows for gradient descent, and site by site for FedAvg, FedProx and SCAFFOLD, whose
loops stand below and share nothing with ours but the order in which people come.
"""

import hashlib

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor

import hetao as ht
from hetao.analysis import estimator_for, make_plan, make_rows, oracle
from hetao.canonical import parse_canonical
from hetao.federation.certify import recompute
from hetao.release import Policy
from hetao.study import Analysis, Minimum, Network
from support_analysis import SITES, TERMS, VARIABLES, people, split, study_of
from support_exactness import note

pytestmark = pytest.mark.held_to("scikit-learn's perceptron", "made up")

CUTS = (0.1, 0.32, 0.5, 0.83)
LOOPS = {
    "fedavg": Network((6, 3), rounds=3, local_epochs=3, batch_size=40, lr=0.3),
    "fedprox": Network(
        (5,),
        "relu",
        "fedprox",
        rounds=3,
        local_epochs=4,
        batch_size=64,
        mu=0.4,
        server_lr=0.7,
    ),
    "scaffold": Network(
        (4,),
        strategy="scaffold",
        rounds=4,
        local_epochs=2,
        batch_size=50,
        lr=0.2,
        seed=9,
    ),
}


class Sklearn:
    """One perceptron of scikit-learn that takes steps from weights it is given."""

    def __init__(self, network, inputs, is_binary):
        kind = MLPClassifier if is_binary else MLPRegressor
        self.net = kind(
            hidden_layer_sizes=network.layers,
            activation=network.activation,
            solver="sgd",
            alpha=0.0,
            learning_rate_init=network.lr,
            momentum=0.0,
            nesterovs_momentum=False,
            shuffle=False,
        )
        self.more = {"classes": [0, 1]} if is_binary else {}
        self.lr = network.lr
        self._step(np.zeros((2, inputs)), np.array([0, 1]))

    def _step(self, X, y):
        self.net.set_params(batch_size=len(y)).partial_fit(X, y, **self.more)

    def put(self, weights):
        at = 0
        for bias, matrix in zip(self.net.intercepts_, self.net.coefs_, strict=True):
            both = weights[at : at + bias.size + matrix.size].reshape(-1, bias.size)
            bias[...], matrix[...] = both[0], both[1:]
            at += both.size

    def weights(self):
        pairs = zip(self.net.intercepts_, self.net.coefs_, strict=True)
        return np.concatenate([np.vstack([b, m]).ravel() for b, m in pairs])

    def stepped(self, weights, X, y):
        self.put(weights)
        self._step(X, y)
        return self.weights()

    def gradient(self, weights, X, y):
        return (weights - self.stepped(weights, X, y)) / self.lr


def words(key, n):
    data = hashlib.shake_256(f"hetao.network/1 {key}".encode()).digest(8 * n)
    return np.frombuffer(data, "<u8")


def first(network, inputs):
    """Return Glorot's uniform draw from the seed's words."""
    sizes = [inputs, *(units + 1 for units in network.layers)]
    units = [*network.layers, 1]
    ends = [
        np.sqrt(6 / (a + b)) * np.ones(a * b) for a, b in zip(sizes, units, strict=True)
    ]
    most = np.concatenate(ends)
    shares = np.array(
        [int(w) >> 11 for w in words(f"weights {network.seed}", len(most))]
    )
    return most * (shares / 2**52 - 1)


def batches(network, site, number, epoch, n):
    key = f"order {network.seed} {site} {number} {epoch}"
    order = np.argsort(words(key, n), kind="stable")
    size = network.batch_size or n
    return np.array_split(order, -(-n // size))


# Nothing is withheld, so that the sums can be worked through again.
OPEN = Policy(
    Minimum(people=1, cell=1, events=1, share=1.0, leverage=1.0, sites=1),
    reason="made-up people",
)


def trained(network, parts, is_binary):
    """Return the weights that the three papers' loops end at.

    Args:
        network: as the study declares it.
        parts: site → (X without the intercept, y).
        is_binary: whether the outcome is one.
    """
    inputs = next(iter(parts.values()))[0].shape[1]
    sklearn = Sklearn(network, inputs, is_binary)
    weights = first(network, inputs + 1)
    n = sum(len(y) for _, y in parts.values())
    common = np.zeros_like(weights)
    own = {site: np.zeros_like(weights) for site in parts}
    for number in range(network.rounds):
        moved, controls = np.zeros_like(weights), {}
        for site, (X, y) in parts.items():
            mine = weights
            for epoch in range(network.local_epochs):
                for chosen in batches(network, site, number, epoch, len(y)):
                    after = sklearn.stepped(mine, X[chosen], y[chosen])
                    after = after - network.lr * network.mu * (mine - weights)
                    if network.strategy == "scaffold":
                        after = after - network.lr * (common - own[site])
                    mine = after
            moved += len(y) / n * (mine - weights)
            controls[site] = sklearn.gradient(weights, X, y)
        weights = weights + network.server_lr * moved
        own = controls
        common = sum(len(parts[s][1]) / n * c for s, c in controls.items())
    return weights


def asked(network, outcome):
    analysis = Analysis(
        "net", "neural_network", outcome=outcome, terms=TERMS, network=network
    )
    return study_of(VARIABLES, analysis), analysis


def design(study, analysis, columns, site=SITES[0]):
    rows = make_rows(make_plan(study, analysis), columns, site)
    return rows.X[:, 1:], rows.y


def found(finding):
    return np.concatenate([np.ravel(one) for one in finding.as_json()["weights"]])


def distance(finding, reference):
    """Return the largest difference of a weight, in parts of the largest weight."""
    away = float(np.abs(found(finding) - reference).max() / np.abs(reference).max())
    note("neural_network", finding.as_json()["rounds"], away, None)
    return away


@pytest.mark.parametrize("outcome", ["ill", "score"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_one_step_of_all_people_is_descent_on_pooled_rows(activation, outcome):
    network = Network((5, 3), activation, rounds=25, batch_size=0, lr=0.5)
    study, analysis = asked(network, outcome)
    columns = people(11, 900)
    X, y = design(study, analysis, columns)
    sklearn = Sklearn(network, X.shape[1], outcome == "ill")
    weights = first(network, X.shape[1] + 1)
    for _ in range(network.rounds):
        weights = sklearn.stepped(weights, X, y)

    finding = oracle(study, analysis, split(columns, CUTS))

    assert distance(finding, weights) < 1e-12


@pytest.mark.parametrize("outcome", ["ill", "score"])
@pytest.mark.parametrize("strategy", LOOPS)
def test_many_local_steps_are_the_papers_loop_on_the_same_sites(strategy, outcome):
    study, analysis = asked(LOOPS[strategy], outcome)
    parts = split(people(12, 500), CUTS)
    rows = {site: design(study, analysis, part, site) for site, part in parts.items()}
    reference = trained(LOOPS[strategy], rows, outcome == "ill")

    finding = oracle(study, analysis, parts)

    assert distance(finding, reference) < 1e-9
    assert finding.as_json()["clipped_rounds"] == 0


def test_a_network_without_layers_descends_to_logistic_regression():
    network = Network((), rounds=200, batch_size=0, lr=2.5)
    study, analysis = asked(network, "ill")
    analysis = Analysis(**{**vars(analysis), "terms": ("sex", "grade")})
    columns = people(13, 600)
    logistic = Analysis("a", "logistic", outcome="ill", terms=("sex", "grade"))

    finding = oracle(study, analysis, split(columns, CUTS)).as_json()
    terms = oracle(study, logistic, {"aa": columns}).as_json()["terms"]

    scale = [one["scale"] for one in finding["inputs"]]
    slopes = np.ravel(finding["weights"]) / scale
    theirs = [term["estimate"] for term in terms]
    assert slopes[1:] == pytest.approx(theirs[1:], abs=1e-5)


def test_a_fit_goes_the_whole_way_and_is_found_again_from_its_sums(tmp_path):
    columns = people(14, 600)
    columns["age"] = np.nan_to_num(columns["age"], nan=50.0)
    frames = {
        site: {k: part[k] for k in ("age", "sex", "chol", "ill")}
        for site, part in split(columns, (0.3, 0.6), SITES[:3]).items()
    }
    frames = {site: pd.DataFrame(part) for site, part in frames.items()}
    formula = "ill ~ age + C(sex) + log(chol)"
    network = {"layers": [2], "rounds": 3, "strategy": "scaffold", "validation": 0.2}

    result = ht.fit("neural_network", formula, frames, network=network, policy=OPEN)

    body = parse_canonical(result.certificate)
    assert recompute(body).startswith("1 findings follow")
    assert list(result.losses().columns) == ["loss", "validation_loss"]
    assert len(result.losses()) == 4
    assert result.losses()["loss"].iloc[-1] < result.losses()["loss"].iloc[0]
    assert 0 < result.frame().loc["auc", "estimate"] < 1
    picture = result.pictures()[0]
    assert picture.title == "fit: mean loss before each round and after"
    result.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "the weights depend on how people are spread over the sites" in page
    assert "SCAFFOLD" in page
    assert "Loss of those left out" in page


def test_a_network_is_measured_in_the_people_left_out():
    network = Network((4,), rounds=15, validation=0.3, lr=1.0)
    study, analysis = asked(network, "ill")
    method = estimator_for(study, analysis)
    parts = split(people(15, 1200), CUTS)
    finding = oracle(study, analysis, parts)
    terms = {t["name"]: t["estimate"] for t in finding.as_json()["terms"]}
    y, p = [], []
    for site, part in parts.items():
        rows = make_rows(method.plan, part, site)
        n = rows.n
        order = np.argsort(words(f"order 0 {site} validation", n), kind="stable")
        held = np.sort(order[: int(0.3 * n)])
        logit = method.form.output(found(finding), rows.X[held])
        y.append(rows.y[held])
        p.append(1 / (1 + np.exp(-logit)))
    y, p = np.concatenate(y), np.concatenate(p)

    assert terms["brier"] == pytest.approx(brier_score_loss(y, p), rel=1e-12)
    auc = finding.as_json()["auc"]
    assert auc["least"] <= roc_auc_score(y, p) <= auc["most"]
    assert finding.as_json()["n"] == len(y)
    assert finding.as_json()["validation_loss"][-1] == pytest.approx(log_loss(y, p))
