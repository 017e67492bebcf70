"""A permit is for one study: whoever changes a byte of it asks something else."""

from hetao.canonical import digest, parse_canonical
from hetao.errors import HetaoError, WrongStudy
from hetao.permit import check_standing
from hetao.study import study_from
from support_federation import START, Federation, Plan, toy_study


def test_a_study_changed_in_any_byte_is_not_the_permitted_one(
    tmp_path, record_property
):
    with Federation(tmp_path / "f", Plan(toy_study())) as federation:
        text, bundle = federation.study.canonical, federation.bundle
        data = text if isinstance(text, bytes) else text.encode()
        tried = 0
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= 0x01
            tried += 1
            try:
                value = parse_canonical(bytes(changed))
                study_from(value)
            except HetaoError:
                continue
            try:
                check_standing(bundle, digest(value), START, federation.cast.directory)
            except WrongStudy:
                continue
            raise AssertionError(f"byte {place} was changed and nobody minded")

    record_property("figure", f"{tried} of {tried} bytes: refused")
    assert tried > 500
