#!/bin/sh
# recipe.sh MODEL.gguf RUN PAIRS… [-- BENCHMARK…]: a real model before and after your dialogues: two cards and the verdict.
# PAIRS are JSON Lines of {"question": …, "answer": …}, such as a file a language, of which every tenth line is held out.
# BENCHMARKS, such as HumanEval.jsonl.gz, are asked too; $LIMIT tasks (40) of each file, on port $PORT (8000).
# $TRAIN has further options of 'shosei train'.
set -eu
model=$1 before=$2 after=$2-tuned
shift 2
url=http://127.0.0.1:${PORT:-8000} limit=${LIMIT:-40}

step() { # says when it begins, so that one sees what takes how long
  printf '\n%s  %s\n' "$(date +%T)" "$*" >&2
  "$@"
}

measure() { # the model of run $1, served: its speed, its answers to held-out questions, its programs, its card
  shosei serve "$1" --run "$1" --slots 8 --context 2048 --port "${PORT:-8000}" >"$1/served.txt" &
  server=$!
  trap 'kill $server; wait $server || true' EXIT
  until [ -s "$1/served.txt" ]; do # one line, once it is ready
    kill -0 $server
    sleep 1
  done
  step shosei load "$url" --run "$1" --prompt-characters 60 --max-tokens 64 --rate 1 --seconds "${SECONDS_OF_LOAD:-30}"
  step shosei exam "$url" --run "$1" --suite "$before/suites" --limit "$limit" --max-tokens 192 --timeout-s 600
  kill $server
  wait $server || true
  trap - EXIT
  step shosei card "$1"
}

step shosei import "$model" --out "$before"
step shosei import "$model" --out "$after"
mkdir -p "$before/suites"
: >"$after/dialogues.jsonl"
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  awk 'NR % 10 == 0' "$1" >"$before/suites/$(basename "$1")"
  awk 'NR % 10 != 0' "$1" >>"$after/dialogues.jsonl"
  shift
done
[ $# -lt 2 ] || { shift && cp "$@" "$before/suites"; }

measure "$before"
step shosei supervise --run "$after" --name train -- \
  shosei train --run "$after" --init "$before/model" --dialogues "$after/dialogues.jsonl" \
  --set train.epochs=1 --set train.optimizer=adamw --set train.matrix_lr=2e-4 --set train.table_lr=2e-5 ${TRAIN:-}
measure "$after"
step shosei compare "$before" "$after" --metric f1 --metric pass_at_1 # named before anybody has looked
