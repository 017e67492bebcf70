"""The study package: certificate, page and findings as a Five Safes RO-Crate.

A zip of one BagIt bag, whose `data/` is an RO-Crate: what the files are, who asked, who
signed it off, who looked at the results before they left, and what came out, in the
terms that trusted research environments use for it. Nothing in it is new: each fact is
the certificate's. The same certificate gives the same bytes.

Source:
    Five Safes RO-Crate 0.4, RO-Crate 1.2, BagIt (RFC 8493). Test:
    `tests/spec/test_dossier.py`, with the `rocrate` library as a reader.
"""

import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hetao.canonical import canonical, parse_canonical
from hetao.dossier.code import facts_of
from hetao.dossier.page import render_page
from hetao.ledger.certificate import published, verify_certificate
from hetao.report.custody import approvals_of

CRATE: Final = "https://w3id.org/ro/crate/1.2"
PROFILE: Final = "https://w3id.org/5s-crate/0.4"
METADATA: Final = "ro-crate-metadata.json"
_DONE: Final = "http://schema.org/CompletedActionStatus"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold
_FILES: Final = {
    "certificate.json": ("The certificate, without integers", "application/json"),
    "certificate.html": ("The certificate as a page that checks itself", "text/html"),
    "study.json": ("What was asked", "application/json"),
    "permit.json": ("What was allowed, and by whom", "application/json"),
    "findings.json": ("What was found", "application/json"),
    "credential.jwt": ("The certificate's credential", "application/vc+jwt"),
    "credential.tlog-proof": ("That it stands in the issuer's log", "text/plain"),
}

Entity = dict[str, Any]


def make_crate(certificate: bytes) -> bytes:
    """Return a certificate's study package, a zip.

    Raises:
        Unverified: the certificate does not verify.
        InvalidData: a text in it cannot stand in a page.
    """
    verify_certificate(certificate)
    public = published(certificate)
    value = parse_canonical(public)
    body, log = value["body"], value["log"]
    files = {
        "certificate.json": public,
        "certificate.html": render_page(public).encode(),
        "study.json": canonical(body["study"]),
        "permit.json": canonical(body["permit"]),
        "findings.json": canonical(body["findings"]),
        "credential.jwt": log["credential"].encode("ascii"),
        "credential.tlog-proof": log["proof"].encode(),
    }
    graph = [*_graph(value, files)]
    metadata = {"@context": f"{CRATE}/context", "@graph": graph}
    text = json.dumps(metadata, ensure_ascii=False, indent=1) + "\n"
    return _bag(value, {METADATA: text.encode(), **files})


def _graph(value: Mapping[str, Any], files: Mapping[str, bytes]) -> Iterator[Entity]:
    body = value["body"]
    study, permit = body["study"], body["permit"]["permit"]
    title = str(study.get("title") or study["name"])
    actions, people = _actions(body), _people(body)
    run, project = f"#run-{body['run']}", "#project"
    yield {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": CRATE},
    }
    yield {
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": {"@id": PROFILE},
        "datePublished": body["issued"],
        "description": str(study.get("question") or title),
        "hasPart": [{"@id": name} for name in files],
        "identifier": f"urn:hetao:certificate:{facts_of(value).body}",
        "license": {"@id": "#terms"},
        "mainEntity": {"@id": "study.json"},
        "mentions": [{"@id": run}, *({"@id": one["@id"]} for one in actions)],
        "name": title,
        "publisher": {"@id": "#coordinator"},
        "sourceOrganization": {"@id": project},
    }
    yield {"@id": PROFILE, "@type": "Profile", "name": "Five Safes RO-Crate profile"}
    yield {
        "@id": "#terms",
        "@type": "CreativeWork",
        "description": str(permit["purpose"]),
        "name": f"Permit {permit['number']}",
    }
    yield {
        "@id": project,
        "@type": "Project",
        "identifier": str(permit["number"]),
        "member": [{"@id": f"#site-{name}"} for name in permit["sites"]],
        "name": title,
    }
    yield {
        "@id": run,
        "@type": "CreateAction",
        "actionStatus": _DONE,
        "agent": {"@id": f"#person-{permit['authors'][0]}"},
        "endTime": body["issued"],
        "instrument": {"@id": "study.json"},
        "name": f"Run of {title}",
        "object": [{"@id": "study.json"}, {"@id": "permit.json"}],
        "result": [{"@id": "findings.json"}, {"@id": "certificate.json"}],
    }
    yield {"@id": "#coordinator", "@type": "Organization", "name": _boss(permit)}
    yield {"@id": "#software", "@type": "SoftwareApplication", "name": body["software"]}
    yield from _sites(permit)
    yield from people
    yield from actions
    for name, data in files.items():
        kind = ["File", "SoftwareSourceCode"] if name == "study.json" else "File"
        yield {
            "@id": name,
            "@type": kind,
            "contentSize": str(len(data)),
            "encodingFormat": _FILES[name][1],
            "name": _FILES[name][0],
            "sha256": hashlib.sha256(data).hexdigest(),
        }


def _actions(body: Mapping[str, Any]) -> list[Entity]:
    """Return who signed the study off, and who looked at the results."""
    found = [
        _assessed(
            f"#signoff-{number}",
            ("SignOff", f"{notice['verb']} by {notice['role']}, {notice['side']}"),
            notice,
            ["./", "study.json", "#project"],
        )
        for number, notice in enumerate(n["body"] for n in body["permit"]["notices"])
    ]
    votes = (v["body"] for v in body["review"]["votes"])
    found += [
        _assessed(
            f"#disclosure-{number}",
            ("DisclosureCheck", f"{vote['vote']} by {vote['role']}, {vote['side']}"),
            vote,
            ["./", "findings.json"],
        )
        for number, vote in enumerate(votes)
    ]
    return found


def _assessed(
    name: str, what: tuple[str, str], said: Mapping[str, Any], about: list[str]
) -> Entity:
    kind, text = what
    return {
        "@id": name,
        "@type": "AssessAction",
        "actionStatus": _DONE,
        "additionalType": {"@id": f"https://w3id.org/shp#{kind}"},
        "agent": {"@id": f"#person-{said['by']}"},
        "endTime": said["at"],
        "name": text,
        "object": [{"@id": one} for one in about],
    }


def _people(body: Mapping[str, Any]) -> list[Entity]:
    permit = body["permit"]["permit"]
    offices = {one.by: one.organisation for one in approvals_of(body)}
    said = [*body["permit"]["notices"], *body["review"]["votes"]]
    names = [*permit["authors"], *(str(one["body"]["by"]) for one in said)]
    return [
        {
            "@id": f"#person-{name}",
            "@type": "Person",
            "memberOf": {"@id": "#project"},
            "name": name,
            **({"description": offices[name]} if offices.get(name) else {}),
        }
        for name in dict.fromkeys(names)
    ]


def _sites(permit: Mapping[str, Any]) -> Iterator[Entity]:
    for party in permit["parties"]:
        if party["name"] in permit["sites"]:
            yield {
                "@id": f"#site-{party['name']}",
                "@type": "Organization",
                "name": party["organisation"] or party["name"],
            }


def _boss(permit: Mapping[str, Any]) -> str:
    bosses = [p for p in permit["parties"] if p["role"] == "coordinator"]
    return str(bosses[0]["organisation"] or bosses[0]["name"])


# --- the bag ------------------------------------------------------------------------
def _bag(value: Mapping[str, Any], payload: Mapping[str, bytes]) -> bytes:
    facts = facts_of(value)
    name = f"hetao-{facts.body.removeprefix('sha256:')[:16]}"
    data = {f"data/{path}": content for path, content in payload.items()}
    size = sum(map(len, data.values()))
    info = {
        "Bagging-Date": str(value["body"]["issued"])[:10],
        "External-Identifier": uuid.uuid5(uuid.NAMESPACE_URL, facts.code).urn,
        "Payload-Oxum": f"{size}.{len(data)}",
    }
    tags = {
        "bagit.txt": "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": "".join(f"{k}: {text}\n" for k, text in info.items()),
        "manifest-sha512.txt": _manifest(data),
    }
    written = {path: text.encode() for path, text in tags.items()}
    written["tagmanifest-sha512.txt"] = _manifest(written).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**written, **data}.items():
            entry = zipfile.ZipInfo(f"{name}/{path}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return made.getvalue()


def _manifest(files: Mapping[str, bytes]) -> str:
    lines = (
        f"{hashlib.sha512(data).hexdigest()}  {path}\n" for path, data in files.items()
    )
    return "".join(lines)
