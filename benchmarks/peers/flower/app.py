"""A Flower app: each site improves the weights at home, the server averages them.

`local` says how: "sklearn" is one pass of scikit-learn's L-BFGS with its usual l2
penalty, as in Flower's quickstart; "gradient" is one step along the mean gradient,
whose only resting point is the pooled maximum.
"""

import json
import time
import warnings
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from sklearn.linear_model import LogisticRegression

FEATURES = 6
server = ServerApp()
client = ClientApp()


def passed(x, y, weights):
    """Return the weights after one pass of scikit-learn's."""
    model = LogisticRegression(max_iter=1, warm_start=True)
    model.classes_ = np.array([0, 1])
    model.coef_, model.intercept_ = weights[None, 1:].copy(), weights[:1].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one pass never converges
        model.fit(x, y)
    return np.concatenate([model.intercept_, model.coef_.ravel()])


def stepped(x, y, weights, rate):
    """Return the weights one step along the mean gradient away."""
    full = np.hstack([np.ones((len(x), 1)), x])
    chance = 1 / (1 + np.exp(-full @ weights))
    return weights + rate * full.T @ (y - chance) / len(y)


@client.train()
def train(asked: Message, context: Context) -> Message:
    """Answer one round."""
    words = context.run_config
    number = int(context.node_config["partition-id"]) + 1
    path = Path(str(words["data"])) / f"site-{number}.csv"
    rows = np.loadtxt(path, delimiter=",", skiprows=1)
    weights = asked.content["arrays"].to_numpy_ndarrays()[0]
    y, x = rows[:, 0], rows[:, 1:]
    if words["local"] == "sklearn":
        better = passed(x, y, weights)
    else:
        better = stepped(x, y, weights, float(words["rate"]))
    counted = MetricRecord({"num-examples": len(rows)})
    content = RecordDict({"arrays": ArrayRecord([better]), "metrics": counted})
    return Message(content=content, reply_to=asked)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds and keep the weights."""
    words = context.run_config
    sites = {"fraction_evaluate": 0.0, "min_train_nodes": 4, "min_available_nodes": 4}
    strategy = FedAvg(**sites)
    while len(list(grid.get_node_ids())) < 4:  # the sites are still on their way
        time.sleep(0.1)
    begun = time.time()
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord([np.zeros(FEATURES + 1)]),
        num_rounds=int(words["rounds"]),
    )
    found = {
        "estimate": result.arrays.to_numpy_ndarrays()[0].tolist(),
        "rounds": int(words["rounds"]),
        "seconds": time.time() - begun,
    }
    Path(str(words["out"])).write_text(json.dumps(found))
