# Sourced by `inside`: the node sees a cgroup of its own as the root of each hierarchy. What is made there is below it, and `down` removes it.
# shellcheck shell=bash disable=SC2154

hierarchies() { findmnt --noheadings --list --output TARGET --types cgroup,cgroup2; }

# The first half: what the namespace is to have as its root is where its first process is.
join_cgroups() {
    local root setting
    for root in $(hierarchies); do
        mkdir "$root/$cgroup"
        # Version 1: an empty set of processors is nobody's.
        for setting in cpuset.cpus cpuset.mems; do
            [[ -e $root/cgroup.controllers || ! -e $root/$setting ]] || cat "$root/$setting" >"$root/$cgroup/$setting"
        done
        echo $$ >"$root/$cgroup/cgroup.procs"
    done
}

# The second half, in the namespace.
make_cgroups() {
    local root
    for root in $(hierarchies); do
        mount --bind "$root/$cgroup" "$root"
        # Version 2: one with processes gives no controllers to those below it.
        if [[ -e $root/cgroup.controllers && $root != */unified ]]; then
            mkdir "$root/init"
            echo $$ >"$root/init/cgroup.procs"
        fi
    done
}
