"""The rivals: programs that are measured beside ours. Each keeps running between the rounds."""
import contextlib
import glob
import os
import shlex
import shutil
import subprocess
import tempfile

from measure import ROOT, program


class Rival:
    """A program that answers each line on its stdin with a figure. `missing` says why it is not available."""

    def __init__(self, name, command, env=None, missing=None):
        self.name, self.missing, self.process = name, missing, None
        self.command, self.env = None if missing else command, {**without_settings(os.environ), **(env or {})}
        if missing:
            return
        # A file and not a pipe, which its warnings might fill.
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, env=self.env)
        ready = self.process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            self.process, self.missing = None, f"{name} does not start"
            return
        self.version = ready[1]

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.errors.seek(0)
            raise RuntimeError(f"{self.name} stopped: {self.errors.read().decode().strip()[-500:]}")
        return float(answer)

    def close(self):
        if self.process:
            with contextlib.suppress(BrokenPipeError):  # it has ended
                self.process.stdin.close()
            self.process.wait()
            self.process = None


class PyTorch(Rival):
    """PyTorch, which answers with the seconds of a call, on one thread or on all. `python` is the command that runs a
    script under it, by default the system's, with an OpenMP BLAS."""

    def __init__(self, python=None):
        script = os.path.join(ROOT, "bench", "rivals", "torch_serve.py")
        if python:
            self.script = [*shlex.split(python), script]
            super().__init__("PyTorch", self.script)
            return
        python = "/usr/bin/python3"
        found = subprocess.run([python, "-c", "import torch"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        blas = glob.glob("/usr/lib/*/openblas-openmp")
        missing = None
        if found.returncode:
            missing = "PyTorch is missing: apt-get install python3-torch libopenblas0-openmp"
        elif not blas:
            missing = ("PyTorch is there without an OpenMP BLAS, which would halve its speed: "
                       "apt-get install libopenblas0-openmp")
        self.script = [python, script]
        super().__init__("PyTorch", self.script, {"LD_LIBRARY_PATH": (blas or [""])[0]}, missing)

    def label(self, threads):
        return f"{self.name} {self.version}, {threads} thr."

    def best_threads(self, benchmark, threads):
        """The faster number of threads, 1 or all: small work is often slower on more threads."""
        if threads == 1:
            return 1
        times = {count: self.ask(benchmark, 0.2, count) for count in (1, threads)}
        return min(times, key=times.get)

    def memory(self, benchmark, threads):
        return float(subprocess.run([*self.script, "--memory", str(threads), benchmark], stdout=subprocess.PIPE,
                                    env=self.env, check=True).stdout)


def libtorch():
    if not os.path.exists(program("rival_libtorch")):
        return Rival("libtorch", None, missing="libtorch is missing: apt-get install libtorch-dev")
    return Rival("libtorch", [program("rival_libtorch")])


BLAS = [("OpenBLAS", "/usr/lib/*/openblas-*/libopenblas.so.0", "libopenblas0-openmp"),
        ("BLIS", "/usr/lib/*/blis-*/libblis.so.4", "libblis4-openmp"),
        ("oneDNN", "/usr/lib/*/libdnnl.so.[23]*", "libdnnl2 (Debian 13: libdnnl3)")]
# What they may be told to be on: one that is older than the processor takes it for a much lesser one.
KINDS = {"OpenBLAS": ("OPENBLAS_CORETYPE", ["SKYLAKEX", "ZEN"]), "BLIS": ("BLIS_ARCH_TYPE", ["skx", "zen3"])}


def without_settings(env):
    """The environment without what somebody has set for these libraries: some machines have OpenBLAS held to AVX2."""
    return {key: value for key, value in env.items() if not key.startswith(("OPENBLAS_", "BLIS_", "DNNL_", "ONEDNN_"))}


def speed_of(library):
    """What a library reaches; 0 where it ends, as it does on a kind of processor whose instructions this one lacks."""
    try:
        return library.ask("512x512x512", 0.05) if library.process else 0
    except (RuntimeError, BrokenPipeError):
        return 0


def blas_libraries(threads, root=None):
    """Each library of matrix products, with this number of threads, as the kind of processor on which it is fastest; those
    of another system if `root` is the folder that holds it."""
    run = program("rival_blas")
    if root:  # under another name first, as the program may be running there
        copy = os.path.join(root, "tmp", os.path.basename(run))
        os.replace(shutil.copy(run, copy + ".part"), copy)
    out = []
    for name, pattern, package in BLAS:
        paths = sorted(glob.glob((root or "") + pattern))
        missing = None if paths else f"{name} is missing: apt-get install {package}"
        library = [path.removeprefix(root or "") for path in paths[-1:]]
        command = ["chroot", root, "/tmp/" + os.path.basename(run), *library] if root else [run, *library]
        variable, kinds = KINDS.get(name, (None, []))
        made = []
        for kind in [None, *kinds] if paths else [None]:
            env = {f"{each}_NUM_THREADS": str(threads) for each in ["OPENBLAS", "BLIS", "OMP"]}
            made.append(Rival(name, command, {**env, **({variable: kind} if kind else {})}, missing))
        if len(made) > 1:
            speeds = [speed_of(one) for one in made]
            best = speeds.index(max(speeds))
            for one in made[:best] + made[best + 1:]:
                one.close()
            made = [made[best]]
        out += made
    return out


class Rivals:
    """All rivals, each started when it is first needed. `said` is called with the messages about missing ones, `python`
    runs a script under PyTorch, and `blas_root` is the folder of a system whose libraries of products are taken."""

    def __init__(self, said=print, python=None, blas_root=None):
        self.said, self.python, self.blas_root, self.running = said, python, blas_root, {}

    def get(self, key, make):
        if key not in self.running:
            made = make()
            self.running[key] = made if isinstance(made, list) else [made]
            for one in self.running[key]:
                if one.missing:
                    self.said("  " + one.missing)
        return [one for one in self.running[key] if one.process]

    def torch(self):
        return next(iter(self.get("torch", lambda: PyTorch(self.python))), None)

    def libtorch(self):
        return next(iter(self.get("libtorch", libtorch)), None)

    def blas(self, threads):
        return self.get(("blas", threads), lambda: blas_libraries(threads, self.blas_root))

    def our_gemm(self, threads):
        """Our own program behind the same interface."""
        return self.get(("gemm", threads), lambda: Rival("ours", [program("gemm"), str(threads)]))[0]

    def close(self):
        for several in self.running.values():
            for one in several:
                one.close()
