"""Parsers to fuzz: of licences, of time-stamps, of a log's files, of keys and plans."""

import argparse
import base64
import datetime
import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hetao.anchor import Stamp
from hetao.anchor.rfc3161 import Authority
from hetao.canonical import canonical
from hetao.cli import provenance
from hetao.cli.fit_fields import fields_of
from hetao.cli.permit import lent_by
from hetao.cli.watch import read_plan
from hetao.dossier import licence, sd_jwt
from hetao.errors import InvalidData, InvalidNetwork
from hetao.federation.network import log_of, network_of_site, way_of_site
from hetao.federation.showing import offices_shown
from hetao.ledger.log import Log
from hetao.ledger.merkle import leaf_hash, root
from hetao.ledger.note import Checkpoint
from hetao.ledger.proof import parse_proof
from hetao.ledger.status import append_lists, last_marks, snapshot
from hetao.notebook.formula import parse_formula
from hetao.permit import new_identity, read_identity, write_identity
from hetao.records import read_toml, record
from hetao.synth.sites import read_sites
from hetao.synth.world import read_world
from hetao.transparency.follower import hashes_between
from hetao.trial import Allocation, Opening, Plan, read_trial, verify_opening
from support_fuzz_run import a_run
from support_parsers import Parsers, of_file, of_object, of_text

NOW = datetime.datetime(2026, 11, 29, 8, tzinfo=datetime.UTC)
ROOT = bytes(range(32))
GRANT = """licensee = "Example Pharma (HK) Limited"
findings = ["model"]
purposes = ["HMB", "NPU"]
places = ["HK", "CN"]
starts = "2026-11-01T00:00:00Z"
ends = "2027-11-01T00:00:00Z"
conditions = "Cited as agreed."
"""
NETWORK = """[network]
home = "hub-hk"
folder = "kept"
hubs = { hub-hk = "https://127.0.0.1:8441", hub-sz = "https://127.0.0.1:8442" }
[keys]
sign = "a.sign.pem"
tls_certificate = "a.tls.pem"
tls_key = "a.tls.key"
tls_authority = "authorities.pem"
[log]
witnesses = "policy.txt"
[provenance]
open_to = ["ethics"]
"""
TRIAL = """name = "empa-gba"
[size]
endpoint = "survival"
hazard_ratio = 0.7
accrual = 24
after = 12
hazard = 0.03
[allocation]
arms = [["a", 1], ["b", 1]]
blocks = [2, 3]
places = 20
strata = [["site", ["hk", "sz"]]]
"""
WATCHED = """name = "device"
analysis = "rates"
group = "new"
rate = 0.02
most_expected = 20.0
ratio = 2.0
threshold = 3.0
"""
HOSPITALS = """[[sites]]
name = "harbour"
title = "Harbour Hospital"
side = "HK"
kind = "hospital"
profile = "ha-cdars"
share = 0.6
risk = 0.10
preference = -0.40
[[groups]]
name = "clinic"
title = "Clinic"
count = 2
side = "SZ"
kind = "clinic"
profile = "gba-special"
share = 0.2
skew = 0.5
risk = 0.0
preference = 0.1
"""
SAMPLE = {
    "type": "hetao.sample/1",
    "snapshot": "s",
    "extract": "sha256:" + "ab" * 32,
    "seed": "cd" * 32,
    "draws": 5,
}
OPENSSL = """[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[tsa]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = critical,timeStamping
[tsa_config]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""


def a_time_stamp() -> tuple[bytes, bytes]:
    """Return a token over ROOT by an authority of OpenSSL's, and its root."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "ts.cnf").write_text(OPENSSL)
        (here / "serial").write_text("01\n")
        (here / "data").write_bytes(ROOT)
        new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        ca = "-CA ca.pem -CAkey ca.key -days 8 -extfile ts.cnf -extensions tsa"
        for words in (
            f"req -x509 {new} -keyout ca.key -out ca.pem -subj /CN=Root -days 9"
            " -config ts.cnf -extensions ca",
            f"req -new {new} -keyout tsa.key -out tsa.csr -subj /CN=Authority",
            f"x509 -req -in tsa.csr {ca} -out tsa.pem",
            "ts -query -data data -sha256 -cert -out query",
            "ts -reply -config ts.cnf -section tsa_config -queryfile query"
            " -signer tsa.pem -inkey tsa.key -out reply",
        ):
            subprocess.run(
                ["openssl", *words.split()], cwd=here, check=True, capture_output=True
            )
        return (here / "reply").read_bytes(), (here / "ca.pem").read_bytes()


@functools.cache
def of_licences() -> Parsers:
    """Return the parsers of licences: their terms, one presented, one signed anew."""
    ran = a_run()[0]
    boss, certificate = ran.cast.identities["coordinator"], ran.value
    read_grant = of_file(licence.read_grant, "licence.toml")
    key = boss.signing_key
    with tempfile.TemporaryDirectory() as folder:
        place = parse_proof(certificate["log"]["proof"]).index
        terms = Path(folder) / "licence.toml"
        terms.write_text(GRANT)
        with Log.open(Path(folder) / "log", boss.name, key) as log:
            log.append([b"before"] * (place + 1))
            grant = licence.read_grant(terms)
            text = licence.issue(ran.certificate, grant, boss, log, NOW)
            marks = last_marks(log, boss.name, key.public_key())
            lists = append_lists(log, boss.name, key, marks, NOW)
            status = snapshot(log, lists)

    def checked(text: str) -> object:
        return licence.check(text, certificate, status, NOW)

    def signed_anew(claims: dict[str, Any]) -> object:
        return checked(sd_jwt.sign(claims, {}, [], key))

    shown = sd_jwt.read(text, key.public_key())
    said = {name: shown[name] for name in shown if name not in licence.HIDDEN}
    return {
        "terms of a licence": (read_grant, GRANT.encode()),
        "licence": (of_text(checked), text.encode()),
        "licence signed anew": (of_object(signed_anew), canonical(said)),
    }


@functools.cache
def of_readers() -> Parsers:
    """Return the parsers of what logs, authorities and files of keys give a reader."""
    leaves = [leaf_hash(b"%d" % i) for i in range(7)]
    old = Checkpoint("log.example", 3, root(leaves[:3]))
    new = Checkpoint("log.example", 7, root(leaves))
    token, authority = a_time_stamp()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (folder / "ca.pem").write_bytes(authority)
    one = write_identity(folder, new_identity("a")).read_bytes()
    trusted = Authority("", folder / "ca.pem")
    plan = Plan("t", (("a", 1), ("b", 1)), (2,), (), 8)
    allocation = Allocation(plan, b"\7" * 32)
    opening = allocation.open("", 3)

    def stamped(data: bytes) -> object:
        proof = base64.b64encode(data).decode()
        return trusted.verify(Stamp("rfc3161", ROOT.hex(), "", proof), ROOT)

    def opened(value: dict[str, Any]) -> object:
        told = record(Opening, value, "opening", InvalidData)
        verify_opening(allocation.commitment, told)
        return told

    return {
        "tile of a log": (
            lambda data: hashes_between(old, new, lambda _: data),
            b"".join(leaves),
        ),
        "time-stamp": (stamped, token),
        "roots of an authority": (
            of_file(lambda path: Authority("", path), "roots.pem"),
            authority,
        ),
        "key of a party": (of_file(read_identity, "a.sign.pem"), one),
        "opening of an allocation": (
            of_object(opened),
            canonical({**vars(opening), "proof": list(opening.proof)}),
        ),
    }


def dialled(path: Path) -> object:
    """Return what a site's file says of its network."""
    tables = read_toml(path, InvalidNetwork)
    network, keys = network_of_site(tables, path.name)
    way = way_of_site(network, keys, path)
    return way, log_of(tables, path.parent, path.name), offices_shown(path)


@functools.cache
def of_files() -> Parsers:
    """Return the parsers of networks, trials, plans of watching, and made-up places."""
    effects = Path(read_world.__code__.co_filename).with_name("effects.toml")
    return {
        "network of a site": (of_file(dialled, "site.toml"), NETWORK.encode()),
        "trial": (of_file(read_trial, "trial.toml"), TRIAL.encode()),
        "plan of watching": (of_file(read_plan, "watch.toml"), WATCHED.encode()),
        "made-up sites": (of_file(read_sites, "sites.toml"), HOSPITALS.encode()),
        "made-up effects": (of_file(read_world, "effects.toml"), effects.read_bytes()),
        "delegation in a file": (
            of_file(lent_by, "delegation.json"),
            canonical(a_run()[3].as_json()),
        ),
        "sample of acts": (
            of_file(provenance._read_sample, "sample.json"),
            canonical(SAMPLE),
        ),
        "field of an analysis": (
            of_text(lambda text: fields_of(argparse.Namespace(set=[text]))),
            b"grid={step=30,end=900}",
        ),
        "formula": (of_text(parse_formula), b"ill ~ age + sex:bmi + log(x)"),
    }
