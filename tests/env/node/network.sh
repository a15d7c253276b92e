# Sourced by `inside`: addresses, and the files that everything on the node shares.
# shellcheck shell=bash disable=SC2154

# The node's own address, on a bridge without members: nothing leads out of the namespace.
node_ip=10.77.0.1
# Where Services have their addresses, and Pods theirs.
service_range=10.96.0.0/16
pod_range=10.88.0.0/24

make_network() {
    ip link set lo up
    ip link add node0 type bridge
    ip address add "$node_ip/24" dev node0
    ip link set node0 up
    ip route add default dev node0
    sysctl --quiet --write net.ipv4.ip_forward=1
}

# What servers of a node keep at places of their own choosing is here a file system of its own, gone with the node. The kernel's settings
# belong to the whole machine, and kubelet changes some: it gets copies.
make_mounts() {
    mount --make-rprivate /
    local place setting
    for place in /run /var/lib /var/log; do
        [[ $store/ != "$place"/* && $dir/ != "$place"/* ]] || die "$place is hidden on the node: put SLIPWAY_TEST_ENV and TMPDIR elsewhere"
        mount -t tmpfs -o mode=755 tmpfs "$place"
    done
    mkdir /run/settings
    for setting in kernel/{panic,panic_on_oops,keys/root_maxkeys,keys/root_maxbytes} vm/{overcommit_memory,panic_on_oom}; do
        cat "/proc/sys/$setting" >"/run/settings/${setting//\//.}"
        mount --bind "/run/settings/${setting//\//.}" "/proc/sys/$setting"
    done
}

make_certificates() (
    cd "$dir/tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj "/CN=Slipway node authority" -keyout ca.key -out ca.crt
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=kube-apiserver" \
        -addext "subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$node_ip,IP:${service_range%.*.*}.0.1" \
        -keyout server.key -out server.csr
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 30 -copy_extensions copy -out server.crt
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out service-account.key
) >"$dir/log/openssl" 2>&1

write_kubeconfig() {
    local token
    token=$(openssl rand -hex 16)
    echo "$token,admin,admin,system:masters" >"$dir/tokens"
    cat >"$dir/kubeconfig" <<CONFIG
apiVersion: v1
kind: Config
current-context: node
contexts:
- {name: node, context: {cluster: node, user: admin, namespace: default}}
clusters:
- name: node
  cluster: {server: "https://$node_ip:6443", certificate-authority: "$dir/tls/ca.crt"}
users:
- {name: admin, user: {token: $token}}
CONFIG
}
