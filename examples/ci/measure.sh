#!/bin/sh
# measure.sh URL QUESTIONS PROFILE BASELINE -- COMMAND…: start a server by its command, measure it, judge it.
# All that is written lies in runs/candidate: the run, server.log, card.html, card.xml, card.prom and, where BASELINE is
# a run, compare.xml and compare.md. Exit code: 3 something is worse or misses its limit; else 5 a measurement is invalid;
# else 4 something is not decided; 0 nothing is wrong. Any other: it could not be measured.
set -eu
if [ $# -lt 6 ] || [ "$5" != -- ]; then
  echo "usage: measure.sh URL QUESTIONS PROFILE BASELINE -- COMMAND…" >&2
  exit 2
fi
url=$1 questions=$2 profile=$3 baseline=$4
shift 5
run=runs/candidate
verdicts=

note() { # the exit code of a command, if it is a verdict; whatever else goes wrong ends all
  code=0
  "$@" || code=$?
  case $code in
    0 | 3 | 4 | 5) verdicts="$verdicts $code" ;;
    *) exit "$code" ;;
  esac
}

mkdir -p "$run"
SHOSEI_RUN=$run "$@" >"$run/server.log" 2>&1 & # 'shosei serve' and 'shosei supervise' record into it
server=$!
stop() {
  kill "$server" 2>/dev/null || true
  wait "$server" || true
}
trap stop EXIT
seconds=0
until python -c 'import sys; from shosei.wire.endpoint import is_ready; sys.exit(not is_ready(sys.argv[1]))' "$url"; do
  kill -0 "$server" 2>/dev/null || {
    cat "$run/server.log" >&2
    exit 1
  }
  seconds=$((seconds + 1))
  [ "$seconds" -le 600 ] || {
    echo "no server is ready at $url after $seconds s; what it said is in $run/server.log" >&2
    exit 1
  }
  sleep 1
done

note shosei load "$url" --run "$run" --suite "$questions" --profile "$profile"
note shosei exam "$url" --run "$run" --suite "$questions"
stop
trap - EXIT

# Limits decide about speeds, times and errors; the comparison about answers alone, which single runs can decide.
note shosei card "$run" --profile "$profile" --junit "$run/card.xml" --openmetrics "$run/card.prom"
if [ -d "$baseline/log" ]; then
  note shosei compare "$baseline" "$run" --metric pass_at_1 --profile "$profile" \
    --junit "$run/compare.xml" --markdown "$run/compare.md"
else
  echo "no baseline in $baseline: nothing to compare with"
fi

for code in 3 5 4; do
  case $verdicts in *$code*) exit $code ;; esac
done
