#!/usr/bin/env python3
"""`gradus train` in several processes: bits, processes that are killed, starts that do not fit together.

Usage: processes_test.py GRADUS MPIRUN      (run by ctest)
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

GRADUS, MPIRUN = sys.argv[1:3]
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
# Times that a process is killed at a random moment; more are a matter of patience.
KILLS = int(os.environ.get("GRADUS_KILLS", "6"))
# Nothing here takes longer than seconds, unless it hangs.
LIMIT = 60


def text(words=30000):
    """Sentences of a few words that follow each other by chance."""
    rng = random.Random(1)
    names = "the a cat dog sat ran on by mat log red blue".split()
    return "\n".join(" ".join(rng.choice(names) for _ in range(9)) for _ in range(words // 9)) + "\n"


def command(processes, *arguments):
    return [MPIRUN, "--oversubscribe", "-n", str(processes), GRADUS, *arguments]


def run(words):
    return subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT, check=False)


def rank_of(process):
    try:
        with open(f"/proc/{process}/environ", "rb") as file:
            for one in file.read().split(b"\0"):
                if one.startswith(b"OMPI_COMM_WORLD_RANK="):
                    return int(one.split(b"=")[1])
    except OSError:
        pass
    return None


def ranks_below(launcher):
    """The processes that a launcher started, by rank."""
    out = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == launcher:
            rank = rank_of(name)
            if rank is not None:
                out[rank] = int(name)
    return out


class Processes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gradus-processes-")
        self.text = os.path.join(self.folder, "text.txt")
        with open(self.text, "w", encoding="utf-8") as file:
            file.write(text())

    def tearDown(self):
        shutil.rmtree(self.folder)

    def place(self, name):
        return os.path.join(self.folder, name)

    def train(self, name, *more, updates=800):
        return ["train", self.text, "--kind", "lstm", "--width", "32", "--batch", "8", "--updates", str(updates),
                "--threads", "1", "--set", "training.pieces=4", *more, "--out", self.place(name)]

    def model(self, name):
        with open(os.path.join(self.place(name), "model.safetensors"), "rb") as file:
            return file.read()

    def check_done(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)

    def ended(self, started):
        """What was said until all processes of a job ended; they must, within the limit."""
        try:
            return started.communicate(timeout=LIMIT)[1]
        except subprocess.TimeoutExpired:
            # The mpirun of Open MPI 4.1 sometimes waits for itself when all that it started has ended.
            self.assertEqual(ranks_below(started.pid), {}, "a process hangs")
            started.kill()
            return started.communicate()[1]

    def test_models_have_the_bits_of_one_process(self):
        self.check_done(run([GRADUS, *self.train("one")]))
        for processes in (1, 2, 4):
            name = f"of{processes}"
            self.check_done(run(command(processes, *self.train(name))))
            self.assertEqual(self.model(name), self.model("one"))
        self.check_done(run(command(2, *self.train("sharded", "--set", "training.shard_optimizer=true"))))
        with open(os.path.join(self.place("sharded"), "log.txt"), encoding="utf-8") as file:
            self.assertNotIn("warning", file.read())

    def test_a_report_is_printed_once(self):
        done = run(command(2, *self.train("run", "--json", updates=20)))
        self.check_done(done)
        self.assertEqual(done.stdout.count('"parameters"'), 1)

    def test_a_killed_process_ends_the_run_which_goes_on_elsewhere(self):
        self.check_done(run([GRADUS, *self.train("whole")]))
        seed = int(time.time())
        print(f"killed by the seed {seed}", file=sys.stderr)
        rng = random.Random(seed)
        begun = named = 0
        for kill in range(KILLS):
            name = f"killed{kill}"
            processes = rng.choice([2, 4])
            victim = rng.randrange(processes)
            delay = rng.uniform(0.1, 3)
            with self.subTest(processes=processes, victim=victim, delay=delay):
                with subprocess.Popen(command(processes, *self.train(name)), env=ENVIRONMENT, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
                    # Half of them at any moment from the start on, half when updates are made.
                    while kill % 2 == 1 and started.poll() is None and not os.path.exists(
                            os.path.join(self.place(name), "metrics.jsonl")):
                        time.sleep(0.01)
                    time.sleep(delay if kill % 2 == 0 else delay / 10)
                    found = ranks_below(started.pid)
                    begun += kill % 2
                    if victim in found:
                        os.kill(found[victim], signal.SIGKILL)
                    errors = self.ended(started)
                if started.returncode == 0:
                    begun -= kill % 2
                    continue  # it was done before
                lost = re.search(r"gradus: rank (\d+) \(process (\d+) on .*\) is gone", errors)
                if lost:
                    named += kill % 2
                    self.assertEqual(int(lost.group(1)), victim)
                    self.assertEqual(int(lost.group(2)), found[victim])
                if not os.path.exists(os.path.join(self.place(name), "config.toml")):
                    continue  # it had not begun
                done = run(command(rng.choice([1, 2, 4]), "train", "--resume", self.place(name), "--threads", "1"))
                self.check_done(done)
                self.assertEqual(self.model(name), self.model("whole"), errors)
        self.assertGreaterEqual(named, begun)
        self.assertGreater(begun, 0)

    def test_a_run_that_shares_out_the_optimizer_goes_on_from_its_last_checkpoint(self):
        options = ["--set", "training.shard_optimizer=true", "--set", "training.save_every=50"]
        self.check_done(run(command(2, *self.train("whole", *options, updates=1500))))
        self.check_done(run([GRADUS, *self.train("alone", *options, updates=1500)]))
        self.assertEqual(self.model("whole"), self.model("alone"))
        for victim in (0, 1):
            name = f"killed{victim}"
            with self.subTest(victim=victim):
                with subprocess.Popen(command(2, *self.train(name, *options, updates=1500)), env=ENVIRONMENT, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
                    while started.poll() is None and not os.path.exists(
                            os.path.join(self.place(name), "metrics.jsonl")):
                        time.sleep(0.01)
                    time.sleep(0.05)
                    found = ranks_below(started.pid)
                    self.assertIn(victim, found, "it was done before")
                    os.kill(found[victim], signal.SIGKILL)
                    errors = self.ended(started)
                self.assertRegex(errors, rf"gradus: rank {victim} \(process {found[victim]} on .*\) is gone; a part of "
                                 "the state went with it, so go on from the last checkpoint by: gradus train --resume")
                for processes in (4, 1):
                    copy = f"{name} in {processes}"
                    shutil.copytree(self.place(name), self.place(copy))
                    self.check_done(run(command(processes, "train", "--resume", self.place(copy), "--threads", "1")))
                    self.assertEqual(self.model(copy), self.model("whole"), errors)

    def test_an_interrupt_saves_once(self):
        with subprocess.Popen(command(2, *self.train("stopped", updates=100000)), env=ENVIRONMENT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
            while not os.path.exists(os.path.join(self.place("stopped"), "metrics.jsonl")):
                time.sleep(0.05)
            time.sleep(0.5)
            os.kill(ranks_below(started.pid)[1], signal.SIGTERM)
            _, errors = started.communicate(timeout=LIMIT)
        self.assertEqual(errors.count("and saved; go on by: gradus train --resume"), 1, errors)

    def test_starts_that_do_not_fit_together_are_refused(self):
        one = [GRADUS, *self.train("run", "--seed", "1")]
        other = [GRADUS, *self.train("run", "--seed", "2")]
        done = run([MPIRUN, "--oversubscribe", "-n", "1", *one, ":", "-n", "1", *other])
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stderr.count("is not started like rank 0"), 1, done.stderr)
        self.assertIn("training.seed = 2 where rank 0 has seed = 1", done.stderr)
        with open(self.place("other.txt"), "w", encoding="utf-8") as file:
            file.write(text(20000))
        other[2] = self.place("other.txt")
        done = run([MPIRUN, "--oversubscribe", "-n", "1", *one, ":", "-n", "1", *other])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("is not started like rank 0", done.stderr)

    def test_what_only_one_process_lacks_is_said_once(self):
        one = [GRADUS, *self.train("run")]
        other = [*one]
        other[2] = self.place("missing.txt")
        done = run([MPIRUN, "--oversubscribe", "-n", "1", *one, ":", "-n", "1", *other])
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"gradus: rank 1 \(process \d+ on .*\): .*missing.txt")
        self.assertEqual(done.stderr.count("gradus: "), 1, done.stderr)

    def test_processes_that_cannot_share_are_refused(self):
        done = run(command(2, "train", self.text, "--kind", "ngram", "--out", self.place("model")))
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr.count("runs in one process, and 2 were started"), 1, done.stderr)
        for processes, more, what in ((3, [], "3 processes cannot share training.pieces 4 evenly"),
                                      (2, ["--set", "training.pieces=3"], "a power of two"),
                                      (2, ["--set", "training.pieces=16"], "cannot be cut into")):
            done = run(command(processes, *self.train("run", *more)))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(what, done.stderr)
            self.assertFalse(os.path.exists(os.path.join(self.place("run"), "config.toml")))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
