"""A neural network and how it is trained over sites, as a study declares it."""

from dataclasses import dataclass
from typing import Final

from hetao.errors import InvalidStudy

ACTIVATIONS: Final = ("tanh", "relu")
STRATEGY_TITLES: Final = {
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "scaffold": "SCAFFOLD",
}
MOST_LAYERS, MOST_UNITS = 8, 1000
MOST_TRAINING = 200  # rounds of training; each one is a message from every site
SPANS: Final = (
    ("rounds", 1, MOST_TRAINING),
    ("local_epochs", 1, 100),
    ("batch_size", 0, 1_000_000),
    ("lr", 1e-6, 100),
    ("server_lr", 1e-6, 100),
    ("mu", 0, 100),
    ("clip", 1e-6, 1000),  # the seal's fixed point has room for it
    ("validation", 0, 0.5),
    ("seed", 0, 2**32 - 1),
)


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron and its training; all of it is public.

    Attributes:
        layers: units of each hidden layer; none makes a logistic or linear regression.
        activation: of the hidden units, "tanh" or "relu".
        strategy: "fedavg"; "fedprox", which pulls a site's steps back to the common
            weights; "scaffold", which corrects them for how the site differs.
        rounds: of training, each of which sums one message of every site.
        local_epochs: how often a site goes through its people in a round.
        batch_size: most people behind one step; 0 takes all of a site's.
        lr: length of a step at a site, the learning rate.
        server_lr: how far the common weights follow the mean of the sites' updates.
        mu: FedProx's pull; 0 with the other strategies.
        clip: largest L2 norm of a site's update of the weights, and of a control
            variate; a longer one is shortened to it.
        validation: share of a site's people who are left out of training, for the
            loss among people that the network has not seen.
        seed: of the first weights, the order of people and who is left out.
    """

    layers: tuple[int, ...] = (8,)
    activation: str = "tanh"
    strategy: str = "fedavg"
    rounds: int = 20
    local_epochs: int = 1
    batch_size: int = 32
    lr: float = 0.5
    server_lr: float = 1.0
    mu: float = 0.0
    clip: float = 10.0
    validation: float = 0.0
    seed: int = 0

    @property
    def takes_one_step(self) -> bool:
        """Return whether a round is one step over all people, as on pooled rows.

        Then the pull and the corrections of sites that differ are 0 in the sum.
        """
        return self.local_epochs == 1 and self.batch_size == 0


def check_network(network: Network, where: str) -> None:
    """Refuse a network or a training that means nothing or would never end.

    Raises:
        InvalidStudy: the error names the field and what it may be.
    """
    place = f"{where}: network"
    if network.activation not in ACTIVATIONS:
        raise InvalidStudy(f"{place}: activation is one of " + ", ".join(ACTIVATIONS))
    if network.strategy not in STRATEGY_TITLES:
        raise InvalidStudy(f"{place}: strategy is one of " + ", ".join(STRATEGY_TITLES))
    if len(network.layers) > MOST_LAYERS:
        raise InvalidStudy(f"{place}: at most {MOST_LAYERS} hidden layers")
    for units in network.layers:
        if not 1 <= units <= MOST_UNITS:
            raise InvalidStudy(f"{place}: a layer has 1 to {MOST_UNITS} units")
    for name, least, most in SPANS:
        if not least <= getattr(network, name) <= most:  # also of NaN
            raise InvalidStudy(f"{place}: {name} lies in {least:g} to {most:g}")
    if (network.mu > 0) != (network.strategy == "fedprox"):
        raise InvalidStudy(
            f"{place}: mu is the pull of fedprox, and of it alone",
            fix="write mu above 0 with strategy = 'fedprox', or leave it out",
        )
    if network.lr * network.mu >= 1:
        raise InvalidStudy(
            f"{place}: steps of that length overshoot a pull of that mu",
            fix="keep lr times mu below 1",
        )
