"""`hetao demo`."""

import argparse
import json
import sys

from hetao.cli.main import called, folder_for, say
from hetao.demo.run import run_demo


def demo(chosen: argparse.Namespace) -> int:
    """Run the demonstration and say where to look."""
    folder_for(chosen.out)
    shown = run_demo(chosen.out, chosen.scenario, say)
    largest = max(item.largest for item in shown.comparisons)
    if chosen.json:
        body = {
            "out": str(shown.out),
            "largest_difference_in_se": largest,
            "seconds": shown.seconds,
            "findings": shown.findings["findings"],
        }
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return 0
    say(f"done in {shown.seconds:.0f} s; federated against pooled: {largest:.1e} SE")
    sys.stdout.write(
        f"report       {shown.out / 'report.html'}\n"
        f"certificate  {shown.out / 'certificate.json'}\n"
        f"to hand on   {shown.out / 'certificate.html'}\n"
        f"check it     {called()} verify {shown.out / 'certificate.json'} "
        f"--trust {shown.parties} --policy {shown.policy}\n"
    )
    return 0
