"""`cyclorama serve`."""

from __future__ import annotations

import ipaddress
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cyclorama.commands.console import clear_errors, remark, stages
from cyclorama.commands.options import options_of, picked
from cyclorama.engine.errors import BackendUnavailable, InvalidOptions, NoHome
from cyclorama.engine.options import LoadOptions

if TYPE_CHECKING:
    from cyclorama.serving.server import LogFormat

_VARIABLE = "CYCLORAMA_TOKENS"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at; 0.0.0.0 is all.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="And the port.")
@click.option(
    "--model", "names", multiple=True, help="A name or a model folder; repeatable, the first is the default: nano."
)
@click.option(
    "--queue", "capacity", default=16, show_default=True, type=click.IntRange(1, 10_000), help="Jobs that may wait."
)
@click.option(
    "--token-file", type=click.Path(path_type=Path),
    help=f"Who may use /v1: a line NAME:TOKEN each; or {_VARIABLE}, with commas between.",
)  # fmt: skip
@click.option("--no-token", is_flag=True, help="Serve others without a token; each may keep this machine busy.")
@click.option(
    "--deadline", default=600, show_default=True, type=click.IntRange(1, 86_400), help="Seconds a request may take."
)
@click.option(
    "--page/--no-page", "has_page", default=None, help="The web page at /; default: where there are no tokens."
)
@click.option(
    "--log-format", default="text", show_default=True, type=click.Choice(["text", "json"]),
    help="Of the log on standard error; neither has prompts or pictures.",
)  # fmt: skip
@options_of(LoadOptions)
@clear_errors
def serve(
    host: str,
    port: int,
    names: tuple[str, ...],
    capacity: int,
    token_file: Path | None,
    no_token: bool,
    deadline: int,
    has_page: bool | None,
    log_format: LogFormat,
    **values: Any,
) -> None:
    """Serve the web page, and the HTTP API: OpenAI's image edits, masks, jobs, health and metrics.

    docs/page.md and docs/api.md have it all. The page asks for no token, so where there are some it is left out unless
    --page is said.

    \b
    Examples:
      cyclorama serve
      cyclorama serve --model sd15-inpaint --queue 50 --token-file tokens.txt --host 0.0.0.0
    """
    loading = LoadOptions(**picked(LoadOptions, values))
    lines = _token_lines(token_file)
    if not lines and not no_token and not _is_loopback(host):
        raise InvalidOptions(
            f"{host} can be reached by others: give them tokens with --token-file, or say --no-token as well"
        )
    if has_page is None:
        has_page = not lines and find_spec("streamlit") is not None
        if not lines and not has_page:
            remark('for the page as well: pip install "cyclorama[page]"')
    elif has_page and find_spec("streamlit") is None:
        raise BackendUnavailable('the page needs Streamlit: pip install "cyclorama[page]", or say --no-page')
    from cyclorama import BackgroundGenerator
    from cyclorama.engine.matting.networks import DEFAULT_MASK_MODEL, mask_network
    from cyclorama.engine.provenance import signer
    from cyclorama.models.store import named_or_folder
    from cyclorama.serving.app import Settings, make_app
    from cyclorama.serving.guard import Tokens
    from cyclorama.serving.jobs import JobQueue
    from cyclorama.serving.requests import LIMITS
    from cyclorama.serving.server import run
    from cyclorama.serving.service import Service

    signer()
    tokens = Tokens.read(lines)
    if lines and not tokens.by_name:
        raise InvalidOptions(f"there is no token in {token_file or _VARIABLE}; give one, or leave it out")
    models: dict[str, BackgroundGenerator] = {}
    with stages("loading the mask network") as begin:
        mask_network(DEFAULT_MASK_MODEL)
        for name in names or ("nano",):
            begin(f"loading {name}")
            models[Path(name).name] = BackgroundGenerator.load(
                named_or_folder(name), limits=LIMITS,
                backend=loading.backend, device=loading.device, threads=loading.threads, exact=loading.exact,
            )  # fmt: skip
    service = Service(models)
    queue = JobQueue(capacity, owners=len(tokens.by_name))
    hosts = frozenset({"localhost", "127.0.0.1", "::1", host}) if _is_loopback(host) else frozenset()
    settings = Settings(deadline=deadline, hosts=hosts)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    token = "TOKEN" if tokens.by_name else "none"
    page = f", with a page for browsers at {address}/" if has_page else ""
    remark(f"""serving {", ".join(models)} at {address}{page}; stop with Ctrl-C
  curl {address}/v1/images/edits -H "Authorization: Bearer {token}" -F image=@cat.jpg -F prompt="a sandy beach"
  client = OpenAI(base_url="{address}/v1", api_key="{token}")
  client.images.edit(image=open("cat.jpg", "rb"), prompt="a sandy beach")""")
    app = make_app(service, queue, tokens, settings)
    if has_page:
        from cyclorama.space.mounting import mount
        from cyclorama.space.visits import Visits

        mount(app, service, queue, Visits(_visits_folder()))
    run(app, queue, host, port, settings.grace, log_format)


def _visits_folder() -> Path | None:
    """Where visits outlive a restart; None where there is no such place."""
    from cyclorama.models.store import writable_home

    try:
        return writable_home() / "visits"
    except NoHome:
        return None


def _token_lines(file: Path | None) -> list[str]:
    if file is None:
        return os.environ.get(_VARIABLE, "").split(",") if os.environ.get(_VARIABLE) else []
    try:
        return file.read_text(encoding="utf-8").splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidOptions(f"the tokens in {file} cannot be read ({type(error).__name__})") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
