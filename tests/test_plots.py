"""Diagrams hold the numbers that brute force finds, and reach their files whole."""

import json
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from typer.testing import CliRunner

from fg_search import ConfidenceIndex, plots
from fg_search.cli import app
from fg_search.errors import FgSearchError
from fg_search.evaluation import ReliabilityBin, reliability_bins, risk_coverage_curve, slices_of
from fg_search.review.issues import confused_labels

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def judged():
    rng = np.random.default_rng(0)
    confidence = rng.beta(3, 1, 400).round(2)
    return confidence, rng.random(400) < confidence


def names_of(axes):
    legend = axes.get_legend() or axes.figure.legends[0]
    return [text.get_text() for text in legend.get_texts()]


def test_the_histogram_has_a_bar_for_each_interval():
    counts = [0, 0, 3, 0, 1, 0, 10, 40, 1234, 7]
    axes = plots.confidence_histogram(counts).axes[0]
    assert [bar.get_height() for bar in axes.patches] == counts
    for i, bar in enumerate(axes.patches):
        assert i / 10 <= bar.get_x() < bar.get_x() + bar.get_width() <= (i + 1) / 10
    assert "1,234" in [text.get_text() for text in axes.texts]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("confidence", "items")
    assert axes.get_ylim()[1] > max(counts)


def test_the_reliability_diagram_has_a_dot_and_an_interval_for_each_bin(judged):
    confidence, correct = judged
    axes = plots.reliability_diagram(reliability_bins(confidence, correct, bins=5)).axes[0]
    whiskers, dots = axes.collections
    expected, areas = [], dots.get_sizes()
    for low in range(5):
        inside = (confidence > low / 5) & (confidence <= (low + 1) / 5)
        expected.append((confidence[inside].mean(), correct[inside].mean(), inside.sum()))
    assert np.asarray(dots.get_offsets()) == pytest.approx(np.array(expected)[:, :2])
    assert np.argsort(areas).tolist() == np.argsort([count for *_, count in expected]).tolist()
    for (promised, right, _), segment in zip(expected, whiskers.get_segments(), strict=True):
        assert segment[:, 0] == pytest.approx(promised)
        assert segment[0, 1] < right < segment[1, 1]
    (diagonal,) = [line for line in axes.lines if line.get_label() == "promised comes true"]
    assert list(zip(*diagonal.get_data(), strict=True)) == [(0, 0), (1, 1)]


@pytest.mark.parametrize("right", [0, 6])
def test_a_share_of_all_or_none_has_an_interval_that_can_be_drawn(right):
    # of 6 right of 6 rounding once put the upper end of the interval below the share
    bins = reliability_bins([0.9] * 6, [True] * right + [False] * (6 - right))
    assert plots.reliability_diagram(bins).axes[0].collections


def test_the_risk_coverage_curve_is_what_every_threshold_costs(judged):
    confidence, correct = judged
    curves = {"one": risk_coverage_curve(confidence, correct), "_$two$": risk_coverage_curve(-confidence, correct)}
    axes = plots.risk_coverage_plot(curves).axes[0]
    assert names_of(axes) == list(curves)
    assert not any(text.get_parse_math() for text in axes.get_legend().get_texts())
    for line, sign in zip(axes.lines, (1, -1), strict=True):
        coverage, risk = line.get_data()
        thresholds = sorted(set(sign * confidence), reverse=True)
        answered = [sign * confidence >= threshold for threshold in thresholds]
        assert coverage == pytest.approx([some.mean() for some in answered])
        assert risk == pytest.approx([(~correct[some]).mean() for some in answered])
        assert max(risk[coverage >= 0.05]) <= axes.get_ylim()[1]
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 2


def test_one_wrong_answer_at_the_beginning_does_not_flatten_the_rest():
    confidence, correct = np.linspace(1, 0, 101), np.arange(101) % 10 > 0
    axes = plots.risk_coverage_plot({"score": risk_coverage_curve(confidence, correct)}).axes[0]
    assert axes.lines[0].get_ydata()[0] == 1
    assert axes.get_ylim()[1] == pytest.approx(1.05 * 2 / 11)  # the eleventh is the second wrong one


def test_one_threshold_is_a_dot_and_no_risk_is_seen():
    axes = plots.risk_coverage_plot({"one": risk_coverage_curve([0.5, 0.5], [True, True])}).axes[0]
    (line,) = axes.lines
    assert line.get_marker() == "o"
    assert axes.get_ylim()[0] < 0 < axes.get_ylim()[1]


def test_confused_labels_are_counted_both_ways():
    given = ["a", "a", "b", "c", "c", "$x$"]
    predicted = ["b", "b", "a", "a", "c", "c"]
    figure = plots.confusion_plot(confused_labels(given, predicted))
    (axes,) = figure.axes
    there, back = ([bar.get_width() for bar in bars] for bars in axes.containers)
    shown = [text.get_text().split("\n") for text in axes.get_yticklabels()]
    counted = {
        (first, second): (
            sum(pair == (first, second) for pair in zip(given, predicted, strict=True)),
            sum(pair == (second, first) for pair in zip(given, predicted, strict=True)),
        )
        for first, second in shown
    }
    assert list(zip(there, back, strict=True)) == list(counted.values())
    assert shown[0] == ["a", "b"]
    assert ["$x$", "c"] in shown
    assert not any(text.get_parse_math() for text in axes.get_yticklabels())
    assert names_of(axes) == ["upper taken for lower", "lower taken for upper"]
    assert [bar.get_x() for bar in axes.containers[1]] == there


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.confidence_histogram([]), "counts is empty"),
        (lambda: plots.reliability_diagram([]), "bins is empty"),
        (lambda: plots.risk_coverage_plot({}), "curves is empty"),
        (lambda: plots.risk_coverage_plot({"score": []}), r"curves\['score'\] is empty"),
        (lambda: plots.confusion_plot([]), "pairs is empty"),
        (lambda: plots.slice_plot([]), "slices is empty"),
    ],
)
def test_nothing_to_draw_is_told(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_every_diagram_can_be_read_on_a_dark_background(judged):
    for figure in (
        plots.confidence_histogram([1, 2]),
        plots.reliability_diagram([ReliabilityBin(0, 1, 1, 1, 1, (0, 1))]),
    ):
        assert figure.get_facecolor() == figure.axes[0].get_facecolor() == (1, 1, 1, 1)


@pytest.fixture
def evaluated(tmp_path, encoder, corpus, questions):
    def evaluated(*, calibrated):
        with ConfidenceIndex(tmp_path / "index", encoder) as index:
            index.add(corpus[0], labels=corpus[1])
            if calibrated:
                index.calibrate(*questions(200, 1))
            return index.evaluate(*questions(200, 2))

    return evaluated


def test_an_evaluation_is_drawn_from_its_own_queries(evaluated, questions):
    found = evaluated(calibrated=True)
    figures = plots.evaluation_figures(found)
    assert set(figures) == {"risk_coverage", "reliability", "confused_labels"}
    lines = figures["risk_coverage"].axes[0].lines
    assert [line.get_label().split(" (AURC")[0] for line in lines] == list(found.reports)
    for line, report in zip(lines, found.reports.values(), strict=True):
        assert line.get_label().endswith(f"(AURC {report.aurc:.4f})")
        assert line.get_ydata()[-1] == pytest.approx(1 - found.outcomes.correct.mean())
    dots = figures["reliability"].axes[0].collections[1]
    assert len(dots.get_offsets()) == len(
        reliability_bins(found.outcomes.rankings["confidence"], found.outcomes.correct)
    )
    wrong = [
        (wanted, label)
        for wanted, label in zip(questions(200, 2)[1], found.outcomes.found, strict=True)
        if wanted is not None and label is not None and wanted != label
    ]
    assert wrong
    drawn = sum(bar.get_width() for bars in figures["confused_labels"].axes[0].containers for bar in bars)
    assert drawn == len(wrong)


def test_without_a_calibration_there_is_no_reliability(evaluated):
    figures = plots.evaluation_figures(evaluated(calibrated=False))
    assert set(figures) == {"risk_coverage", "confused_labels"}


def test_answers_judged_by_id_confuse_no_labels(tmp_path, encoder, corpus):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(corpus[0], ids=[f"d{i}" for i in range(len(corpus[0]))], labels=corpus[1])
        found = index.evaluate([f"{text}?" for text in corpus[0][:9]], [f"d{i}" for i in range(1, 10)])
    assert found.relevant_by == "id"
    assert set(plots.evaluation_figures(found)) == {"risk_coverage"}


def test_a_query_with_several_right_answers_confuses_no_labels(tmp_path, encoder, corpus):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(*corpus[:1], labels=corpus[1])
        found = index.evaluate(["my card", "zzz"], [["loan", "travel"], None])
    assert list(found.outcomes.wanted) == [None, None]
    assert "confused_labels" not in plots.evaluation_figures(found)


def test_slices_have_a_dot_at_their_precision_with_its_interval():
    every, correct = np.ones(100, dtype=bool), [True] * 95 + [False] * 5
    slices = slices_of("x", ["$a$"] * 90 + ["b"] * 10, every, correct, every, 0.9)
    axes = plots.slice_plot(slices).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["$a$  (90)", "b  (10)"]
    assert not any(text.get_parse_math() for text in axes.get_yticklabels())
    drawn = {bars.get_label(): bars for bars in axes.containers}
    for name, place, one in (("precision, 95% interval", 0, slices[0]), ("falls short of the target", 1, slices[1])):
        dots, _, (whisker,) = drawn[name]
        assert (dots.get_xdata()[0], dots.get_ydata()[0]) == (one.precision.share, place)
        assert whisker.get_segments()[0][:, 0] == pytest.approx([one.precision.low, one.precision.high])
    (target,) = [line for line in axes.lines if line.get_label() == "target"]
    assert set(target.get_xdata()) == {0.9}


def test_an_evaluation_is_drawn_by_what_it_is_sliced_by(evaluated):
    found = evaluated(calibrated=True)
    figures = plots.evaluation_figures(found, ["label", "length"])
    assert {"slices_label", "slices_length"} <= set(figures)
    names = [text.get_text() for text in figures["slices_label"].axes[0].get_yticklabels()]
    slices = found.slices("label", target=found.lowest_promise)
    assert names == [f"{each.name}  ({each.precision.total})" for each in slices]


@pytest.mark.parametrize("ending", plots.FORMATS)
def test_the_same_figure_gives_the_same_bytes(tmp_path, ending):
    first, again = (
        plots.save(plots.confidence_histogram([1, 2]), tmp_path / f"{name}.{ending}") for name in ("one", "two")
    )
    assert first.read_bytes() == again.read_bytes()


def test_a_file_is_replaced_when_the_new_one_is_complete(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    figure = plots.confidence_histogram([1, 2])

    def full(self, data):
        self.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            plots.save(figure, path)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]
    plots.save(figure, path)
    assert path.read_bytes().startswith(PNG)
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must be one of \.png, \.svg, \.pdf"):
        plots.save(plots.confidence_histogram([1]), tmp_path / "a.bmp")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def command(tmp_path, saved_encoder, encoder, corpus, questions):
    """`fg-search evaluate` on judged queries."""
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        index.calibrate(*questions(200, 1))
    with (tmp_path / "queries.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": a, "label": b}) + "\n" for a, b in zip(*questions(100, 2), strict=True))
    return [
        *("evaluate", "--index", str(tmp_path / "index"), "--encoder", str(saved_encoder)),
        *("--queries", str(tmp_path / "queries.jsonl")),
    ]


def test_the_command_writes_every_diagram_twice(command, tmp_path):
    folder = tmp_path / "new" / "plots"
    done = CliRunner().invoke(app, [*command, "--json", "--plots", str(folder)])
    assert done.exit_code == 0, done.output
    names = ("confidence", "confused_labels", "reliability", "risk_coverage")
    assert sorted(path.name for path in folder.iterdir()) == [f"{n}.{e}" for n in names for e in ("png", "svg")]
    for name in names:
        assert (folder / f"{name}.png").read_bytes().startswith(PNG)
        assert ET.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")
        assert name in done.stderr
    assert json.loads(done.stdout)["reports"]["score"]["queries"] == 100  # still one JSON object alone


def test_a_folder_that_is_a_file_is_refused_before_the_work(command, tmp_path):
    (tmp_path / "plots").write_text("")
    done = CliRunner().invoke(app, [*command, "--plots", str(tmp_path / "plots")])
    assert done.exit_code == 2
    assert "is a file" in " ".join(done.output.replace("│", "").split())
    done = CliRunner().invoke(app, [*command, "--plots", str(tmp_path / "plots" / "below")])
    assert isinstance(done.exception, NotADirectoryError)
    assert done.stdout == ""


def test_a_missing_extra_is_named_before_the_work(command, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(FgSearchError, match=r"need matplotlib; pip install 'fg-search\[plots\]'"):
        plots.confidence_histogram([1, 2])
    done = CliRunner().invoke(app, [*command, "--plots", str(tmp_path / "plots")])
    assert done.exit_code == 1
    assert "pip install 'fg-search[plots]'" in str(done.exception)
    assert done.stdout == ""
    assert not (tmp_path / "plots").exists()
    assert CliRunner().invoke(app, command).exit_code == 0
