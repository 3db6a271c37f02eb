#!/usr/bin/env python3
"""Tokens a second that `gradus serve` writes for one client, and for several at once.

Usage: bench/clients.py GRADUS MODEL [--tokens N] [--rounds N] [--threads N] [CLIENTS...]     CLIENTS: by default 1 2 4 8
Rounds alternate, and the median of each number of clients is reported."""
import argparse
import concurrent.futures
import json
import statistics
import subprocess
import time
import urllib.request


def generate(port, seed, tokens):
    body = json.dumps({"prompt": "", "max_tokens": tokens, "seed": seed}).encode()
    request = urllib.request.Request(f"http://localhost:{port}/generate", body)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)["tokens"]


def speed(port, clients, tokens):
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        start = time.monotonic()
        written = sum(pool.map(lambda seed: generate(port, seed, tokens), range(clients)))
        return written / (time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gradus")
    parser.add_argument("model")
    parser.add_argument("clients", nargs="*", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    command = [options.gradus, "serve", "--model", options.model, "--port", "0", "--json",
               "--threads", str(options.threads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = json.loads(server.stdout.readline())["port"]
            speed(port, 1, 20)  # memory is taken, and caches are filled
            rounds = [[speed(port, clients, options.tokens) for clients in options.clients]
                      for _ in range(options.rounds)]
        finally:
            server.terminate()
    print("| clients | tokens/s | of one client's |\n|---:|---:|---:|")
    medians = [statistics.median(column) for column in zip(*rounds)]
    for clients, median in zip(options.clients, medians):
        print(f"| {clients} | {median:.0f} | {median / medians[0]:.2f} |")


if __name__ == "__main__":
    main()
