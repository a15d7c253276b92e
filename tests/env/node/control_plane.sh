# Sourced by `inside`: etcd, kube-apiserver, kube-controller-manager and kube-scheduler.
# shellcheck shell=bash disable=SC2154

start_etcd() {
    # The data is thrown away in the end, so nothing need reach the disk.
    launch etcd "$(place etcd)/etcd" --data-dir="$dir/etcd" --unsafe-no-fsync --log-level=warn \
        --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 --listen-peer-urls=http://127.0.0.1:2380
}

start_apiserver() {
    launch kube-apiserver "$(place kube-apiserver)/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
        --secure-port=6443 --bind-address="$node_ip" --advertise-address="$node_ip" --allow-privileged=false \
        --cert-dir="$dir/apiserver" --tls-cert-file="$dir/tls/server.crt" --tls-private-key-file="$dir/tls/server.key" \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$dir/tls/service-account.key" \
        --service-account-signing-key-file="$dir/tls/service-account.key" --token-auth-file="$dir/tokens" \
        --authorization-mode=RBAC --service-cluster-ip-range="$service_range" --kubelet-preferred-address-types=InternalIP
}

start_controller_manager() {
    # All controllers that a node without a cloud has use for. Its own default of 20 requests a second would make the tests wait for it.
    launch kube-controller-manager "$(place kube-controller-manager)/kube-controller-manager" --kubeconfig="$dir/kubeconfig" \
        --leader-elect=false --bind-address=127.0.0.1 --cert-dir="$dir/manager" \
        --service-account-private-key-file="$dir/tls/service-account.key" --root-ca-file="$dir/tls/ca.crt" \
        --use-service-account-credentials=true --controllers='*,-nodeipam,-route,-cloud-node-lifecycle' \
        --kube-api-qps=200 --kube-api-burst=400
}

start_scheduler() {
    launch kube-scheduler "$(place kube-scheduler)/kube-scheduler" --kubeconfig="$dir/kubeconfig" --leader-elect=false --secure-port=0
}
