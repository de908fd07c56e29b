#!/bin/sh
# recipe.sh CHECKPOINT RUN [OPTIONS OF SHOSEI TRAIN]: a checkpoint of others', your dialogues, its server and its card.
# $DIALOGUES and $SUITE are the bookshop's unless given; $PORT is 8000, $RATE 1 question a second, $SECONDS_OF_LOAD 30.
set -eu
here=$(dirname "$0")
checkpoint=$1 run=$2
shift 2
url=http://127.0.0.1:${PORT:-8000}
suite=${SUITE:-$here/suite.jsonl}

shosei import "$checkpoint" --out "$run"
shosei supervise --run "$run" --name train -- \
  shosei train --run "$run" --init "$run/model" --dialogues "${DIALOGUES:-$here/dialogues.jsonl}" \
  --set train.batch_size=8 --set train.matrix_lr=1e-4 --set train.table_lr=1e-5 "$@"

shosei serve "$run" --run "$run" --port "${PORT:-8000}" >"$run/served.txt" &
server=$!
trap 'kill $server; wait $server || true' EXIT
until [ -s "$run/served.txt" ]; do # one line, once it is ready
  kill -0 $server
  sleep 1
done
shosei load "$url" --run "$run" --suite "$suite" --rate "${RATE:-1}" --seconds "${SECONDS_OF_LOAD:-30}"
shosei exam "$url" --run "$run" --suite "$suite"
kill $server
wait $server || true
trap - EXIT

shosei card "$run"
