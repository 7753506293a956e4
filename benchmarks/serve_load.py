"""Throughput and latency of `trainer serve` under load, beside a batch job of `trainer predict` on the same questions.

Eight clients send one question at a time, each the next as soon as it has its answer. The batch job answers as many
questions from a file; the time of a file with one question is taken off, so that loading the model does not count. Both
use all cores, and the clients run on the same ones. Rounds alternate; figures are medians.

usage: serve_load.py TRAINER MODEL [--clients 8] [--questions 600] [--rounds 3]    prints one JSON object
"""

import argparse
import http.client
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SAMPLE = Path(__file__).parent.parent / "datasets/sample/dev.json"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trainer")
    parser.add_argument("model")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rows = questions(args.questions)
    batch, served = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            batch.append(batch_job(args, rows, Path(folder)))
            served.append(load(args, rows))
    rates = [round["questions_per_second"] for round in served]
    result = {
        "machine": platform.processor() or platform.machine(),
        "clients": args.clients,
        "questions": args.questions,
        "batch_questions_per_second": statistics.median(batch),
        "served_questions_per_second": statistics.median(rates),
        "share_of_batch": statistics.median(rates) / statistics.median(batch),
        **{f"p{p}_ms": statistics.median(round[f"p{p}_ms"] for round in served) for p in (50, 99)},
        "rounds": [{"batch": one, **other} for one, other in zip(batch, served)],
    }
    print(json.dumps(result, indent=1))


def questions(count):
    data = json.loads(SAMPLE.read_text())["data"]
    paragraphs = [paragraph for article in data for paragraph in article["paragraphs"]]
    pairs = [(paragraph["context"], qa["question"]) for paragraph in paragraphs for qa in paragraph["qas"]]
    # Neighbours have different texts, as requests of different people.
    pairs = [pairs[i * 37 % len(pairs)] for i in range(len(pairs))]
    return [(str(i), *pairs[i % len(pairs)]) for i in range(count)]


def batch_job(args, rows, folder):
    def seconds(rows):
        path = folder / "questions.jsonl"
        lines = [json.dumps({"id": id, "context": context, "question": question}) for id, context, question in rows]
        path.write_text("\n".join(lines))
        start = time.perf_counter()
        subprocess.run(
            [args.trainer, "predict", "--model", args.model, "--dataset", path], check=True, capture_output=True
        )
        return time.perf_counter() - start

    return (len(rows) - 1) / (seconds(rows) - seconds(rows[:1]))


def load(args, rows):
    server = subprocess.Popen(
        [args.trainer, "serve", "--model", args.model, "--listen", "127.0.0.1:0", "--max-rate", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    try:
        address = server.stdout.readline().strip().removeprefix("http://")
        ask(http.client.HTTPConnection(address), rows[0])
        latencies, remaining, lock = [], iter(rows), threading.Lock()

        def client():
            connection = http.client.HTTPConnection(address)
            while True:
                with lock:
                    row = next(remaining, None)
                if row is None:
                    return
                start = time.perf_counter()
                ask(connection, row)
                latencies.append(time.perf_counter() - start)

        start = time.perf_counter()
        threads = [threading.Thread(target=client) for _ in range(args.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - start
        if len(latencies) != len(rows):
            sys.exit(f"{len(rows) - len(latencies)} requests failed")
    finally:
        server.terminate()
        server.wait(30)
    latencies.sort()
    at = lambda share: 1000 * latencies[min(len(latencies) - 1, int(share * len(latencies)))]
    return {"questions_per_second": len(rows) / seconds, "p50_ms": at(0.5), "p99_ms": at(0.99)}


def ask(connection, row):
    _, context, question = row
    body = json.dumps({"context": context, "questions": [question]})
    connection.request("POST", "/", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200 or answer["answers"][0]["question"] != question:
        sys.exit(f"status {response.status}: {answer}")


if __name__ == "__main__":
    main()
