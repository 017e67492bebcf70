"""Readers' policies over a certificate that witnesses saw: texts that hold and not."""

import base64
import hashlib
import random
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.canonical import canonical, digest
from hetao.ledger.note import (
    COSIGNATURE,
    LOG_SIGNATURE,
    SUBTREE,
    CosigningKey,
    cosign,
    vkey,
)
from hetao.ledger.proof import parse_proof
from support_federation import Ran, restated

WHEN = 1_700_000_000


def _ed(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed * 32)


def _ml(seed: bytes) -> MLDSA44PrivateKey:
    return MLDSA44PrivateKey.from_seed_bytes(seed * 32)


# name in policies → the name that it signs by, and its key
EYES: dict[str, tuple[str, CosigningKey]] = {
    "hk": ("hk.example", _ed(b"1")),
    "sz": ("sz.example", _ed(b"2")),
    "uni": ("uni.example", _ml(b"3")),
    "never": ("never.example", _ed(b"4")),
    "absent": ("absent.example", _ml(b"5")),
    "posing": ("hub-hk", _ed(b"6")),  # a party's name, and a key of its own
}
BLIND = ("never", "absent")  # they signed nothing
BESIDE = _ml(b"7")  # a second key of the log


def with_lines(run: Ran, lines: str) -> bytes:
    """Return a certificate under whose checkpoint its issuer put more lines."""
    value = run.value
    return with_log(run, proof=value["log"]["proof"] + lines)


def with_log(run: Ran, **parts: str) -> bytes:
    """Return a certificate that its issuer signed with other parts of its log."""
    value = run.value
    log = {**value["log"], **parts}
    boss = run.cast.identities["coordinator"]
    signed = {"type": "hetao.signed-certificate/1", "body": digest(value["body"])}
    said = restated(run, {"body": {}}, boss.name, **signed, log=log)
    return canonical({**value, "log": log, "signature": said["signature"]})


def _kind(key: CosigningKey) -> int:
    return SUBTREE if isinstance(key, MLDSA44PrivateKey) else COSIGNATURE


def keys_of(run: Ran) -> dict[str, str]:
    """Return every vkey that the policies name: of the log, its like, and witnesses."""
    people = run.cast.directory
    boss = people["coordinator"].sign_key
    hub = people["hub-hk"].sign_key
    other = _ed(b"8").public_key()
    return {
        "LOG": vkey("coordinator", boss),
        "BESIDE": vkey("coordinator", BESIDE.public_key(), SUBTREE),
        "UNSAID": vkey("coordinator", _ml(b"9").public_key(), SUBTREE),
        "OTHERKEY": vkey("coordinator", other),
        "OTHERLOG": vkey("other.example", other, LOG_SIGNATURE),
        "HUB": vkey("hub-hk", hub, COSIGNATURE),
        "HUBSZ": vkey("hub-sz", people["hub-sz"].sign_key, COSIGNATURE),
        "MASKED": vkey("masked.example", hub, COSIGNATURE),
        **{
            name.upper(): vkey(by, key.public_key(), _kind(key))
            for name, (by, key) in EYES.items()
        },
    }


def seen_by_all(run: Ran) -> bytes:
    """Return a certificate under whose checkpoint each of EYES signed but the blind.

    Beside them a hub signed by another name, and the log by a second key.
    """
    note = parse_proof(run.value["log"]["proof"]).note
    eyes = [pair for name, pair in EYES.items() if name not in BLIND]
    eyes.append(("masked.example", run.cast.identities["hub-hk"].signing_key))
    lines = [cosign(note, name, key, WHEN) for name, key in eyes]
    return with_lines(run, "".join([*lines, cosign(note, "coordinator", BESIDE, 0)]))


def bent_line(run: Ran) -> bytes:
    """Return a certificate under which a line of `sz` does not hold."""
    note = parse_proof(run.value["log"]["proof"]).note
    head, data = cosign(note, *EYES["sz"], WHEN).rsplit(" ", 1)
    bent = data[:40] + ("A" if data[40] != "A" else "B") + data[41:]
    return with_lines(run, cosign(note, *EYES["hk"], WHEN) + f"{head} {bent}")


THREE = """log LOG
witness hk HK
witness sz SZ
witness uni UNI
"""
USUAL = THREE + "group hongkong any hk\ngroup shenzhen any sz\n"
USUAL += "group independent any uni\ngroup both all hongkong shenzhen\n"
USUAL += "group all all both independent\nquorum all\n"
MORE = "witness never NEVER\nwitness absent ABSENT\n"
# name → text, in which words in capitals stand for keys; what is None is not met
MET = {
    "usual": USUAL,
    "nobody is asked": "log LOG\nquorum none\n",
    "nobody is asked, and three came": THREE + "quorum none\n",
    "one": THREE + "quorum hk\n",
    "one by ML-DSA-44": THREE + "quorum uni\n",
    "two of three": THREE + MORE + "group g 2 never hk uni\nquorum g\n",
    "any of three": THREE + MORE + "group g any never absent hk\nquorum g\n",
    "deep": THREE
    + MORE
    + "group a any hk never\ngroup b all sz\ngroup c 2 a b absent\n"
    "group d 1 c uni\ngroup e all d\nquorum e\n",
    "a group that nobody asks for is not met": THREE
    + MORE
    + "group g all never absent\nquorum sz\n",
    "quorum before a later line": THREE + "quorum hk\ngroup g any sz\n",
    "both keys of the log": "log LOG\nlog BESIDE\nwitness hk HK\nquorum hk\n",
    "the second key alone": "log BESIDE\nwitness hk HK\nquorum hk\n",
    "a key of each kind": "log LOG\nlog BESIDE\nlog UNSAID\nlog OTHERKEY\n"
    "quorum none\n",
    "another log too": "log OTHERLOG\n" + USUAL,
    "addresses": "log LOG https://log.example\n"
    "witness hk HK https://w.example/\nquorum hk\n",
    "tabs and spaces": "\tlog  \t LOG \n\n  \t\nwitness\thk\tHK\t\n quorum hk   \n",
    "remarks": "# 深圳\n  #quorum none\n" + USUAL,
    "odd names": THREE + "group #\u3000\u202e\u00a0深 any hk\n"
    "quorum #\u3000\u202e\u00a0深\n",
    "names as words": "log LOG\nwitness log HK\nwitness quorum SZ\n"
    "group all all log quorum\ngroup any 1 all\nquorum any\n",
    "names of every object": "log LOG\nwitness __proto__ HK\nwitness toString SZ\n"
    "group constructor all __proto__ toString\nquorum constructor\n",
    "an absent party too": USUAL + "witness hub HUB\n",
    "as large as may be": "#" * (2**20 - 1000) + "\nlog LOG\nquorum none\n",
}
ALONE = {
    "both hubs": "log LOG\nwitness h HUB\nwitness s HUBSZ\ngroup g all h s\nquorum g\n",
    "a party by name": "log LOG\nwitness p POSING\nquorum p\n",
    "a party by key": "log LOG\nwitness m MASKED\nquorum m\n",
    "nobody of two": "log LOG\n" + MORE + "quorum none\n",
}
UNMET = {
    "below": THREE + MORE + "group g all hk never\nquorum g\n",
    "none of them": "log LOG\n" + MORE + "group g any never absent\nquorum g\n",
    "nested below": THREE
    + MORE
    + "group a any never absent\ngroup b all hk sz\ngroup c all a b\nquorum c\n",
    "two of three missing": THREE + MORE + "group g 2 never absent hk\nquorum g\n",
    "no log": "witness hk HK\nquorum hk\n",
    "another log": "log OTHERLOG\nwitness hk HK\nquorum hk\n",
    "another key of the log": "log OTHERKEY\nwitness hk HK\nquorum hk\n",
    "a second key that did not sign": "log LOG\nlog UNSAID\nquorum none\n",
    "a first key that did not sign": "log OTHERKEY\nlog BESIDE\nquorum none\n",
}
MALFORMED = {
    "nothing": "",
    "an end of line": "\n",
    "no quorum": THREE,
    "two quorums": USUAL + "quorum all\n",
    "no such quorum": THREE + "quorum nobody\n",
    "quorum before its group": THREE + "quorum g\ngroup g any hk\n",
    "quorum and more": THREE + "quorum hk sz\n",
    "quorum of nothing": THREE + "quorum\n",
    "capital": THREE + "Quorum hk\n",
    "cut short": USUAL[:-1],
    "carriage returns": USUAL.replace("\n", "\r\n"),
    "one carriage return": USUAL + "\r\n",
    "nul": USUAL + "\0\n",
    "form feed": USUAL.replace("quorum all", "quorum\fall"),
    "delete": USUAL + "# \x7f\n",
    "no-break space": USUAL.replace("quorum all", "quorum\u00a0all"),
    "wide space": USUAL.replace("quorum all", "quorum\u3000all"),
    "mark of the order of bytes": "\ufeff" + USUAL,
    "witness twice": THREE + "witness hk NEVER\nquorum hk\n",
    "key twice": THREE + "witness hk2 HK\nquorum hk\n",
    "log twice": "log LOG\n" + USUAL,
    "a log as a witness": THREE.replace(" HK", " LOG") + "quorum hk\n",
    "a witness as a log": "log HK\nquorum none\n",
    "a second key as both": "log LOG\nlog BESIDE\nwitness b BESIDE\nquorum none\n",
    "none as a witness": "log LOG\nwitness none HK\nquorum none\n",
    "none as a group": THREE + "group none any hk\nquorum none\n",
    "none as a member": THREE + "group g any none\nquorum g\n",
    "a group named as a witness": THREE + "group hk any sz\nquorum hk\n",
    "itself a member": THREE + "group g any g\nquorum g\n",
    "member twice": THREE + "group g 2 hk hk\nquorum g\n",
    "member of two groups": THREE + "group g any hk\ngroup f any hk\nquorum g\n",
    "no members": THREE + "group g all\nquorum hk\n",
    "no rule": THREE + "group g hk sz\nquorum hk\n",
    "__proto__ as a rule": THREE + "group g __proto__ hk\nquorum hk\n",
    **{
        f"group of {count}": THREE + f"group g {count} hk sz\nquorum g\n"
        for count in ("0", "3", "01", "+1", "-1", "1.0", "1e0", "1_", "0x1", "\u0661",
                      "9" * 12, "9" * 5000, "ALL", "one")
    },
    "vkey without a name": THREE + "witness a +HK\nquorum hk\n",
    "vkey cut short": "log LOG=\nquorum none\n",
    "vkey of words": "log a+b\nquorum none\n",
    "unknown line": USUAL + "witnesses hk\n",
    "too many words": "log LOG a b\nquorum none\n",
    "too large": "#" * 2**20 + "\nlog LOG\nquorum none\n",
    "a page": "<!doctype html><title>a</title>\n",
    "JSON": '{"quorum":"none"}\n',
}  # fmt: skip


def texts_of(run: Ran) -> dict[str, bytes]:
    """Return every policy above with its keys, and some of octets that are no text."""
    keys = keys_of(run)
    found = {
        name: filled(text, keys).encode()
        for texts in (MET, ALONE, UNMET, MALFORMED)
        for name, text in texts.items()
    }
    log, eye = keys["LOG"].encode(), keys["HK"].encode()
    name, _, rest = eye.partition(b"+")
    found["octets"] = b"log %b\nwitness \xff\x85 %b\nquorum \xff\x85\n" % (log, eye)
    found["other octets"] = b"log %b\nwitness \xff %b\nquorum \xfe\n" % (log, eye)
    for code in ("ff", "eda080", "c285", "e38080", "efbbbf"):
        what = bytes.fromhex(code)
        bent = b"log %b\nwitness h %b%b+%b\nquorum h\n" % (log, name, what, rest)
        found[f"a name with {code}"] = bent
    for name, (vkey_of, _) in odd_keys().items():
        found[name] = b"log %b\nwitness w %b\nquorum none\n" % (log, vkey_of)
    found["noise"] = random.Random(3).randbytes(3000)  # noqa: S311 - no secret
    return found


def odd_keys() -> dict[str, tuple[bytes, bool]]:
    """Return vkeys with a true key id, and whether each is one, by what is odd."""
    strong, second = _ed(b"a").public_key().public_bytes_raw(), bytes(1312)
    beyond = (2**255 - 19 + 9).to_bytes(32, "little")
    found = {
        f"key named {name!a}": (_made(name, COSIGNATURE, strong), good)
        for name, good in (
            *(("", False), ("a b", False), ("a\u0085", False), ("a\u00a0b", False)),
            *(("\u1680", False), ("a\u2028", False), ("\u202fa", False)),
            *(("\u3000", False), ("\ufeffa", True), ("a\u200bb", True)),
            *(("深圳", True), ("\U0001f3e5", True), ("n" * 256, True)),
        )
    }
    return found | {
        "second key of a long name": (_made("n" * 256, SUBTREE, second), False),
        "second key of a name": (_made("n" * 255, SUBTREE, second), True),
        "second key cut short": (_made("n", SUBTREE, second[1:]), False),
        "key cut short": (_made("n", COSIGNATURE, strong[1:]), False),
        "key too long": (_made("n", COSIGNATURE, strong + b"a"), False),
        "key of no kind": (_made("n", 5, strong), False),
        "no key": (_made("n", COSIGNATURE, b""), False),
        "nothing": (b"n+%b+" % hashlib.sha256(b"n\n").hexdigest()[:8].encode(), False),
        "weak key": (_made("n", COSIGNATURE, b"\1" + bytes(31)), False),
        "key in another form": (_made("n", COSIGNATURE, beyond), False),
    }


def _made(name: str, kind: int, raw: bytes) -> bytes:
    known = hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + raw).hexdigest()[:8]
    packed = base64.b64encode(bytes([kind]) + raw).decode()
    return f"{name}+{known}+{packed}".encode()


def filled(text: str, keys: dict[str, str]) -> str:
    """Return a policy in which words in capitals are keys."""
    return re.sub("[A-Z]{2,}", lambda found: keys.get(found[0], found[0]), text)


def drawn(run: Ran, count: int) -> dict[str, bytes]:
    """Return policies made at random of the lines and words above; many are none."""
    draw = random.Random(11)  # noqa: S311 - no secret
    keys = keys_of(run)
    texts = [*MET.values(), *ALONE.values(), *UNMET.values(), *MALFORMED.values()]
    short = [text for text in texts if len(text) < 2000]
    good = [text for text in short if text in MET.values()]
    lines = sorted({line for text in short for line in text.split("\n") if line})
    words = sorted({word for line in lines for word in line.split(" ")})
    made = {}
    for number in range(count):
        own = draw.choice(good if draw.randrange(2) else short).split("\n")
        for _ in range(draw.randrange(3)):
            at = draw.randrange(len(own))
            match draw.randrange(5):
                case 0:
                    own[at] = draw.choice(lines)
                case 1:
                    own.insert(at, draw.choice(lines))
                case 2:
                    del own[at]
                    own.append("")
                case 3:
                    own[at] = " ".join(
                        draw.choice(words) if not draw.randrange(4) else word
                        for word in own[at].split(" ")
                    )
                case 4:
                    other = draw.randrange(len(own))
                    own[at], own[other] = own[other], own[at]
        made[str(number)] = filled("\n".join(own), keys).encode()
    return made
