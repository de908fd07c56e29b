"""Clients that must work unmodified with ``shosei serve``: ``python bench/clients.py --environments DIR [MODEL]``.

DIR holds an environment for each client, ``DIR/openai``, ``DIR/langchain`` (langchain, langchain-openai),
``DIR/openai-agents`` and ``DIR/lm-eval`` (lm-eval[api], transformers, accelerate, torch), never the one that Shosei is
in. One that is absent is not measured. MODEL is a model or run folder, by default ``runs/quickstart``.

Each client does in its own words what ``client_scripts/`` says. lm-eval asks the same questions over HTTP as on the
model folder itself, by transformers: each log-likelihood must be the same within 0.01. Ends with 3 if one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCRIPTS = {"openai": "openai_client.py", "langchain": "langchain_client.py", "openai-agents": "agents_client.py"}
HERE = Path(__file__).parent / "client_scripts"
FAILED = 3
WEBUI = "Open WebUI's shapes"  # it is an application: what it sends stands in a script
QUESTIONS = [
    {"question": f"{a} + {b} =", "choices": [f" {a + b}", f" {a + b + 1}", f" {a}"], "answer": 0}
    for a, b in ((1, 2), (3, 4), (5, 2), (6, 6), (7, 1), (8, 9))
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True, metavar="DIR")
    parser.add_argument("model", type=Path, nargs="?", default=Path("runs/quickstart"))
    given = parser.parse_args()
    environments = given.environments.absolute()
    folder = given.model / "model" if (given.model / "model").is_dir() else given.model
    checks: dict[str, Callable[[Path, str, str], str]] = dict.fromkeys(SCRIPTS, script)
    checks[WEBUI] = lambda python, url, name: run_script("open_webui_shapes.py", python, url, name)
    checks["lm-eval"] = lambda python, url, name: lm_eval(python, url, name, folder.absolute())
    failed = False
    with served(given.model) as (url, name):
        for client, check in checks.items():
            python = Path(sys.executable) if client == WEBUI else environments / client / "bin" / "python"
            try:
                said = check(python, url, name) if python.exists() else f"not measured: no {python}"
            except (AssertionError, OSError, subprocess.CalledProcessError) as error:
                failed, said = True, f"FAILED: {(getattr(error, 'stderr', '') or str(error)).strip()[-2000:]}"
            print(f"{client}: {said}", flush=True)
    return FAILED if failed else 0


@contextmanager
def served(model: Path) -> Iterator[tuple[str, str]]:
    command = [sys.executable, "-m", "shosei", "serve", str(model), "--no-run", "--port", "0", "--json"]
    command += ["--allow-origin", "http://localhost:8080"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            ready = json.loads(server.stdout.readline())
            yield f"{ready['url']}/v1", ready["model"]
        finally:
            server.terminate()


def run(python: Path, *arguments: str, **environment: str) -> None:
    plain = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([python, *arguments], env=plain | environment, check=True, capture_output=True, text=True)


def script(python: Path, url: str, name: str) -> str:
    return run_script(SCRIPTS[python.parent.parent.name], python, url, name)


def run_script(file: str, python: Path, url: str, name: str) -> str:
    run(python, str(HERE / file), BASE_URL=url, MODEL=name)
    return "works"


def lm_eval(python: Path, url: str, name: str, folder: Path) -> str:
    """Likelihoods and free answers by local-completions, free answers by local-chat-completions, beside ``hf``."""
    with tempfile.TemporaryDirectory() as scratch:
        tasks = write_tasks(Path(scratch))
        local = f"model={name},tokenizer={folder},num_concurrent=2"
        models = {
            "hf": f"pretrained={folder},dtype=float32",
            "local-completions": f"{local},base_url={url}/completions",
            "local-chat-completions": f"{local},base_url={url}/chat/completions",
        }
        found: dict[str, dict[str, list[Any]]] = {}
        for model, arguments in models.items():
            out = Path(scratch) / model
            chat = ["--tasks", "free", "--apply_chat_template"] if "chat" in model else ["--tasks", "choices,free"]
            words = [
                "--device",
                "cpu",
                "--model",
                model,
                "--model_args",
                arguments,
                "--include_path",
                str(tasks),
                *chat,
            ]
            offline = {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": f"{scratch}/cache"}
            command = ["-m", "lm_eval", "run", *words, "--output_path", str(out), "--log_samples"]
            run(python, *command, OPENAI_API_KEY="none", **offline)
            found[model] = samples(out)
    theirs, ours = found["hf"], found["local-completions"]
    apart = max(abs(a - b) for a, b in zip(theirs["choices"], ours["choices"], strict=True))
    assert apart < 0.01, f"log-likelihoods differ by {apart}"
    assert ours["free"] == theirs["free"], f"{ours['free']} over HTTP, {theirs['free']} by transformers"
    assert len(found["local-chat-completions"]["free"]) == len(QUESTIONS)
    return f"works; {len(ours['choices'])} log-likelihoods within {apart:.1g} of transformers', free answers the same"


def samples(out: Path) -> dict[str, list[Any]]:
    """By task, what the model said to each question in turn: log-likelihoods, or texts."""
    said: dict[str, list[Any]] = {}
    for name in ("choices", "free"):
        for file in out.rglob(f"samples_{name}_*.jsonl"):
            rows = sorted(map(json.loads, file.read_text().splitlines()), key=lambda row: row["doc_id"])
            answers = [answer for row in rows for answer in row["resps"]]
            said[name] = [float(answer[0][0]) if name == "choices" else answer[0] for answer in answers]
    return said


def write_tasks(folder: Path) -> Path:
    documents = folder / "documents.jsonl"
    documents.write_text("".join(json.dumps(each) + "\n" for each in QUESTIONS))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(documents)}}, "test_split": "test"}
    data |= {"doc_to_text": "{{question}}"}
    choices = {"output_type": "multiple_choice", "doc_to_choice": "{{choices}}", "doc_to_target": "{{answer}}"}
    free = {"output_type": "generate_until", "doc_to_target": "{{choices[0]}}"}
    free |= {"generation_kwargs": {"until": ["\n"], "max_gen_toks": 12, "temperature": 0, "do_sample": False}}
    free |= {"metric_list": [{"metric": "exact_match"}]}
    tasks = folder / "tasks"
    tasks.mkdir()
    for name, task in {"choices": choices, "free": free}.items():
        (tasks / f"{name}.yaml").write_text(json.dumps({"task": name, **data, **task}))  # JSON is YAML
    return tasks


if __name__ == "__main__":
    sys.exit(main())
