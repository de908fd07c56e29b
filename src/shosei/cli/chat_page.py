"""The chat page, as the verbs that listen host it: files of ``page``, words of the run, questions of the operator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shosei.cli.common import say
from shosei.errors import InputError

if TYPE_CHECKING:
    from shosei.serve.config import ServeConfig
    from shosei.wire.about import RatingAbout
    from shosei.wire.chat_page import ChatPage
    from shosei.wire.rating_config import RatingConfig
    from shosei.wire.rating_form import RatingForm


def read_form(file: Path | None) -> RatingForm:
    """What the operator asks of raters; ours, without a ``file``. Raises InputError."""
    from shosei import page
    from shosei.wire.rating_form import parse_rating_form, read_rating_form

    return read_rating_form(file) if file else parse_rating_form(page.rating_form(), "page/rating_form.toml")


def page_of(name: str, run: Path | None = None, ratings: RatingAbout | None = None) -> ChatPage:
    """The page before the model ``name``, with what ``run`` tells of it; without a name the server behind is asked."""
    from shosei import page
    from shosei.wire.about import About, about_model
    from shosei.wire.chat_page import ChatPage

    try:
        about = about_model(name, run, ratings)
    except InputError as error:  # no reason to answer nobody
        say(f"the chat page shows no questions of {run}: {error}")
        about = About(name, ratings=ratings)
    return ChatPage(page.static_files(), about)


def ratings_of(config: RatingConfig, *, keyed: bool) -> RatingAbout:
    """How answers are rated. ``keyed``: who asks, and rates, shows a key. Raises InputError."""
    from shosei.wire.about import RatersBy, RatingAbout

    rater: RatersBy = "key" if keyed else "address" if config.raters_by_address else "cookie"
    return RatingAbout.of(read_form(config.rating_form), config.keep_rated_text, rater)


def page_of_server(config: ServeConfig, model: Path, *, recorded: bool, keyed: bool) -> ChatPage:
    """The page of our own server. ``recorded``: it takes ratings; ``keyed``: who asks, and rates, shows a key."""
    ratings = ratings_of(config, keyed=keyed) if recorded else None
    run = model.resolve().parent if model.name == "model" else None
    return page_of(config.name, run, ratings)
