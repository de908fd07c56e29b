"""The ``README.md`` of an exported folder: what hubs call a model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shosei.quantity import shown
from shosei.spec import ModelSpec


def model_card(spec: ModelSpec, source: Path, run: Path | None, licence: str | None) -> str:
    """Markdown with the front matter that hubs read: licence, languages, tags; and the results of the run's card.

    ``source``: the model folder that was exported, which says the licence where ``licence`` does not; what nobody says
    is left out. Languages are those of the run's suites.
    """
    from shosei.model.hf_config import model_type
    from shosei.model.licence import licence_lines, stated_licence

    chat = (source / "chat_template.jinja").is_file()
    languages = _languages(run) if run else []
    header = [
        "---",
        *licence_lines(licence or stated_licence(source), source),
        *(["language:", *(f"- {json.dumps(language)}" for language in languages)] if languages else []),
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags:",
        *(f"- {tag}" for tag in (model_type(spec), *(["conversational"] if chat else []), "shosei")),
        "---",
    ]
    shape = (
        f"{spec.params:,} parameters, {spec.n_layers} layers, width {spec.d_model}, {spec.n_heads} heads, "
        f"{spec.n_kv_heads} of them with keys and values; {spec.vocab_size:,} tokens; {spec.context_length:,} tokens "
        "of context."
    )
    use = ["## Use", "", "```sh", "vllm serve PATH    # or: shosei serve PATH", "```"]
    return "\n".join([*header, "", f"# {spec.name}", "", shape, "", *use, *_results(source, run), ""])


def upload_line(out: Path) -> str:
    """The command that puts the folder on the hub."""
    return f"hf upload YOUR_NAME/{out.resolve().name} {out}"


def _languages(run: Path) -> list[str]:
    tasks = (json.loads(line) for file in run.glob("suites/*.jsonl") for line in file.open(encoding="utf-8"))
    return sorted({task["lang"] for task in tasks if task.get("lang")})


def _results(source: Path, run: Path | None) -> list[str]:
    """A row a metric of the run's card that was measured on the model in ``source``, by the hash of its weights."""
    from shosei.card.words import Translator, escaped, markdown_table
    from shosei.files import sha256
    from shosei.model.hf_files import WEIGHTS, weight_files

    if run is None or not (run / "card.json").is_file():
        return []
    card: dict[str, Any] = json.loads((run / "card.json").read_text(encoding="utf-8"))
    if card["hashes"].get(WEIGHTS) != sha256(*weight_files(source)):
        return ["", "## Results", "", "None: the run's card is of other weights than these."]
    words = Translator("en")
    rows = []
    for metric in card["metrics"]:
        number = shown(metric["value"], metric["unit"], metric["ci"])
        if number.value:
            name, value = words.term(f"{metric['id']}.name"), words.number(number)
            doubt = "" if metric["status"] == "ok" else metric["reason"] or metric["status"]
            rows.append([name, metric["phase"], value, number.interval, str(metric["n"]), doubt])
    columns = ["metric", "phase", "value", "95 % interval", "n", "doubt"]
    table = markdown_table(columns, [[escaped(cell) for cell in row] for row in rows])
    machines = ", ".join(
        f"{machine['cpu']} {' '.join(machine['gpus'])}".strip() for machine in card["hardware"].values()
    )
    told = f"Measured on {card['started'][:10]} ({escaped(machines)}); a value with a doubt is none to rely on."
    return ["", "## Results", "", told, "", *table]
