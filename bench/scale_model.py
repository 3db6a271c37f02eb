#!/usr/bin/env python3
"""How long a training step takes in 1 to 1,024 processes: a model, beside what this machine shows for a few.

The processes share a batch of fixed size, which they compute in 1/n of the time; what is sent stays the same, so there
is a number of processes beyond which more do not pay. With --own-batch each has a batch of its own. From the seconds that a process computes
(c), the bytes of the gradients (N), and a network's latency (a, in seconds a message) and bandwidth (b, in bytes a
second and process), for n processes:

  shares (Gradus)  2 (n - 1) a  +  2 (n - 1) / n N / b     each adds up a share of the elements, and sends it to all
  ring             2 (n - 1) a  +  2 (n - 1) / n N / b     the same bytes, but each message waits for the one before
  tree             2 log2 n (a + N / b)                    all of it to the root and back

Latencies of the shares' messages overlap, of which this machine shows how much; those of a ring do not. A part of the
sum is hidden behind backward, which is about two thirds of c: all but that of the parameters that are ready last.

  bench/scale_model.py                        measures here, with 1, 2 and 4 processes, and predicts
  bench/scale_model.py --latency 2e-6 --bandwidth 12e9 --svg docs/charts/scale.svg       for a network of 100 Gbit/s
"""
import argparse
import json
import math

import svg
from measure import in_processes

COUNTS = [2 ** k for k in range(11)]
BACKWARD = 2 / 3  # of a step's computing


def sum_seconds(way, processes, size, latency, bandwidth):
    """Seconds of the sum of gradients of so many bytes, with nothing hidden."""
    if processes == 1:
        return 0.0
    if way == "tree":
        return 2 * math.log2(processes) * (latency + size / bandwidth)
    messages = 2 * (processes - 1) if way == "ring" else 2 * math.ceil(math.log2(processes))
    return messages * latency + 2 * (processes - 1) / processes * size / bandwidth


def step_seconds(way, processes, compute, size, latency, bandwidth, last):
    """Seconds of a step: what is ready last, `last` of the bytes, hides behind nothing."""
    total = sum_seconds(way, processes, size, latency, bandwidth)
    hidden = min(BACKWARD * compute, (1 - last) * total)
    return compute + total - hidden


def measured(name, seconds):
    """This machine: what a step takes in 1, 2 and 4 processes, and what the model says of it. Processes that share its
    cores compute more slowly, and messages are copies that the cores make, which hide behind nothing."""
    rows = []
    for processes in (1, 2, 4):
        step = in_processes(processes, "step", name, str(seconds))
        row = {"processes": processes, "compute": step["alone"], "step": step["overlapped"], "after": step["after"],
               "bytes": step["bytes"]}
        if processes > 1:
            net = in_processes(processes, "network")
            row["latency"], row["bandwidth"] = net["latency"], net["bandwidth"]
            row["predicted"] = step["alone"] + sum_seconds("shares", processes, step["bytes"], net["latency"],
                                                           net["bandwidth"])
        rows.append(row)
    return rows


def draw(file, title, curves, compute, tokens, own_batch):
    """Tokens a second over the number of processes, both logarithmic; a line for what no network would cost."""
    picture = svg.Drawing(720, 420, title, "tokens a second over processes, " +
                          ("each with a batch of its own" if own_batch else "which share a batch of fixed size"))
    left, right, top, bottom = 80, 560, 80, 370
    ideal = [n * tokens / compute for n in COUNTS]
    low, high = math.log10(ideal[0] * 0.8), math.log10(ideal[-1] * 1.2)
    x = lambda n: left + (right - left) * math.log2(n) / 10
    y = lambda rate: bottom - (bottom - top) * (math.log10(rate) - low) / (high - low)
    for n in COUNTS:
        picture.line(x(n), top, x(n), bottom)
        picture.text(x(n), bottom + 18, str(n), anchor="middle", fill=svg.FAINT)
    for power in range(math.ceil(low), math.floor(high) + 1):
        picture.line(left, y(10 ** power), right, y(10 ** power))
        picture.text(left - 8, y(10 ** power) + 4, f"{10 ** power:,}", anchor="end", fill=svg.FAINT)
    picture.path([(x(n), y(rate)) for n, rate in zip(COUNTS, ideal)], svg.FAINT, width=1, stroke_dasharray="4 4")
    picture.text(right + 8, y(ideal[-1]) + 4, "as if nothing were sent", fill=svg.FAINT)
    for (label, seconds), colour, shift in zip(curves.items(), (svg.OURS, svg.RIVAL, svg.BEHIND), (4, 18, 4)):
        rates = [(n if own_batch else 1) * tokens / s for n, s in zip(COUNTS, seconds)]
        picture.path([(x(n), y(rate)) for n, rate in zip(COUNTS, rates)], colour)
        picture.text(right + 8, y(rates[-1]) + shift, label, fill=colour)
    with open(file, "w", encoding="utf-8") as out:
        out.write(picture.source())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="medium-lstm", help="a size of bench/sizes.py, such as small-gpt")
    parser.add_argument("--seconds", type=float, default=5, help="for each way of making a step")
    parser.add_argument("--latency", type=float, default=2e-6, help="of the network to predict, seconds a message")
    parser.add_argument("--bandwidth", type=float, default=12e9, help="of that network, bytes a second and process")
    parser.add_argument("--last", type=float, default=0.1, help="the share of the bytes that is ready last")
    parser.add_argument("--own-batch", action="store_true", help="a batch for each process, not one for all")
    parser.add_argument("--svg", help="a file to draw the prediction in")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = measured(asked.model, asked.seconds)
    compute, size = rows[0]["compute"], rows[0]["bytes"]
    tokens = in_processes(1, "step", asked.model, "0.1")["tokens"]
    part = (lambda n: compute) if asked.own_batch else (lambda n: compute / n)
    curves = {way: [step_seconds(way, n, part(n), size, asked.latency, asked.bandwidth, asked.last) for n in COUNTS]
              for way in ("shares", "ring", "tree")}
    if asked.svg:
        draw(asked.svg, f"{asked.model} in 1 to 1,024 processes, predicted", curves, compute, tokens, asked.own_batch)
    if asked.json:
        print(json.dumps({"measured": rows, "predicted": dict(curves, processes=COUNTS)}))
        return
    print(f"{asked.model}, gradients of {size / 1e6:.1f} MB\n\nhere: processes  computing ms  step ms  sum after backward ms"
          "  predicted ms  error")
    for row in rows:
        more = f"{1e3 * row['predicted']:12.1f} {row['predicted'] / row['step'] - 1:+7.1%}" if "predicted" in row else ""
        print(f"{row['processes']:15d} {1e3 * row['compute']:13.1f} {1e3 * row['step']:8.1f} {1e3 * row['after']:22.1f} {more}")
    print(f"\na network of {1e6 * asked.latency:g} us and {asked.bandwidth / 1e9:g} GB/s: ms a step, and the share of the time "
          "that computes")
    print("processes " + "".join(f"{way:>22}" for way in curves))
    for i, n in enumerate(COUNTS):
        print(f"{n:9d} " + "".join(f"{1e3 * s[i]:13.1f} {part(n) / s[i]:8.0%}" for s in curves.values()))
    if not asked.own_batch:
        for way, seconds in curves.items():
            best = min(range(len(COUNTS)), key=lambda i: seconds[i])
            print(f"{way}: fastest with {COUNTS[best]} processes, {compute / seconds[best]:.1f} times one; from there on what is "
                  "sent takes longer than what is saved in computing")


if __name__ == "__main__":
    main()
