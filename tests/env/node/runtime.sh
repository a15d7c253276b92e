# Sourced by `inside`: containerd, kubelet and kube-proxy.
# shellcheck shell=bash disable=SC2154

start_containerd() {
    mkdir -p "$dir/cni"
    cat >"$dir/cni/10-pods.conflist" <<CONFIG
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_range"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
]}
CONFIG
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE no process may be made less likely to be killed than its parent.
    cat >"$dir/containerd.toml" <<CONFIG
version = 2
root = "$dir/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "docker.io/library/busybox:node"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
CONFIG
    launch containerd containerd --config "$dir/containerd.toml"
}

import_image() { ctr --address /run/containerd/containerd.sock --namespace k8s.io images import "$1"; }

start_kubelet() {
    cat >"$dir/kubelet.yaml" <<CONFIG
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
address: $node_ip
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
# Nothing can be pulled again.
imageMinimumGCAge: 24h
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi}
serializeImagePulls: false
volumePluginDir: $dir/volume-plugins
CONFIG
    launch kubelet "$(place kubelet)/kubelet" --config="$dir/kubelet.yaml" --kubeconfig="$dir/kubeconfig" --root-dir="$dir/kubelet" \
        --cert-dir="$dir/kubelet/pki" --hostname-override=node-1 --node-ip="$node_ip"
}

start_proxy() {
    launch kube-proxy "$(place kube-proxy)/kube-proxy" --kubeconfig="$dir/kubeconfig" --proxy-mode=iptables --hostname-override=node-1 \
        --conntrack-max-per-core=0 --healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
}
