"""Whatever is done to a log, in whatever order, it is the list of what was appended."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from hetao.errors import Unverified
from hetao.ledger.head import FileHead
from hetao.ledger.log import Log
from hetao.ledger.merkle import (
    consistency_path,
    inclusion_path,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from hetao.ledger.note import (
    Checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    verify_note,
)

ORIGIN = "log.example.org/machine"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
COUNTS = st.sampled_from([0, 1, 1, 2, 100, 255, 256, 257])


class AnyLog(RuleBasedStateMachine):
    """A log beside a list of its entries, each reopened, forked and rolled back."""

    @initialize()
    def begin(self):
        self.scratch = TemporaryDirectory()
        self.path = Path(self.scratch.name) / "study.log"
        self.log = Log.open(self.path, ORIGIN, KEY)
        self.entries, self.leaves = [], []
        self.roots = {}
        self.kept = 0  # copies of the log's file so far
        self.copies = []  # a size, and the file as it was then

    def teardown(self):
        if hasattr(self, "log"):
            self.log.close()
            self.scratch.cleanup()

    def _grew(self, new):
        self.entries += new
        self.leaves += [leaf_hash(entry) for entry in new]

    @rule(count=COUNTS, length=st.sampled_from([0, 1, 40, 3000]))
    def append(self, count, length):
        first = len(self.entries)
        new = [
            (b"%d " % i + b"x" * length)[:length] for i in range(first, first + count)
        ]

        assert self.log.append(new) == first

        self._grew(new)

    @rule()
    def open_again(self):
        self.log.close()
        self.log = Log.open(self.path, ORIGIN, KEY)

    @precondition(lambda self: any(self.entries))
    @rule(data=st.data())
    def redact(self, data):
        full = [
            i
            for i, entry in enumerate(self.entries)
            if entry and not entry.startswith(b"hetao/redaction")
        ]
        if not full:
            return
        i = data.draw(st.sampled_from(full))

        place = self.log.redact(i)

        assert place == len(self.entries)
        self._grew([self.log.entry(place)])
        self.entries[i] = b""

    @rule()
    def keep_a_copy(self):
        self.log.close()  # which puts all into the one file
        copy = self.path.with_name(f"copy{self.kept}")
        shutil.copy(self.path, copy)
        self.copies.append((len(self.entries), copy))
        self.kept += 1
        self.log = Log.open(self.path, ORIGIN, KEY)

    @precondition(lambda self: self.copies and self.copies[0][0] < len(self.entries))
    @rule()
    def bring_the_oldest_copy_back(self):
        """As a restored backup does; the head was not in it."""
        self.log.close()
        now = self.path.with_name("now")
        shutil.copy(self.path, now)
        shutil.copy(self.copies[0][1], self.path)

        with pytest.raises(Unverified):
            Log.open(self.path, ORIGIN, KEY)

        shutil.copy(now, self.path)
        self.log = Log.open(self.path, ORIGIN, KEY)

    @precondition(lambda self: self.copies and self.copies[0][0] < len(self.entries))
    @rule(count=st.integers(1, 3))
    def fork_from_the_oldest_copy(self, count):
        """The forger has the key, and a head of their own."""
        size, copy = self.copies[0]
        forged = self.path.with_name("forged")
        shutil.copy(copy, forged)
        then = Checkpoint(ORIGIN, size, root(self.leaves[:size]))
        own = FileHead(self.path.with_name("own"))
        own.swap(None, sign_checkpoint(then, KEY))
        with Log.open(forged, ORIGIN, KEY, head=own) as fork:
            fork.append([b"forged"] * (len(self.entries) - size + count))
            fork.fsck()

        true = FileHead(self.path.with_name("study.log.head"))
        with pytest.raises(Unverified, match="does not extend"):
            Log.open(forged, ORIGIN, KEY, head=true)

        forged.unlink()
        self.path.with_name("own").unlink()

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def prove(self, data):
        size = data.draw(st.integers(1, len(self.entries)))
        i = data.draw(st.integers(0, size - 1))
        old = data.draw(st.integers(0, size))
        now = root(self.leaves[:size])

        path, growth = self.log.inclusion(i, size), self.log.consistency(old, size)

        assert path == inclusion_path(i, self.leaves[:size])
        assert growth == consistency_path(old, self.leaves[:size])
        verify_inclusion(i, size, self.leaves[i], path, now)
        verify_consistency(old, size, root(self.leaves[:old]), now, growth)

    @rule()
    def check(self):
        self.log.fsck()
        assert self.log.entries(0, len(self.entries)) == self.entries

    @invariant()
    def the_checkpoint_is_that_of_the_list_and_never_another(self):
        if not hasattr(self, "log"):
            return
        note = verify_note(self.log.checkpoint(), ORIGIN, KEY.public_key())
        checkpoint = parse_checkpoint(note)
        assert checkpoint.size == len(self.entries) == self.log.size
        assert checkpoint.root == root(self.leaves)
        assert (
            self.roots.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root
        )


TestAnyLog = AnyLog.TestCase
TestAnyLog.settings = settings(max_examples=8, stateful_step_count=14, deadline=None)


# --- Every proof of small trees, from tiles -----------------------------------------
BOUNDARIES = (127, 128, 129, 255, 256, 257, 258, 300, 511, 512, 513)
SIZES = [*range(1, 66), *BOUNDARIES]


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    entries = [b"entry %d" % i for i in range(65_537)]
    with Log.open(tmp_path_factory.mktemp("grown") / "log", ORIGIN, KEY) as log:
        log.append(entries)
        yield log, [leaf_hash(entry) for entry in entries]


@pytest.mark.parametrize("sizes", [SIZES[:65], SIZES[65:]], ids=["to 65", "beyond"])
def test_every_leaf_and_every_older_size_of_small_trees_is_proved(grown, sizes):
    log, leaves = grown
    roots = [root(leaves[:size]) for size in range(max(sizes) + 1)]
    for size in sizes:
        for i in range(size):
            path = log.inclusion(i, size)
            verify_inclusion(i, size, leaves[i], path, roots[size])
        for old in range(size + 1):
            path = log.consistency(old, size)
            verify_consistency(old, size, roots[old], roots[size], path)


def test_trees_about_a_second_level_are_proved_at_their_edges(grown):
    log, leaves = grown
    sizes = (65_535, 65_536, 65_537)
    edges = (1, 255, 256, 257, 32_768, 65_280, *sizes)
    roots = {size: root(leaves[:size]) for size in edges}
    for size in sizes:
        for i in {*edges, 0, 32_767, 65_279, size - 1}:
            if i < size:
                path = log.inclusion(i, size)
                verify_inclusion(i, size, leaves[i], path, roots[size])
        for old in edges:
            if old <= size:
                path = log.consistency(old, size)
                verify_consistency(old, size, roots[old], roots[size], path)
