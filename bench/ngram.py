"""The rows of n-gram models beside KenLM: building them, asking them, and what they weigh.

KENLM names the folder of KenLM's sources with its programs in build/bin; NGRAM_TEXT a text to train on, a sentence a
line, and NGRAM_TEST one to ask; without, those of WikiText-2 in ../shared are taken.
"""
import gzip
import json
import os
import random
import subprocess
from functools import partial
from statistics import median
from time import monotonic

from measure import BIN, CORES, ROOT, fma, program, row, take_rounds
from rivals import Rival

ORDER = 5
FOLDER = os.path.join(ROOT, "build", "bench-ngram")
KENLM = os.environ.get("KENLM", "")
LONG = 30_000_000  # words
MEMORY = "1024M"   # what both may take, but in the rows that say otherwise
# What a layout of ours stands beside: the kind of KenLM's model, and how build_binary makes it.
BESIDE = {"fast": ("fast", "probing", ["probing"]),
          "compact": ("compact", "trie", ["trie"]),
          "quantised": ("compact, 8 bits", "quantised", ["-q", "8", "-b", "8", "trie"])}

# What KenLM cannot be asked: the name of a row, its unit, and where bench_ngram_query says it.
OTHER_QUESTIONS = [("distribution", "us", "distribution_us"), ("top10", "us", "top10_us"),
                   ("generate", "words/s", "generated_per_second")]


def missing():
    """Why there is no KenLM to stand beside; None when there is."""
    if not KENLM:
        return "KenLM is missing: set KENLM to the folder of its sources, built in build/"
    for name in ["bin/lmplz", "bin/build_binary", "lib/libkenlm.a"]:
        if not os.path.exists(os.path.join(KENLM, "build", name)):
            return f"KenLM is not built: {os.path.join(KENLM, 'build', name)} is missing"
    return None


def kenlm(name):
    return os.path.join(KENLM, "build", "bin", name)


# -- Texts ----------------------------------------------------------------------------------------------------

def text(part):
    """The path of a text, unpacked; None where there is none. KenLM takes no <unk>, so it becomes a word."""
    source = os.environ.get({"train": "NGRAM_TEXT", "test": "NGRAM_TEST"}[part],
                            os.path.join(ROOT, "..", "shared", "data", f"wikitext-2.{part}.txt.gz"))
    if not os.path.exists(source):
        return None
    made = os.path.join(FOLDER, part + ".txt")
    if not os.path.exists(made) or os.path.getmtime(made) < os.path.getmtime(source):
        os.makedirs(FOLDER, exist_ok=True)
        with (gzip.open if source.endswith(".gz") else open)(source, "rb") as file:
            content = file.read().replace(b"<unk>", b"UNK")
        write(made, [content])
    return made


def write(path, pieces):
    with open(path + ".part", "wb") as file:
        file.writelines(pieces)
    os.replace(path + ".part", path)


def long_text(source):
    """A text of LONG words: copies with their lines shuffled, and in all but the first every other word exchanged for
    another of the text or, one in twenty of these, for a made one, rare ones most of them: so words and n-grams go on
    being new, as in a text of that length. (lmplz refuses copies that are nearer to each other: with one word in eight
    exchanged, the counts of its 5-grams give a discount below 0.)"""
    made = os.path.join(FOLDER, "long.txt")
    if os.path.exists(made) and os.path.getmtime(made) >= os.path.getmtime(source):
        return made
    with open(source, "rb") as file:
        lines = file.read().splitlines()
    words = b" ".join(lines).split()
    draw = random.Random(1)

    def other():
        return draw.choice(words) if draw.random() < 0.95 else b"made%d" % int(1000 * draw.paretovariate(0.8))

    def changed(line):
        return b" ".join(other() if draw.random() < 1 / 2 else word for word in line.split())

    def pieces():
        done = 0
        while done < LONG:
            copy = [changed(line) for line in lines] if done else lines[:]
            draw.shuffle(copy)
            yield b"\n".join(copy) + b"\n"
            done += len(words)

    write(made, pieces())
    return made


# -- Building -------------------------------------------------------------------------------------------------

def run_for(command):
    """Seconds and the peak of memory in MB of a command."""
    start = monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {errors.decode(errors='replace').strip()[-500:]}")
    return monotonic() - start, usage.ru_maxrss / 1024


def build_ours(source, out, memory=MEMORY):
    return [os.path.join(BIN, "gradus"), "ngram", "build", "--order", str(ORDER), source, "--out", out, "--memory", memory]


def build_kenlm(source, out, memory=MEMORY):
    return [kenlm("lmplz"), "-o", str(ORDER), "-T", os.path.join(FOLDER, "tmp"), "--text", source, "--arpa", out,
            "-S", memory]


def build_rows(run, name, source, memory, count):
    """Seconds and memory of a build, ours and lmplz's in turn; each writes its own kind of file."""
    without = missing()
    rounds = take_rounds(run.probe, [fma(CORES)], lambda: (
        *run_for(build_ours(source, os.path.join(FOLDER, "ours.bin"), memory)),
        *((None, None) if without else run_for(build_kenlm(source, os.path.join(FOLDER, "kenlm.arpa"), memory)))),
        min(count, run.count), min(2, run.extra))
    more = {"threads": CORES, "dropped": rounds.dropped, "disturbed": rounds.disturbed}
    seconds, memory_used = rounds.median(lambda s, m, *_: s), rounds.median(lambda s, m, *_: m)
    if without:
        return [row(name, "s", seconds, **more), row(name + ".memory", "MB", memory_used, **more)]
    return [row(name, "s", seconds, "lmplz", rounds.median(lambda a, b, c, d: c),
                rounds.median(lambda a, b, c, d: c / a), **more),
            row(name + ".memory", "MB", memory_used, "lmplz", rounds.median(lambda a, b, c, d: d),
                rounds.median(lambda a, b, c, d: d / b), **more)]


# -- Asking ---------------------------------------------------------------------------------------------------

def compiled():
    """Our program on KenLM's library."""
    made = program("rival_kenlm")
    libraries = [os.path.join(KENLM, "build", "lib", f"lib{name}.a") for name in ["kenlm", "kenlm_util"]]
    subprocess.run(["g++", "-std=c++20", "-O3", "-DNDEBUG", "-DKENLM_MAX_ORDER=6", "-w", "-I" + ROOT, "-I" + KENLM,
                    os.path.join(ROOT, "bench", "rivals", "kenlm_query.cpp"), *libraries, "-lz", "-lbz2", "-llzma",
                    "-lpthread", "-lrt", "-o", made], check=True)
    return made


def models(train):
    """The path of our model of the text, and those of KenLM's: built once, for asking."""
    ours, arpa = os.path.join(FOLDER, "ask.bin"), os.path.join(FOLDER, "ask.arpa")
    run_for(build_ours(train, ours))
    if missing():
        return ours, {}
    run_for(build_kenlm(train, arpa))
    theirs = {}
    for kind, options in [(kind, options) for _, kind, options in BESIDE.values()]:
        theirs[kind] = os.path.join(FOLDER, f"ask.{kind}")
        run_for([kenlm("build_binary"), "-T", os.path.join(FOLDER, "tmp"), *options, arpa, theirs[kind]])
    return ours, theirs


def ask_ours(model, test, layout, seconds):
    done = subprocess.run([program("ngram_query"), model, test, str(seconds), layout], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def ngrams(arpa):
    """How many n-grams an ARPA file's header names."""
    total = 0
    with open(arpa, "rb") as file:
        for line in file:
            if line.startswith(b"ngram "):
                total += int(line.split(b"=")[1])
            elif line.startswith(b"\\1-grams"):
                return total


def query_rows(run, train, test):
    """Tokens a second, bytes an n-gram and the perplexities of each layout, and what KenLM cannot be asked: medians over
    the same runs, quiet or not."""
    ours, theirs = models(train)
    made = compiled() if theirs else None
    out = []
    for layout, (called, kind, _) in BESIDE.items():
        seconds = run.seconds(0.5)
        rival = Rival("KenLM " + kind, [made, kind, theirs[kind], test]) if made else None
        asked = []

        def ask():
            asked.append(ask_ours(ours, test, called, seconds))
            return asked[-1]["tokens_per_second"]

        out.append(run.compare(f"ngram.query.{layout}", "tokens/s", ask, rival and rival.name,
                               rival and (lambda: rival.ask("tokens", seconds)), bound=fma(1)))
        for what, unit, key in OTHER_QUESTIONS:
            out.append(row(f"ngram.{what}.{layout}", unit, median(answer[key] for answer in asked)))
        mine = asked[0]["bytes_per_ngram"]
        weight = os.path.getsize(theirs[kind]) / ngrams(os.path.join(FOLDER, "ask.arpa")) if rival else None
        out.append(row(f"ngram.bytes.{layout}", "an n-gram", mine, rival and rival.name, weight, weight and weight / mine))
        perplexity = rival and rival.ask("perplexity", 0)
        mine = asked[0]["perplexity"]
        out.append(row(f"ngram.perplexity.{layout}", "", mine, rival and rival.name, perplexity,
                       perplexity and perplexity / mine))
        if rival:
            rival.close()
    return out


def ngram(run):
    train, test = text("train"), text("test")
    if missing():
        run.rivals.said("  " + missing())
    if not train or not test:
        run.rivals.said("  no text: set NGRAM_TEXT and NGRAM_TEST to texts with a sentence a line")
        return
    os.makedirs(os.path.join(FOLDER, "tmp"), exist_ok=True)

    def build(name, make, memory=MEMORY, count=3):
        return [name, name + ".memory"], lambda: build_rows(run, name, make(), memory, count)

    yield build("ngram.build", lambda: train, count=5)
    yield build("ngram.build.long", lambda: long_text(train))
    yield build("ngram.build.long_256M", lambda: long_text(train), "256M")
    names = [f"ngram.{what}.{layout}" for layout in BESIDE for what in
             ["query", "bytes", "perplexity", *(what for what, *_ in OTHER_QUESTIONS)]]
    yield names, partial(query_rows, run, train, test)
