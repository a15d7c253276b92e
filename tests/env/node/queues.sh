# Sourced by `inside`: SQS as Pods see it, at the node's address.
# shellcheck shell=bash disable=SC2154

start_elasticmq() {
    cat >"$dir/elasticmq.conf" <<CONFIG
include classpath("application.conf")
node-address {host = "$node_ip", port = 9324}
rest-sqs {bind-hostname = "$node_ip", bind-port = 9324}
rest-stats.enabled = false
CONFIG
    launch elasticmq java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Dconfig.file=$dir/elasticmq.conf" \
        -cp "$(place elasticmq)/*" org.elasticmq.server.Main
}
