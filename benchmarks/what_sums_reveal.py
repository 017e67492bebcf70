"""What a regression's sums reveal about single people: measures, writes the page.

    python benchmarks/what_sums_reveal.py [--seeds 10] [--only tables …] [--page]

With `--only` those parts are measured anew and the others kept; with `--page` the page
and its figures are written anew from the kept measurements. The attacks stand in
`benchmarks/sums`.
"""

import argparse
import json
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
KEPT = HERE.parent / "docs" / "explanation" / "what-sums-reveal.json"


def measured(seeds: int, only: list[str]) -> dict:
    """Run every measurement, or some."""
    from sums import measuring, tables

    parts = {
        "exact": (measuring.exact, seeds),
        "inexact": (measuring.inexact, seeds),
        "larger": (measuring.larger, max(seeds // 2, 2)),
        "lattice": (measuring.lattice, min(seeds, 5)),
        "outcomes": (measuring.outcomes, seeds),
        "combinations": (measuring.combinations, min(seeds, 10)),
        "tables": (tables.tables, seeds),
        "grids": (tables.grids, seeds),
    }
    found = {}
    for name in only or parts:
        measure, count = parts[name]
        start = time.perf_counter()
        found[name] = measure(count)
        print(name, round(time.perf_counter() - start), "s", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="+", default=[], help="parts, such as tables")
    parser.add_argument("--page", action="store_true", help="from kept measurements")
    asked = parser.parse_args()
    if not asked.page:
        from sums.page import summary

        KEPT.parent.mkdir(exist_ok=True)
        kept = json.loads(KEPT.read_text()) if asked.only else {}
        kept |= summary(measured(asked.seeds, asked.only))
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    from sums.page import write

    write(json.loads(KEPT.read_text()), KEPT.parent)


if __name__ == "__main__":
    main()
