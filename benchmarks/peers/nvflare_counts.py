"""An NVFLARE controller that adds histograms up and hands the sum back: two rounds."""

import json
from pathlib import Path

import numpy as np
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.model_controller import ModelController


class Histograms(ModelController):
    """Counts of events and leavers by month, summed; the curve follows from them."""

    def __init__(self, out):
        super().__init__(persistor_id="")
        self.out = out

    def run(self):
        """Ask, add up, hand back, keep the curve."""
        self.info("Round 0 started.")
        asked = FLModel(params={}, start_round=1, current_round=1, total_rounds=2)
        answers = self.send_model_and_wait(data=asked)
        events = np.sum([answer.params["events"] for answer in answers], axis=0)
        leavers = np.sum([answer.params["leavers"] for answer in answers], axis=0)
        back = {"events": events, "leavers": leavers}
        self.send_model_and_wait(
            data=FLModel(params=back, start_round=1, current_round=2, total_rounds=2)
        )
        self.info("Finished counts.")
        at_risk = np.cumsum(leavers[::-1])[::-1]
        steps = np.flatnonzero(events)
        survival = np.cumprod(1 - events[steps] / at_risk[steps])
        found = {
            "time": steps.tolist(),
            "survival": survival.tolist(),
            "answers": len(answers),
            "rounds": 2,
        }
        Path(self.out).write_text(json.dumps(found))
