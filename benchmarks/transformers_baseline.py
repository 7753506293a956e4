"""Trains or answers with transformers and PyTorch as run_qa.py does, and prints the time: the baseline of compare.py.
Answers with OpenVINO and ONNX Runtime too.

    python benchmarks/transformers_baseline.py train|answer|limits MODEL DATASET [options]

MODEL is a folder with config.json and tokenizer.json; without weights in it they are drawn at random. Every feature of DATASET, a SQuAD
file, is used once. Standard output has one line of JSON:
  train    forward, backward, clipping, AdamW (fused) and schedule, dropout on; the seconds hold nothing else
  answer   logits of every feature, without gradients; every batch once before the time counts, so that all kernels and shapes are known
  limits   no model: the features' tokens and their squares, and the matmul peak at the model's shapes, each thread with matrices of its own
`--padding padded` pads features to --max-seq-length, run_qa's default; `grouped` draws batches of features of similar length with
transformers' own sampler and pads them to their longest.
`--engine openvino` converts the model and answers on one stream of all threads, `openvino-streams` on one stream for each thread;
`onnxruntime` exports it, fuses it with its own optimizer and, with --int8, quantizes its weights (dynamic quantization). OpenVINO's --int8 is
nncf's quantization of weights and activations, calibrated on the batches that it answers.
Last run with torch 2.9.0, transformers 5.23.0, openvino 2026.4.1, nncf 3.4.0, onnxruntime 1.32.0 and onnx 1.23.2.
"""
import argparse, json, os, pathlib, tempfile, threading, time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["train", "answer", "limits"])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("dataset", type=pathlib.Path)
    parser.add_argument("--padding", choices=["padded", "grouped"], default="padded")
    for name, default in (("batch-size", 8), ("max-seq-length", 384), ("doc-stride", 128), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--float32-matmul-precision", choices=["highest", "high", "medium"], default="highest")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--int8", action="store_true", help="with an --engine other than torch")
    parser.add_argument("--engine", choices=["torch", "openvino", "openvino-streams", "onnxruntime"], default="torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=0, help="batches; 0: all")
    parser.add_argument("--warmup-steps", type=int, default=0, help="training batches that are not timed")
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


args = arguments()

import torch
import transformers
from transformers.trainer_pt_utils import LengthGroupedSampler

from run_qa_features import labels, make_features, make_optimizer, read_examples, tensors

torch.manual_seed(0)
torch.set_num_threads(args.threads or os.cpu_count())
if args.float32_matmul_precision != "highest":  # the default; to ask for it warns
    torch.set_float32_matmul_precision(args.float32_matmul_precision)

DEVICE = torch.device(args.device)
LENGTH = args.max_seq_length if args.padding == "padded" else None


def make_batches(features):
    lengths = [len(feature["input_ids"]) for feature in features]
    if args.padding == "grouped":
        order = list(LengthGroupedSampler(args.batch_size, lengths=lengths))
    else:
        order = torch.randperm(len(features)).tolist()
    chosen = [order[first:first + args.batch_size] for first in range(0, len(order), args.batch_size)]
    return [[features[index] for index in batch] for batch in chosen[:args.steps or None]]


def on_device(inputs):
    return {name: tensor.to(DEVICE, non_blocking=True) for name, tensor in inputs.items()}


class Timer:
    """Times the batches after those of the warm-up."""

    def __init__(self):
        self.count = 0
        self.start()

    def batch_begins(self):
        if self.count == args.warmup_steps:
            self.start()
        self.count += 1

    def start(self):
        self.started, self.cpu_started = self.now(), time.process_time()

    def now(self):
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def seconds(self):
        """Wall time, and the processor's time of all threads."""
        return self.now() - self.started, time.process_time() - self.cpu_started


def make_model():
    config = transformers.AutoConfig.from_pretrained(args.model)
    weights = [file for form in ("*.safetensors", "pytorch_model*.bin") for file in args.model.glob(form)]
    if weights:
        return transformers.AutoModelForQuestionAnswering.from_pretrained(args.model, dtype=torch.float32)
    return transformers.AutoModelForQuestionAnswering.from_config(config)


def compiled(model):
    """Compiled where --compile asks for it, once for all lengths."""
    return torch.compile(model, dynamic=True) if args.compile else model


def train(model, batches, timer):
    run = compiled(model)
    optimizer, schedule = make_optimizer(model, 3e-5, 0.01, len(batches) // 10, len(batches))
    model.train()
    for batch in batches:
        timer.batch_begins()
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=args.bf16):
            loss = run(**on_device(tensors(batch, model, LENGTH) | labels(batch))).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return loss.item()


def answer(model, batches, timer):
    model.eval()
    inputs = [tensors(batch, model, LENGTH) for batch in batches]
    run = {"torch": run_torch, "onnxruntime": onnxruntime_runner}.get(args.engine, openvino_runner)(model, inputs)
    run(inputs)
    timer.start()
    return run(inputs)


def run_torch(model, _):
    forward = compiled(model)

    def run(batches):
        with torch.no_grad(), torch.autocast(DEVICE.type, torch.bfloat16, enabled=args.bf16):
            for inputs in batches:
                output = forward(**on_device(inputs))
        return (output.start_logits.abs().max() + output.end_logits.abs().max()).item()

    return run


def openvino_runner(model, batches):
    import openvino

    threads = torch.get_num_threads()
    streams = threads if args.engine == "openvino-streams" else 1
    converted = openvino.convert_model(model, example_input=batches[0])
    arrays = lambda inputs: {name: tensor.numpy() for name, tensor in inputs.items()}
    if args.int8:
        import nncf

        converted = nncf.quantize(converted, nncf.Dataset(batches, arrays), model_type=nncf.ModelType.TRANSFORMER)
    compiled = openvino.Core().compile_model(converted, "CPU", {
        "INFERENCE_PRECISION_HINT": "bf16" if args.bf16 else "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams,
        "PERFORMANCE_HINT": "THROUGHPUT" if streams > 1 else "LATENCY"})
    largest = [0.0]

    def done(request, _):
        largest[0] = float(sum(abs(output.data).max() for output in request.output_tensors))

    queue = openvino.AsyncInferQueue(compiled, streams)
    queue.set_callback(done)

    def run(batches):
        for inputs in batches:
            queue.start_async(arrays(inputs))
        queue.wait_all()
        return largest[0]

    return run


def onnxruntime_runner(model, batches):
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    names, config = list(batches[0]), model.config
    model.config.return_dict = False
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.onnx"
        axes = {name: {0: "batch", 1: "tokens"} for name in [*names, "start_logits", "end_logits"]}
        torch.onnx.export(model, tuple(batches[0].values()), file, input_names=names, output_names=["start_logits", "end_logits"],
                          dynamic_axes=axes, opset_version=17, dynamo=False)
        fused = optimizer.optimize_model(str(file), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size)
        fused.save_model_to_file(str(file))
        if args.int8:
            quantize_dynamic(file, file.with_name("int8.onnx"), weight_type=QuantType.QInt8, per_channel=True,
                             extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
            file = file.with_name("int8.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(batches):
        for inputs in batches:
            output = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
        return float(sum(abs(logits).max() for logits in output))

    return run


def rate(shape, dtype):
    """GFLOP/s of a matmul on all threads together, each with matrices of its own."""
    rows, inner, columns = shape
    threads = torch.get_num_threads()
    best, seconds = [0.0], [0.0] * threads
    barrier = threading.Barrier(threads)

    def work(thread):
        torch.set_num_threads(1)
        left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
        out = torch.empty(rows, columns, dtype=dtype)
        for _ in range(10):
            barrier.wait()
            started = time.perf_counter()
            for _ in range(4):
                torch.mm(left, right, out=out)
            seconds[thread] = time.perf_counter() - started
            if barrier.wait() == 0:
                best[0] = max(best[0], sum(4 * 2 * rows * inner * columns / each for each in seconds) / 1e9)

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return best[0]


def limits(lengths):
    config = json.loads((args.model / "config.json").read_text())
    hidden = config.get("hidden_size") or config["dim"]
    inner = config.get("intermediate_size") or config["hidden_dim"]
    rows = sum(lengths) * args.batch_size // len(lengths)
    shapes = [(rows, hidden, hidden), (rows, hidden, inner), (rows, inner, hidden)]
    best = {name: max(rate(shape, dtype) for shape in shapes) for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16))}
    return {"tokens": sum(lengths), "squared_tokens": sum(length * length for length in lengths), "gflops": best}


def peak_memory_bytes():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main():
    features = make_features(read_examples(args.dataset), args.model, args.max_seq_length, args.doc_stride)
    result = {"features": len(features), "threads": torch.get_num_threads(), "torch": torch.__version__,
              "transformers": transformers.__version__}
    if args.what == "limits":
        result |= limits([len(feature["input_ids"]) for feature in features])
    else:
        batches, model = make_batches(features), make_model().to(DEVICE)
        work = {"train": train, "answer": answer}[args.what]
        timer = Timer()
        number = work(model, batches, timer)
        seconds, cpu_seconds = timer.seconds()
        count = sum(len(batch) for batch in batches[args.warmup_steps if args.what == "train" else 0:])
        result |= {"features": count, "seconds": seconds, "features_per_second": count / seconds, "cpu_seconds_per_feature": cpu_seconds / count,
                   "last_loss" if args.what == "train" else "largest_logits": number, "peak_memory_bytes": peak_memory_bytes()}
        if DEVICE.type == "cuda":
            result["device_peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
