"""What tells how many of GS1's examples are taken, on documents of our own."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

from support_epcis import WAY, WHOLE, document_of

SCRIPT = Path(__file__).with_name("gs1_examples.py")


def written(folder, **documents):
    (folder / "JSON").mkdir()
    for name, document in documents.items():
        text = document if isinstance(document, str) else json.dumps(document)
        (folder / "JSON" / f"{name}.jsonld").write_text(text, "utf-8")
    return folder


def test_it_counts_what_is_taken_and_says_why_the_rest_is_not(tmp_path):
    draft = {"isA": "EPCISDocument", "schemaVersion": "2.0"}
    wrong = document_of([{**WAY[1], "action": "MOVE"}])
    good = document_of([*WAY, *WHOLE.values()])

    written(tmp_path, good=good, draft=draft, wrong=wrong, broken="{")

    command = [sys.executable, str(SCRIPT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "no EPCISDocument: JSON/broken.jsonld",
        "no EPCISDocument: JSON/draft.jsonld",
        "JSON/wrong.jsonld",
    ]
    assert lines[3].startswith("  the schema: epcisBody/eventList/0")
    assert lines[4:] == [
        "  our reader: wrong.jsonld, event 1: action is not as EPCIS has it",
        "2 documents: 1 valid and taken (11 events), 1 invalid and refused,"
        " 0 valid but refused, 0 invalid but taken",
    ]


def test_reader_and_schema_that_do_not_agree_are_told(tmp_path):
    bare = {name: WAY[0][name] for name in WAY[0] if name != "epcList"}
    bare |= {"epcList": []}
    script = runpy.run_path(str(SCRIPT))
    examples_in, told = script["examples_in"], script["told"]

    lines, agreed = told(list(examples_in(written(tmp_path, bare=document_of([bare])))))

    assert not agreed
    assert "1 valid but refused" in lines[-1]
    assert not told([])[1]  # a folder of nothing proves nothing
