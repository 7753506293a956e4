"""Python and `trainer` find each other's models in Hugging Face's cache: checked with a Hub on this machine, both ways.

usage: python scripts/reference/check_hub_cache.py TRAINER MODEL_FOLDER
needs torch, transformers and huggingface_hub; made with transformers 5.23.0 and huggingface_hub 2.4.0. TRAINER is the
built command (target/debug/trainer), MODEL_FOLDER a BERT encoder with safetensors.

The server answers as the Hub does: small files at once, the weights through a redirection to another port, with the
length and the SHA-256 of what is there. Each direction: one fetches, the other loads with HF_HUB_OFFLINE=1.
"""
import hashlib, http.server, os, pathlib, subprocess, sys, tempfile, threading

TRAINER, FOLDER = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
FILES = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in (".json", ".safetensors")}
COMMIT, MODEL = "0123456789abcdef0123456789abcdef01234567", "owner/tiny"
LOAD = f"""
from transformers import AutoModel, AutoTokenizer
print(AutoTokenizer.from_pretrained("{MODEL}")("a b")["input_ids"], AutoModel.from_pretrained("{MODEL}").num_parameters())
"""


class Storage(http.server.BaseHTTPRequestHandler):
    """Contents by their SHA-256."""
    files = {hashlib.sha256(content).hexdigest(): content for content in FILES.values()}

    def log_message(self, *_):
        pass

    def send(self, status, content=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_GET(self):
        content = self.files[self.path[1:]]
        first = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
        self.send(206 if first else 200, content[first:],
                  Content_Range=f"bytes {first}-{len(content) - 1}/{len(content)}")

    def do_HEAD(self):
        self.do_GET()


class Hub(Storage):
    def do_GET(self):
        name = self.path.split("/")[-1]
        known = [f"/{MODEL}/resolve/{revision}/{name}" for revision in ("main", COMMIT)]
        if self.path not in known or name not in FILES:
            return self.send(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        content = FILES[name]
        sha256 = hashlib.sha256(content).hexdigest()
        if not name.endswith(".safetensors"):
            return self.send(200, content, ETag=f'"{sha256[:40]}"', X_Repo_Commit=COMMIT)
        self.send(302, Location=f"{storage}/{sha256}", X_Repo_Commit=COMMIT, X_Linked_ETag=f'"{sha256}"',
                  X_Linked_Size=str(len(content)))


def start(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def run(home, command, **variables):
    variables = {**os.environ, "HF_HOME": home, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", **variables}
    output = subprocess.run(command, env=variables, capture_output=True, text=True)
    if output.returncode:
        sys.exit(f"{command[0]} failed: {output.stderr.strip()}")
    return output.stdout.strip()


storage, endpoint = start(Storage), start(Hub)
python, trainer = [sys.executable, "-c", LOAD], [TRAINER, "fetch", "model", MODEL]
online, offline = {"HF_ENDPOINT": endpoint}, {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_HUB_OFFLINE": "1"}
for first, second in (trainer, python), (python, trainer):
    with tempfile.TemporaryDirectory() as home:
        print(f"{first[0]}: {run(home, first, **online)}\n{second[0]}, offline: {run(home, second, **offline)}")
