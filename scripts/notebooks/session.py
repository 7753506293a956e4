"""One evcxr kernel, and what its cells give back."""

import re
import signal
import sys
import time
from queue import Empty

import nbformat
from jupyter_client.manager import KernelManager
from nbformat.v4 import new_output

KERNEL = "squad-burn"


# What notebook-kit draws. evcxr falls back to its `Debug` form where a cell moves a variable of its own into it.
RICH = ("Svg(", "Html(", "Table {", "()")


class Failed(Exception):
    """A cell that did not end as it should."""


class Session:
    """A kernel that is killed with everything it started when the `with` block ends."""

    def __init__(self, folder, start_seconds=120):
        self.manager = KernelManager(kernel_name=KERNEL)
        self.folder = folder
        self.start_seconds = start_seconds

    def __enter__(self):
        self.manager.start_kernel(cwd=str(self.folder))
        # Standard output may be a pipe whose reader is gone; the kernel must still be ended.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            self.connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def connect(self):
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=self.start_seconds)

    def restart(self):
        self.client.stop_channels()
        self.manager.restart_kernel(now=True)
        self.connect()

    def __exit__(self, *_):
        # SIGKILL to the kernel's process group, by its id.
        self.manager.shutdown_kernel(now=True)

    def run(self, code, seconds):
        """The outputs of one cell, whatever it does; `Failed` if it takes longer than `seconds`."""
        outputs = []
        deadline = time.monotonic() + seconds
        request = self.client.execute(code, allow_stdin=False)
        is_idle = False
        while True:
            try:
                # Lines that were printed last may come after the kernel says that it is idle.
                message = self.client.get_iopub_msg(timeout=0.1 if is_idle else 1)
            except Empty:
                if is_idle:
                    return outputs
                if time.monotonic() > deadline:
                    raise Failed(f"not done after {seconds} s") from None
                if not self.manager.is_alive():
                    raise Failed("the kernel died") from None
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status":
                is_idle |= content["execution_state"] == "idle"
            elif kind in ("stream", "error"):
                append(outputs, new_output(kind, **content))
            elif kind in ("execute_result", "display_data"):
                append(outputs, new_output("display_data", data=content["data"]))


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def append(outputs, new):
    """Joins consecutive pieces of one stream."""
    last = outputs[-1] if outputs else None
    if last and new.output_type == "stream" and last.get("name") == new.name:
        last.text += new.text
    else:
        outputs.append(new)


def text(outputs, stream):
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == stream)


def errors(outputs):
    """The messages of a cell's failure. A panic and a cell that ends in an `Err` count as success for the
    kernel: they show on standard error alone."""
    messages = [f"{o.ename}: {o.evalue}\n" + plain("\n".join(o.traceback)) for o in outputs if o.output_type == "error"]
    messages += [f"shown as text: {shown[:60]}" for shown in map(plain_result, outputs) if shown.startswith(RICH)]
    stderr = text(outputs, "stderr")
    return messages + ([stderr] if stderr.strip() else [])


def plain_result(output):
    return output.get("data", {}).get("text/plain", "")


def plain(text):
    """Without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
