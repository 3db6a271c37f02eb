"""The rows of n-gram models beside KenLM: building them, querying them, and their size.

The environment variable KENLM names the folder of KenLM's sources, with its programs in build/bin; NGRAM_TEXT names a
text to train on, with one sentence per line, and NGRAM_TEST one to query. By default those of WikiText-2 in ../shared
are used.
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
MEMORY = "1024M"   # the limit for both, except in rows that say otherwise
# For each layout: its name in bench_ngram_query, the kind of KenLM model beside it, and build_binary's options for that.
BESIDE = {"fast": ("fast", "probing", ["probing"]),
          "compact": ("compact", "trie", ["trie"]),
          "quantised": ("compact, 8 bits", "quantised", ["-q", "8", "-b", "8", "trie"])}

# Queries that KenLM does not have: the name of the row, its unit, and the key in the output of bench_ngram_query.
OTHER_QUESTIONS = [("distribution", "us", "distribution_us"), ("top10", "us", "top10_us"),
                   ("generate", "words/s", "generated_per_second")]


def missing():
    """Why KenLM is not available; None when it is."""
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
    """The path of a decompressed text; None if there is none. <unk>, which KenLM refuses, is replaced by a word."""
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
    """The path of a text of LONG words: copies of a text with their lines shuffled. In all but the first copy every
    second word is replaced by a random word of the text or, in one case of twenty, by a made-up and mostly rare one, so
    that new words and n-grams keep appearing, as in a real text of that length. (lmplz refuses copies that are more
    alike: with one word in eight replaced, the counts of the 5-grams give a negative discount.)"""
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
    """The seconds and the peak memory in MB of a command."""
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
    """The time and memory of building, by us and by lmplz alternately. Each writes its own kind of file."""
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


# -- Querying -------------------------------------------------------------------------------------------------

def compiled():
    """The path of our query program for KenLM, compiled with its library."""
    made = program("rival_kenlm")
    libraries = [os.path.join(KENLM, "build", "lib", f"lib{name}.a") for name in ["kenlm", "kenlm_util"]]
    subprocess.run(["g++", "-std=c++20", "-O3", "-DNDEBUG", "-DKENLM_MAX_ORDER=6", "-w", "-I" + ROOT, "-I" + KENLM,
                    os.path.join(ROOT, "bench", "rivals", "kenlm_query.cpp"), *libraries, "-lz", "-lbz2", "-llzma",
                    "-lpthread", "-lrt", "-o", made], check=True)
    return made


def models(train):
    """The path of our model of the text and those of KenLM's, which are built once for all queries."""
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
    """The number of n-grams according to the header of an ARPA file."""
    total = 0
    with open(arpa, "rb") as file:
        for line in file:
            if line.startswith(b"ngram "):
                total += int(line.split(b"=")[1])
            elif line.startswith(b"\\1-grams"):
                return total


def query_rows(run, train, test):
    """For each layout: tokens per second, bytes per n-gram, perplexity, and the other queries, whose figures are medians
    over the same runs, disturbed ones included."""
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
