# buildah with folders of its own; sourced by what makes images.
# shellcheck shell=bash disable=SC2154

debian_version=bookworm
# What buildah keeps: bases, and layers of earlier builds. Nothing of it is mounted when no build runs.
containers=$store/containers-$node_image_version
export CONTAINERS_STORAGE_CONF=$containers/storage.conf
# Its own temporary folder is /var/tmp, whatever TMPDIR says elsewhere.
export TMPDIR=${TMPDIR:-/tmp}

prepare_containers() {
    mkdir -p "$containers"
    [[ -e $CONTAINERS_STORAGE_CONF ]] || cat >"$CONTAINERS_STORAGE_CONF" <<CONFIG
[storage]
driver = "overlay"
graphroot = "$containers/storage"
runroot = "$containers/run"
CONFIG
}

# buildah mounts its storage onto itself, and leaves that.
leave_containers() { umount "$containers/storage/overlay" 2>/dev/null || true; }

has_image() { buildah inspect --type image "$1" >/dev/null 2>&1; }

# Commits a folder or a tar as an image: commit_tree NAME TREE [SETTING…], settings as for `buildah config`.
commit_tree() {
    local name=$1 tree=$2 container
    shift 2
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$tree" / >/dev/null
    (($# == 0)) || buildah config "$@" "$container"
    buildah commit --quiet --rm "$container" "$name" >/dev/null
}

# The base of the Dockerfile's last stage under the name that it has there, made of Debian's packages.
debian_base() {
    local name=$1
    has_image "$name" && return
    say "making $name of Debian's packages, about half a minute the first time"
    mmdebstrap --quiet --variant=minbase "$debian_version" "$containers/debian.tar" >&2
    commit_tree "$name" "$containers/debian.tar" --cmd /bin/bash
    rm "$containers/debian.tar"
}

# The archive that `docker load` and containerd read: save_image NAME FILE.
save_image() {
    rm -f "$2"
    buildah push --quiet "$1" "docker-archive:$2:$1" >/dev/null
}
