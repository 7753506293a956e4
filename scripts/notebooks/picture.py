"""A picture of a notebook in JupyterLab, for docs/: JupyterLab serves the notebook, headless Chromium shows it.

Needs Playwright beside JupyterLab (`pip install playwright`) and a Chromium, whose path it takes from CHROMIUM
(/usr/bin/chromium). The notebook is one with outputs, as `cargo xtask notebooks run` leaves it in target/notebooks.

usage: picture.py NOTEBOOK OUT.png TEXT    TEXT stands in the cell that the picture begins with
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

PORT = 8899
ADDRESS = f"http://127.0.0.1:{PORT}"


def main():
    notebook, out, text = Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3]
    programs = Path(sys.executable).parent
    subprocess.run([programs / "jupyter", "trust", notebook], check=True)
    with tempfile.TemporaryDirectory() as settings:
        # No question about news in the picture.
        news = Path(settings, "@jupyterlab", "apputils-extension", "notification.jupyterlab-settings")
        news.parent.mkdir(parents=True)
        news.write_text('{"fetchNews": "false"}')
        lab = subprocess.Popen(
            [programs / "jupyter", "lab", "--no-browser", "--allow-root", f"--port={PORT}", "--IdentityProvider.token=",
             f"--ServerApp.root_dir={notebook.parent}", "--ServerApp.log_level=ERROR"],
            env={**os.environ, "JUPYTERLAB_SETTINGS_DIR": settings, "JUPYTERLAB_WORKSPACES_DIR": settings},
        )
        try:
            wait_for_server()
            take(notebook.name, out, text)
        finally:
            lab.send_signal(signal.SIGTERM)
            lab.wait(30)


def wait_for_server():
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{ADDRESS}/api", timeout=2).close()
            return
        except OSError:
            time.sleep(0.5)
    sys.exit("JupyterLab did not start")


def take(name, out, text):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(f"{ADDRESS}/lab/tree/{name}")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
        # The status line says that the kernel has started.
        page.wait_for_function("document.body.innerText.includes('| Idle')", timeout=300_000)
        cell = page.locator(".jp-Notebook .jp-Cell", has_text=text).first
        for _ in range(3):
            # Cells above are drawn as they come into view, and push this one away.
            cell.evaluate("cell => cell.scrollIntoView({block: 'start'})")
            page.wait_for_timeout(1500)
        page.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    main()
