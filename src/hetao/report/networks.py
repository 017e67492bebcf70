"""A trained network's finding → how it was trained, and how its loss fell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hetao.report.drawing import Drawing, Scale, even_ticks
from hetao.report.numerals import count_text, number_of, short_text
from hetao.report.performance import PerformanceView, performance_of
from hetao.report.sentences import Said, joined, say
from hetao.study import Analysis, Network, Study
from hetao.study.network import STRATEGY_TITLES

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 860.0, 260.0, 70.0, 845.0, 38.0, 52.0
LINES = ("loss_trained", "loss_left_out")  # the sentence of each line


def network_of(
    study: Study,
    analysis: Analysis,
    payload: Mapping[str, Any],
    style: tuple[str, str],
) -> tuple[PerformanceView, Said]:
    """Return the view of a network's finding and its sentence, as `performance_of`."""
    view, said = performance_of(study, analysis, payload, style)
    network = analysis.network or Network()
    losses = [_numbers(payload, name) for name in ("loss", "validation_loss")]
    is_pooled = network.takes_one_step and not payload.get("clipped_rounds")
    view = replace(
        view,
        figures=(_draw(style[0], analysis.name, losses), *view.figures),
        training=_training(network, payload, style[1]),
        note=say("network_pooled" if is_pooled else "network_spread"),
    )
    return view, joined("run_on", (_sentence(*losses), said))


def _training(
    network: Network, payload: Mapping[str, Any], few: str
) -> tuple[tuple[Said, str], ...]:
    batch = count_text(network.batch_size) if network.batch_size else say("batch_all")
    clipped = int(payload.get("clipped_rounds") or 0)
    weights = sum(len(m) * len(m[0]) for m in payload.get("weights", ()))
    layers = joined("comma", network.layers) or say("none")
    return (
        (say("trained_on"), _count(payload.get("learned"), few)),
        (say("strategy"), STRATEGY_TITLES[network.strategy]),
        (say("hidden_layers"), layers),
        (say("activation"), network.activation),
        (say("network_weights"), count_text(weights)),
        (say("training_rounds"), count_text(network.rounds)),
        (say("passes"), count_text(network.local_epochs)),
        (say("batch"), batch),
        (say("step_length"), short_text(network.lr)),
        (say("clipped_rounds"), count_text(clipped)),
    )


def _count(count: Any, few: str) -> str:
    return few if count is None else count_text(count)


def _numbers(payload: Mapping[str, Any], name: str) -> list[float]:
    values = (number_of(value) for value in payload.get(name) or ())
    return [value for value in values if value is not None]


def _sentence(loss: Sequence[float], held: Sequence[float]) -> Said:
    if not loss:
        return say("no_loss")
    return say(
        "loss_held" if held else "loss",
        first=short_text(loss[0]),
        last=short_text(loss[-1]),
        rounds=len(loss) - 1,
        held=short_text(held[-1]) if held else "",
    )


def _draw(key: str, name: str, losses: Sequence[Sequence[float]]) -> Drawing:
    """Return the figure: a line of the loss, and one of those left out if any are."""
    most = max((value for line in losses for value in line), default=1.0)
    last = max(max(map(len, losses)) - 1, 1)
    across = Scale(0.0, float(last), LEFT, RIGHT)
    shares = even_ticks(0.0, most or 1.0, 5)
    up = Scale(0.0, max(most, shares[-1]), TOP + HEIGHT, TOP)
    ends = [
        (say(label), short_text(line[0]), short_text(line[-1]))
        for label, line in zip(LINES, losses, strict=True)
        if line
    ]
    about = joined(
        "list", (say("loss_about", label=i, first=j, last=k) for i, j, k in ends)
    )
    title = say("loss_title", name=name)
    size = (WIDTH, TOP + HEIGHT + FOOT)
    drawing = Drawing(f"{key}-loss", size, (title, about or say("loss_none")))
    for value in shares:
        y = up.at(value)
        drawing.line((LEFT, y), (RIGHT, y), "grid" if value else "rule")
        drawing.text((LEFT - 8, y + 5), short_text(value), "small end")
    for tick in even_ticks(0.0, float(last), 8):
        if tick == int(tick):
            drawing.text(
                (across.at(tick), up.left + 21), count_text(int(tick)), "small middle"
            )
    middle = (LEFT + RIGHT) / 2
    drawing.text((middle, up.left + 44), say("training_rounds"), "small middle")
    for place, line in enumerate(losses):
        if not line:
            continue
        x, kind = LEFT + 395 * place, f"curve g{place}"
        drawing.line((x, 14), (x + 30, 14), kind)
        drawing.text((x + 38, 18), say(LINES[place]), "label")
        points = [(across.at(i), up.at(value)) for i, value in enumerate(line)]
        drawing.path(points, kind)
    return drawing
