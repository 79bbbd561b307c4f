"""Serve the page of `mlproject inspect`: what a registered model makes of one image.

Gradio draws it. Nothing on it comes from another host: its analytics are off, its fonts are the browser's,
and a content security policy forbids the browser the rest (`inspect_guard`).
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from html import escape
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlproject.core.errors import UserError
from mlproject.core.listening import bracketed, listen
from mlproject.inference.inspect_guard import Guard, names

if TYPE_CHECKING:
    import gradio as gr

    from mlproject.inference.inspect_view import ImageInspector

Keep = Callable[[bytes, str, str], str]  # content, name and truth of a photo → what was done
# Set before gradio is imported, which reads them then.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
LARGEST_FILE = "100mb"
FORGOTTEN = (600, 24 * 3600)  # seconds: how often uploaded files are looked at, and how old they get
STYLE = Path(__file__).with_name("inspect.css")


def require_packages() -> None:
    """Raise a UserError that says what to install, unless gradio is installed."""
    if find_spec("gradio") is None:
        raise UserError("The page needs gradio: pip install '.[inspect]'")


class Inspectors:
    """The models that the page offers, each loaded when it is first chosen.

    Args:
        loaders: label in the drop-down → function that loads that model.
    """

    def __init__(self, loaders: Mapping[str, "Callable[[], ImageInspector]"]) -> None:
        self.loaders = loaders
        self._loaded: dict[str, ImageInspector] = {}
        self._lock = Lock()

    def inspect(self, choice: str, file: str | None) -> str:
        """Return HTML that shows what a model makes of a file, or why it cannot.

        Args:
            choice: one of the loaders' names.
            file: path of an uploaded image; None before there is one.
        """
        from mlproject.inference.inspect_view import problem

        try:
            inspector = self.get(choice)
            if file is None:
                return inspector.waiting()
            return inspector.inspect(Path(file).read_bytes(), Path(file).name)
        except UserError as error:
            return problem(f"{Path(file).name}: {error}" if file else str(error))

    def get(self, choice: str) -> "ImageInspector":
        """Return a model; it is loaded once."""
        with self._lock:
            if choice not in self._loaded:
                self._loaded[choice] = self.loaders[choice]()
            return self._loaded[choice]


def serve(
    inspectors: Inspectors,
    title: str,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    allowed: Iterable[str] = (),
    keep: Keep | None = None,
) -> None:
    """Show the page until it is interrupted.

    Args:
        title: stands above the page.
        host: ``127.0.0.1`` for this machine alone.
        port: 0 for a free one.
        on_ready: called with the page's address once it may be opened.
        allowed: further host names under which browsers reach the page, NAME or NAME:PORT.
        keep: keeps what an image shows, as the person who looks says; without it the page does not ask.

    Raises:
        UserError: the address cannot be used, or a name is none.
    """
    listener = listen(host, port)
    port = listener.getsockname()[1]
    with listener, tempfile.TemporaryDirectory() as uploads:  # what was shown here does not stay
        trusted = names(allowed, host, port)
        os.environ.update(QUIET, GRADIO_TEMP_DIR=uploads)
        import gradio as gr
        import uvicorn
        from fastapi import FastAPI
        from gradio import processing_utils

        processing_utils.async_ssrf_protected_download = _fetch_nothing  # whose address the page is sent
        page = _page(inspectors, title, keep)
        app = gr.mount_gradio_app(
            FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
            page,
            path="/",
            run_history=False,
            max_file_size=LARGEST_FILE,
            footer_links=[],
            theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css=STYLE.read_text(encoding="utf-8"),
            ssr_mode=False,
            pwa=False,
        )
        page.has_launched = True  # mounting leaves it False, and Gradio then reads any path that it is given
        server = uvicorn.Server(uvicorn.Config(Guard(app, trusted), log_level="warning", lifespan="on"))
        on_ready(f"http://{bracketed(host)}:{port}")
        with suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
            server.run(sockets=[listener])


async def _fetch_nothing(url: str, cache_dir: str) -> str:
    import gradio as gr

    raise gr.Error("This page fetches no address. Upload the file.")


def _page(inspectors: Inspectors, title: str, keep: Keep | None) -> "gr.Blocks":
    import gradio as gr

    choices = list(inspectors.loaders)
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=FORGOTTEN) as page:
        gr.HTML(f'<h1 class="title">{escape(title)}</h1>')
        with gr.Row(elem_classes="asked"):
            file = gr.File(
                label="Image: PNG, JPEG, BMP, TIFF or WebP", type="filepath", height=110, elem_id="image"
            )
            choice = gr.Dropdown(choices, value=choices[0], label="Model", filterable=False, elem_id="model")
        with gr.Row(elem_id="correct", visible=keep is not None):
            good = gr.Button("It is good", size="sm")
            bad = gr.Button("It is defective:", size="sm")
            defect = gr.Textbox("defect", show_label=False, max_lines=1, container=False, elem_id="defect")
        kept = gr.HTML("", elem_id="kept", visible=keep is not None)
        result = gr.HTML(inspectors.inspect(choices[0], None), elem_id="result")
        shown = gr.State(None)

        def take(choice: str, file: str) -> tuple[str, str, None, str]:
            """Show a new image; the field is empty again, ready for the next one."""
            return inspectors.inspect(choice, file), file, None, ""

        quiet: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}
        if keep:
            good.click(partial(_marked, keep, "good"), [shown], kept, **quiet)
            bad.click(partial(_marked, keep), [defect, shown], kept, **quiet)
        file.upload(take, [choice, file], [result, shown, file, kept], **quiet)
        choice.change(inspectors.inspect, [choice, shown], result, **quiet)
    return page


def _marked(keep: Keep, truth: str, file: str | None) -> str:
    """Keep what an uploaded file shows; return what was done, or why not, as HTML."""
    try:
        if file is None:
            raise UserError("Give an image first.")
        return escape(keep(Path(file).read_bytes(), Path(file).name, truth))
    except UserError as error:
        return f"<b>Not kept.</b> {escape(str(error))}"
