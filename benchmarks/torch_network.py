"""Networks trained over sites against PyTorch: its loops, its gradients, its forward.

    pip install "hetao[torch]"; python benchmarks/torch_network.py

FedAvg, FedProx and SCAFFOLD stand here as plain torch, with gradients by autograd, on
the same sites. What is printed: how far the weights lie from ours, in parts of the
largest; how far a certified network as a module of torch lies from ours on raw columns;
and what a step costs with either.
"""

import functools
import hashlib
import time

import numpy as np
import torch

from hetao.analysis import estimator_for, make_rows, oracle
from hetao.notebook.torch_network import module_of
from hetao.study import Analysis, Level, Network, Study, Variable

SITES = ("north", "middle", "south", "island")
LOOPS = {
    "fedavg": Network((8, 4), rounds=5, local_epochs=3, lr=0.2),
    "fedprox": Network((8,), "relu", "fedprox", rounds=5, local_epochs=3, mu=0.3),
    "scaffold": Network((6,), strategy="scaffold", rounds=5, local_epochs=2, lr=0.2),
}
STEPS = 500


def study_of(network):
    """Return a study of made-up patients that asks for one network."""
    numbers = [
        Variable(name, "number", "column", column=name, bounds=(-5.0, 5.0))
        for name in ("a", "b", "c")
    ]
    levels = tuple(Level(name, name) for name in ("no", "yes"))
    ill = Variable("ill", "category", "column", column="ill", levels=levels)
    asked = Analysis(
        "net", "neural_network", outcome="ill", terms=("a", "b", "c"), network=network
    )
    return Study("t", "T", "Q", "1", "flat", SITES, (*numbers, ill), (asked,)), asked


def patients(seed, n):
    """Return columns of n made-up patients."""
    draw = np.random.default_rng(seed)
    columns = {name: draw.normal(0, 1, n).clip(-5, 5) for name in ("a", "b", "c")}
    risk = np.sin(2 * columns["a"]) + columns["b"] * columns["c"]
    return columns | {"ill": (draw.random(n) < 1 / (1 + np.exp(-risk))).astype(int)}


def words(key, n):
    """Return the public words that decide an order or the first weights."""
    data = hashlib.shake_256(f"hetao.network/1 {key}".encode()).digest(8 * n)
    return np.frombuffer(data, "<u8")


def tensor(array):
    """Return a tensor by way of a list, which any torch takes of any NumPy."""
    return torch.tensor(np.asarray(array).tolist(), dtype=torch.float64)


def loss_of(network, weights, X, y):
    """Return the mean cross entropy of a perceptron whose weights are one vector."""
    inside, at = X, 0
    layers = (*network.layers, 1)
    for place, units in enumerate(layers):
        matrix = weights[at : at + inside.shape[1] * units].reshape(-1, units)
        at += matrix.numel()
        inside = inside @ matrix
        if place + 1 < len(layers):
            bent = getattr(torch, network.activation)(inside)
            inside = torch.cat([torch.ones(len(X), 1, dtype=torch.float64), bent], 1)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    return entropy(inside[:, 0], y)


def gradient(network, weights, X, y):
    """Return autograd's gradient of the mean loss."""
    leaf = weights.clone().requires_grad_(True)
    return torch.autograd.grad(loss_of(network, leaf, X, y), leaf)[0]


def trained(network, parts, weights):
    """Return where the papers' loops end, by torch."""
    n = sum(len(y) for _, y in parts.values())
    common, own = 0.0, dict.fromkeys(parts, 0.0)
    for number in range(network.rounds):
        moved, controls = 0.0, {}
        for site, (X, y) in parts.items():
            mine = weights.clone()
            for epoch in range(network.local_epochs):
                key = f"order {network.seed} {site} {number} {epoch}"
                order = np.argsort(words(key, len(y)), kind="stable")
                for some in np.array_split(order, -(-len(y) // network.batch_size)):
                    chosen = torch.tensor(some.tolist())
                    step = gradient(network, mine, X[chosen], y[chosen])
                    step = step + network.mu * (mine - weights)
                    if network.strategy == "scaffold":
                        step = step + common - own[site]
                    mine = mine - network.lr * step
            moved = moved + len(y) / n * (mine - weights)
            controls[site] = gradient(network, weights, X, y)
        weights, own = weights + moved, controls
        common = sum(len(parts[s][1]) / n * c for s, c in controls.items())
    return weights


def seconds(call):
    """Return what one call costs, over many."""
    start = time.perf_counter()
    for _ in range(STEPS):
        call()
    return (time.perf_counter() - start) / STEPS


def main():
    """Print one line a strategy."""
    torch.set_num_threads(1)
    for name, network in LOOPS.items():
        study, asked = study_of(network)
        method = estimator_for(study, asked)
        data = {site: patients(i, 200 + 37 * i) for i, site in enumerate(SITES)}
        rows = {s: make_rows(method.plan, part, s) for s, part in data.items()}
        finding = oracle(study, asked, data).as_json()
        ours = np.concatenate([np.ravel(one) for one in finding["weights"]])
        first = method.form.first(network.seed)
        parts = {s: (tensor(r.X), tensor(r.y)) for s, r in rows.items()}
        theirs = np.array(trained(network, parts, tensor(first)).tolist())
        away = np.abs(ours - theirs).max() / np.abs(theirs).max()
        one = data[SITES[0]]
        raw = tensor(np.column_stack([one[k] for k in ("a", "b", "c")]))
        said = np.array(module_of(finding)(raw)[:, 0].tolist())
        off = np.abs(said - method.form.output(ours, rows[SITES[0]].X)).max()
        X, y = rows[SITES[0]].X[:32], rows[SITES[0]].y[:32]
        numpy_step = seconds(functools.partial(method.form.gradient, first, X, y))
        pair = (tensor(first), tensor(X), tensor(y))
        torch_step = seconds(functools.partial(gradient, network, *pair))
        print(
            f"{name}: weights {away:.1e} from torch {torch.__version__}, module "
            f"{off:.1e}; a step of 32 people {1e6 * numpy_step:.0f} µs by NumPy, "
            f"{1e6 * torch_step:.0f} µs by torch"
        )


if __name__ == "__main__":
    main()
