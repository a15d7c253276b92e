# Where things lie and what version they have; sourced by the scripts beside it.
# The versions are read by name, in `place` and in the scripts that source this.
# shellcheck shell=bash disable=SC2034

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
store=${SLIPWAY_TEST_ENV:-${XDG_CACHE_HOME:-$HOME/.cache}/slipway/test-env}

# Each version stands once, in the file that its own package manager reads.
kubernetes_version=$(sed -n 's,^require k8s.io/kubernetes v,,p' "$here/go/kubernetes/go.mod")
etcd_version=$(sed -n 's,^require go.etcd.io/etcd/server/v3 v,,p' "$here/go/etcd/go.mod")
keda_version=$(sed -n 's,^require github.com/kedacore/keda/v2 v,,p' "$here/go/keda/go.mod")
helm_version=$(sed -n 's,^require helm.sh/helm/v3 v,,p' "$here/go/helm/go.mod")
kubeconform_version=$(sed -n 's,^require github.com/yannh/kubeconform v,,p' "$here/go/kubeconform/go.mod")
# Three modules, so one name for all of them.
crds_version=$(sed -n 's,^\t.* v\(.*\),\1,p' "$here/go/crds/go.mod" | paste --serial --delimiters=-)
# Debian's package of this release of Debian; of another one it is what that has.
prometheus_version=2.42.0
kafka_version=$(sed -n 's,.*<server.version>\(.*\)</.*,\1,p' "$here/java/kafka/pom.xml")
elasticmq_version=$(sed -n 's,.*<server.version>\(.*\)</.*,\1,p' "$here/java/elasticmq/pom.xml")
moto_version=$(sed -n 's,^moto.*==,,p' "$here/python/moto/requirements.txt")
grpc_version=$(sed -n 's,^grpcio==,,p' "$here/python/grpc/requirements.txt")
# Counts up when what is made of Debian's packages for a real node changes.
node_image_version=1
cargo_deny_version=0.20.2
cargo_mutants_version=27.1.0
cargo_fuzz_version=0.13.2

# The folder of an installed thing. It exists only when it is complete: `install` renames it into place.
place() {
    local version=${1//-/_}_version
    case $1 in
        kube-apiserver | kube-controller-manager | kube-proxy | kube-scheduler | kubectl | kubelet) version=kubernetes_version ;;
    esac
    echo "$store/$1-${!version:?nothing is called $1}"
}

say() { echo "tests/env: $*" >&2; }
die() { say "$@"; exit 1; }
