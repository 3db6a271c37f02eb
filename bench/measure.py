"""How a row is measured: in rounds, each between two measurements of the machine's peak, which show disturbances."""
import json
import os
import shutil
import statistics
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(ROOT, "build", "release", "bin")
CORES = os.cpu_count()
SCALE = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0}
FALL = 0.9  # a peak below this share of the best of the run means that something disturbed the round


def program(name):
    return os.path.join(BIN, "bench_" + name)


def ours(name, benchmark, seconds=None, threads=None, counter="value"):
    """The figure of a benchmark in one of our programs."""
    command = [program(name)]
    if threads is not None:
        command += ["--threads", str(threads)]
    command += [f"--benchmark_filter=^{benchmark}($|/)", "--benchmark_format=json"]
    if seconds:
        command.append(f"--benchmark_min_time={seconds}")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    if not done.stdout:
        raise LookupError(f"{' '.join(command)}: there is no such benchmark")
    return json.loads(done.stdout)["benchmarks"][0][counter]


def in_processes(processes, *words, threads=1):
    """What bench_ranks prints in so many processes of so many threads each."""
    mpirun = shutil.which("mpirun")
    if mpirun is None or not os.path.exists(program("ranks")):
        raise LookupError("bench_ranks is not there: scripts/bootstrap mpi, and configure and build anew")
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run([mpirun, "--oversubscribe", "--bind-to", "none", "-n", str(processes), program("ranks"),
                           "--threads", str(threads), *words], env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def fma(threads):
    """The peak for rows that are limited by arithmetic."""
    return ("fma", threads)


def triad(threads):
    """The peak for rows that are limited by memory bandwidth."""
    return ("triad", threads)


def read(threads):
    """The peak for rows that read memory and write nothing."""
    return ("read", threads)


def name_of(peak):
    name, threads = peak
    return f"{name}, {threads} thread" + ("s" if threads > 1 else "")


def take_peak(peak):
    """GFLOP/s of multiply-adds or GB/s of the triad, measured now."""
    name, threads = peak
    return ours("peak", f"{name}/{1 if threads == 1 else 0}", 0.05)


class Probe:
    """Measures the machine's peaks and keeps the best of each in this run."""

    def __init__(self, take=take_peak):
        self.take, self.best = take, {}

    def look(self, peaks):
        """Each of the peaks, measured now."""
        now = {peak: self.take(peak) for peak in peaks}
        for peak, value in now.items():
            self.best[peak] = max(value, self.best.get(peak, 0.0))
        return now

    def share(self, looks):
        """The smallest share of its best value that a peak had in any of these looks."""
        return min(value / self.best[peak] for look in looks for peak, value in look.items())


class Rounds:
    """The figures of the rounds, how many rounds were dropped as disturbed, and how many disturbed ones were kept."""

    def __init__(self, figures, dropped, disturbed):
        self.figures, self.dropped, self.disturbed = figures, dropped, disturbed

    def median(self, of):
        return statistics.median(of(*figures) for figures in self.figures)


def take_rounds(probe, peaks, measure, count, extra):
    """The Rounds of calling `measure`, which returns a tuple of figures, between measurements of the peaks.

    A round is disturbed if one of its peaks is below FALL of the best of the run. It is then measured again, up to
    `extra` times in all. If too few rounds are quiet, the least disturbed ones are kept and counted as such.
    """
    taken, before = [], probe.look(peaks)
    while True:
        # All are judged again each time, since the best peak may only show later.
        good = sum(probe.share(looks) >= FALL for looks, _ in taken)
        if good >= count or len(taken) >= count + extra:
            break
        figures = measure()
        after = probe.look(peaks)
        taken.append(((before, after), figures))
        before = after
    taken.sort(key=lambda one: probe.share(one[0]), reverse=True)
    return Rounds([figures for _, figures in taken[:count]], len(taken) - count, max(0, count - good))


def row(name, unit, value, rival=None, theirs=None, ratio=None, **more):
    """A row of the results. A ratio above 1 means that Gradus is ahead."""
    return {"name": name, "unit": unit, "ours": value, "rival": rival, "theirs": theirs, "ratio": ratio, **more}


class Measuring:
    """One run of the benchmarks: its probe, how long each figure is measured, and how often."""

    def __init__(self, probe=None, count=5, extra=4, quick=False):
        self.probe = probe or Probe()
        self.count, self.extra, self.quick = (1, 0, True) if quick else (count, extra, False)

    def seconds(self, wanted):
        return wanted / 20 if self.quick else wanted

    def rounds(self, peaks, measure):
        return take_rounds(self.probe, peaks, measure, self.count, self.extra)

    def compare(self, name, unit, mine, rival=None, theirs=None, bound=None, speed=None, **more):
        """A row that measures `mine()` and, if given, `theirs()` alternately; both return figures in the unit.

        `bound` is the peak that limits the row, and `speed` converts a figure to the unit of that peak. Figures in
        units that end in "/s" are better when larger, all others when smaller.
        """
        bound = bound or fma(CORES)
        # For rows limited by memory both peaks must be steady, since arithmetic shows when a core is shared.
        peaks = [bound] if bound[0] == "fma" else [bound, fma(bound[1])]
        rounds = self.rounds(peaks, lambda: (mine(), theirs() if theirs else None))
        value = rounds.median(lambda a, _: a)
        more.update(threads=bound[1], dropped=rounds.dropped, disturbed=rounds.disturbed)
        if speed:
            more.update(speed=speed(value), speed_unit="GFLOP/s" if bound[0] == "fma" else "GB/s",
                        bound=name_of(bound), peak=self.probe.best[bound],
                        share=speed(value) / self.probe.best[bound])
        if theirs is None:
            return row(name, unit, value, **more)
        better = (lambda a, b: a / b) if unit.endswith("/s") else (lambda a, b: b / a)
        return row(name, unit, value, rival, rounds.median(lambda _, b: b), rounds.median(better), **more)
