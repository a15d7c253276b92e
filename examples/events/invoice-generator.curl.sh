#!/bin/sh
# Posts the event of the invoice example as EventBridge would. Run it twice: the second answer is a Duplicate.
# SLIPWAY_URL and SLIPWAY_API_KEY are those of `slipway local` with examples/events/local/hook.yaml, unless they are set.
set -eu
here=$(dirname "$0")
url=${SLIPWAY_URL:-http://127.0.0.1:8080/events/production/invoice-generator}
# The key goes through standard input: arguments are seen by everybody on the machine.
printf 'header = "x-api-key: %s"\n' "${SLIPWAY_API_KEY:-for-this-machine-only}" |
  curl --silent --show-error --config - --header 'content-type: application/json' \
    --data-binary "@$here/sent/subscription-renewed.json" "$url"
echo
