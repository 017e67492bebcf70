"""TNO's federated logistic and Cox regression over HTTP, each party its own process.

    python tno_parties.py logistic DATA OUT ROUNDS WEIGHT
    python tno_parties.py cox DATA OUT ROUNDS WEIGHT BINS

Parties are forked after the libraries are loaded once. `WEIGHT` is "rows", which is
what the packages do, or "one": a client that says 1 instead of its number of rows, so
that the server's weighted average of sums becomes their plain average.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from tno.fl.protocols.cox_regression.client import Client as CoxClient
from tno.fl.protocols.cox_regression.server import Server as CoxServer
from tno.fl.protocols.logistic_regression.client import Client
from tno.fl.protocols.logistic_regression.server import Server
from tno.mpc.communication import Pool

PORT = 21500
SERVER = "server"
LAST_MONTH = 44
START = time.time()


def pool_for(number, names):
    """Return the pool of one party: the server knows all, a client the server."""
    pool = Pool()
    pool.add_http_server(addr="127.0.0.1", port=PORT + number)
    others = range(1, len(names)) if number == 0 else [0]
    for other in others:
        pool.add_http_client(name=names[other], addr="127.0.0.1", port=PORT + other)
    return pool


def one(solver):
    """Have a client weigh as much as any other."""

    async def weight(data, target):
        del data, target
        return 1

    solver._compute_local_weight = weight  # noqa: SLF001 - there is no setting


async def serve(pool, what, rounds, bins):
    """Be the server."""
    if what == "logistic":
        await Server(pool, max_iter=rounds).run()
    elif bins == "default":
        await CoxServer(pool, n_time_bins=LAST_MONTH + 1, max_iter=rounds).run()
    else:
        edges = np.arange(1.0, LAST_MONTH + 2)  # a bin a month, each by itself
        edges[0] = 0.0
        server = CoxServer(pool, n_time_bins=len(edges), max_iter=rounds)
        await server.run(time_bins=edges)


async def take_part(pool, path, what, rounds, weight):
    """Be a client; return the model."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1)
    if what == "logistic":
        client = Client(pool, max_iter=rounds, server_name=SERVER)
        if weight == "one":
            one(client)
        x = np.hstack([np.ones((len(rows), 1)), rows[:, 1:]])
        return await client.run(x, rows[:, 0])
    client = CoxClient(pool, max_iter=rounds, server_name=SERVER)
    if weight == "one":
        one(client.log_reg_solver)
    model = await client.run(rows[:, 2:].copy(), rows[:, 0], rows[:, 1] > 0)
    return model[: client.n_covariates_]


async def party(number, names, files, words):
    """Run one party to its end."""
    what, out, rounds, weight, bins = words
    pool = pool_for(number, names)
    await asyncio.sleep(1.0)  # every party has opened its port
    begun = time.time()
    if number == 0:
        await serve(pool, what, rounds, bins)
    else:
        model = await take_part(pool, files[number - 1], what, rounds, weight)
        if number == 1:
            found = {
                "estimate": model.tolist(),
                "rounds": rounds,
                "seconds": time.time() - begun,
                "before": begun - START,
            }
            Path(out).write_text(json.dumps(found))
    await asyncio.sleep(1.0)  # the last answers are on their way
    await pool.shutdown()


def main(what, data, out, rounds, weight, bins=""):
    """Fork the parties and wait for them."""
    files = sorted(Path(data).glob("site-*.csv"))
    names = [SERVER, *(path.stem for path in files)]
    words = (what, out, int(rounds), weight, bins)
    started = []
    for number in range(len(names)):
        child = os.fork()
        if not child:
            asyncio.run(party(number, names, files, words))
            os._exit(0)
        started.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in started)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
