"""Tests of what scripts/bench does around its figures; nothing is timed."""
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bench")
sys.path.insert(0, BENCH)
sys.dont_write_bytecode = True

import charts  # noqa: E402
import measure  # noqa: E402
import phases  # noqa: E402
import rivals  # noqa: E402
import sizes  # noqa: E402
import tables  # noqa: E402


def run(*arguments):
    return subprocess.run([sys.executable, os.path.join(BENCH, "run.py"), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)


def fake_rounds(peaks, count=3, extra=2):
    """Rounds whose figures are 0, 1, 2, ... between looks that show these peaks."""
    looks, figures = iter(peaks), iter(range(100))
    probe = measure.Probe(lambda peak: next(looks))
    return measure.take_rounds(probe, [measure.fma(1)], lambda: (next(figures),), count, extra)


class Rounds(unittest.TestCase):
    def check(self, rounds, figures, dropped, disturbed):
        self.assertEqual(sorted(rounds.figures), [(figure,) for figure in figures])
        self.assertEqual((rounds.dropped, rounds.disturbed), (dropped, disturbed))

    def test_quiet_rounds_are_all_kept(self):
        self.check(fake_rounds([100, 95, 91, 100]), [0, 1, 2], 0, 0)

    def test_a_fall_by_more_than_a_tenth_drops_the_rounds_on_both_sides_of_it(self):
        self.check(fake_rounds([100, 100, 89, 100, 100, 100]), [0, 3, 4], 2, 0)

    def test_a_peak_that_rises_later_drops_what_was_measured_before(self):
        self.check(fake_rounds([80, 80, 100, 100, 100, 100]), [2, 3, 4], 2, 0)

    def test_the_least_disturbed_are_kept_and_counted_when_too_many_are(self):
        self.check(fake_rounds([100, 70, 75, 85, 80, 100]), [2, 3, 4], 2, 3)

    def test_the_median_is_of_the_kept_rounds(self):
        self.assertEqual(fake_rounds([100, 100, 50, 100, 100, 100]).median(lambda figure: figure), 3)

    def test_a_row_has_its_share_of_the_best_peak_and_its_dropped_rounds(self):
        values = iter([100, 50, 100, 100])
        run = measure.Measuring(measure.Probe(lambda peak: next(values)), count=1, extra=2)
        row = run.compare("a.b", "tokens/s", lambda: 10.0, "them", lambda: 5.0, measure.fma(1), lambda rate: 6 * rate)
        self.assertEqual((row["ratio"], row["share"], row["dropped"], row["disturbed"]), (2, 0.6, 2, 0))


class Work(unittest.TestCase):
    def test_the_operations_of_a_training_step(self):
        # By hand: 6 operations a weight and token; 4 gates of 3 x (2 + 3), 4 of 3 x (3 + 3), a head of 3 x 7.
        size = sizes.Size(vocab=7, width=2, hidden=3, layers=2, batch=5, steps=4)
        self.assertEqual(sizes.train_flops(size, "lstm"), 6 * 20 * (60 + 72 + 21))

    def test_the_operations_of_a_transformers_training_step(self):
        # Of each token: in 2 layers 12 x 4^2 weights of GPT-2, or 4 x 4^2 and 3 x 4 x 10 of Llama, and twice 5 tokens
        # of width 4 that are seen on average; an output of 7 x 4.
        size = sizes.Transformer(vocab=7, width=4, heads=2, layers=2, batch=3, context=10)
        self.assertEqual(sizes.transformer_flops(size, "gpt"), 6 * 30 * (2 * (192 + 40) + 28))
        self.assertEqual(sizes.transformer_flops(size, "llama"), 6 * 30 * (2 * (64 + 120 + 40) + 28))


class Phases(unittest.TestCase):
    def test_the_innermost_function_with_a_word_of_a_phase_decides(self):
        names = ["void kernels::tile<float, 14, 2>(Gemm const&)", "cross_entropy(x)", "fill(float*)",
                 "gradus::optim::clip_norm(gradus::Gradients&)", "RecurrentNetwork<gradus::nn::Lstm>::step()"]
        stacks = "0 10 40\n20 10 40\n=libtbb.so.12 20 30 40\n20 40\n"
        found = phases.shares(stacks, [0, 10, 20, 30, 40], names)
        self.assertEqual(found, {"gemm": 0.25, "gates": 0, "softmax": 0.25, "embedding": 0, "optimizer": 0.25,
                                 "attention": 0, "norms": 0, "activations": 0, "other": 0.25, "waiting": 0.25})


def figures():
    """One row or more for each chart, with characters that XML minds."""
    more = {"threads": 2, "dropped": 1, "disturbed": 0, "speed": 150.0, "speed_unit": "GFLOP/s", "share": 0.75,
            "peak": 200.0, "bound": "fma, 2 threads"}
    rows = [measure.row("peak.fma_2_threads", "GFLOP/s", 200.0), measure.row("peak.triad_2_threads", "GB/s", 30.0),
            measure.row("gemm.64x64x64.2threads", "GFLOP/s", 150.0, "<BLAS> & co", 100.0, 1.5, flops=524288,
                        bytes=49152, **more),
            measure.row("train.medium-lstm", "tokens/s", 2000.0, "PyTorch 1, 2 thr.", 1000.0, 2.0, flops=1e9,
                        bytes=1e7, **more)]
    rows += [measure.row(f"cost.hidden-{hidden}", "us", 0.1 * hidden, "PyTorch 1, 1 thr.", 0.2 * hidden, 2.0,
                         flops=1e4 * hidden, **more) for hidden in (64, 128)]
    return {"machine": "A <machine> & more", "cores": 2, "rows": rows}


class Output(unittest.TestCase):
    def test_charts_are_well_formed(self):
        with tempfile.TemporaryDirectory() as folder:
            written = charts.write(figures(), folder)
            self.assertEqual([os.path.basename(name) for name in written],
                             ["roofline.svg", "ratios_models.svg", "ratios_ops.svg", "cost.svg"])
            for name in written:
                root = xml.etree.ElementTree.parse(name).getroot()
                self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
                self.assertIn("A <machine> & more", "".join(root.itertext()))

    def test_charts_without_their_rows_are_not_drawn(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(charts.write({"machine": "m", "cores": 2, "rows": figures()["rows"][:2]}, folder), [])

    def test_markdown_leaves_out_empty_columns(self):
        lines = tables.markdown(figures()["rows"]).splitlines()
        self.assertEqual(lines[2:5], ["| name | unit | ours |", "|---|---|---:|",
                                      "| peak.fma_2_threads | GFLOP/s | 200.0 |"])
        self.assertIn("| train.medium-lstm | tokens/s | 2000.0 | PyTorch 1, 2 thr. | 1000.0 | 2.00 | 150.0 GFLOP/s | "
                      "75% | 1 |", lines)

    def test_markdown_puts_several_rivals_of_a_row_side_by_side(self):
        rows = [measure.row("gemm.a", "GFLOP/s", 10.0, rival, theirs, ratio, share=0.5, dropped=0)
                for rival, theirs, ratio in [("one", 5.0, 2.0), ("other", 20.0, 0.5)]]
        rows.append(measure.row("gemm.b", "GFLOP/s", 30.0, "other", 15.0, 2.0, share=0.75, dropped=0))
        self.assertEqual(tables.markdown(rows).splitlines()[2:6],
                         ["| name | unit | ours | of peak | one | ratio | other | ratio |",
                          "|---|---|---:|---:|---:|---:|---:|---:|",
                          "| gemm.a | GFLOP/s | 10.0 | 50% | 5.00 | 2.00 | 20.0 | 0.50 |",
                          "| gemm.b | GFLOP/s | 30.0 | 75% |  |  | 15.0 | 2.00 |"])

    def test_markdown_puts_many_rows_of_one_rival_in_pairs(self):
        rows = [measure.row(f"shapes.{i}", "us", 10.0 + i, "PyTorch 2, 1 thr.", 40.0, 2.5) for i in range(15)]
        lines = tables.markdown(rows).splitlines()
        self.assertEqual(lines[0], "`scripts/bench shapes` (us, beside PyTorch 2)")
        self.assertEqual(lines[2], "| name | ours | theirs | ratio | name | ours | theirs | ratio |")
        self.assertEqual(lines[4], "| 0 | 10.0 | 40.0 | 2.50 | 8 | 18.0 | 40.0 | 2.50 |")
        self.assertEqual(lines[11], "| 7 | 17.0 | 40.0 | 2.50 |  |  |  |  |")

    def test_rivals_are_not_held_to_what_somebody_has_set_for_their_libraries(self):
        self.assertEqual(rivals.without_settings({"PATH": "/bin", "OPENBLAS_CORETYPE": "Haswell"}), {"PATH": "/bin"})

    def test_a_library_that_ends_is_the_slowest_of_its_kinds(self):
        for script, speed in [("echo ready 1; read line; echo 5", 5), ("echo ready 1; read line", 0),
                              ("echo ready 1", 0), ("true", 0)]:
            with self.subTest(script):
                library = rivals.Rival("library", ["sh", "-c", script])
                self.assertEqual(rivals.speed_of(library), speed)
                library.close()

    def test_help_and_a_wrong_group(self):
        helped = run("--help")
        self.assertEqual((helped.returncode, helped.stderr), (0, ""))
        self.assertIn("train", helped.stdout)
        wrong = run("nosuch")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("there is no group 'nosuch'", wrong.stderr)
        missing = run("--read", "/nonexistent/figures.json")
        self.assertEqual(missing.returncode, 2)
        self.assertIn("/nonexistent/figures.json", missing.stderr)


if __name__ == "__main__":
    unittest.main()
