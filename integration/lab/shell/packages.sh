# Installs what the lab lacks on a Debian machine. Does nothing, quickly, where everything is there.

# One line for each need: a file that shows that the package is there, and the package.
lab_needs() {
    cat <<NEEDS
/usr/sbin/ip iproute2
/usr/sbin/ipvsadm ipvsadm
/usr/sbin/keepalived keepalived
/usr/sbin/modprobe kmod
/usr/sbin/nft nftables
/usr/sbin/sysctl procps
/usr/lib/postgresql/15/bin/postgres postgresql-15
/usr/share/i18n/locales/de_DE locales
/usr/bin/openssl openssl
NEEDS
}

# What the virtual machine needs beyond that.
machine_needs() {
    cat <<NEEDS
/usr/bin/qemu-system-x86_64 qemu-system-x86
/bin/busybox busybox-static
/usr/bin/cpio cpio
/usr/bin/stdbuf coreutils
NEEDS
}

# Reads needs from standard input and installs those that are missing.
install_missing() {
    local file package missing=()
    while read -r file package; do
        [[ -e $file ]] || missing+=("$package")
    done
    # A dynamic busybox cannot run in an initramfs that has no libraries.
    if [[ " ${missing[*]} " != *' busybox-static '* && -e /bin/busybox ]] && ldd /bin/busybox >/dev/null 2>&1; then
        missing+=(busybox-static)
    fi
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || die "missing: ${missing[*]}; install them (this is not a Debian machine)"
    ((EUID == 0)) || die "missing: ${missing[*]}; run as root, or install them"
    update_lists
    keep_postgresql_quiet
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        </dev/null >"$LAB/apt.log" 2>&1 || die "apt-get install: $(tail -n 3 "$LAB/apt.log")"
    let_postgresql_be
}

# Fetches the package lists, once in a run.
update_lists() {
    [[ -z ${LAB_LISTS_FRESH:-} ]] || return 0
    say "fetching the package lists"
    apt-get update -qq </dev/null >"$LAB/apt.log" 2>&1 || die "apt-get update: $(tail -n 3 "$LAB/apt.log")"
    LAB_LISTS_FRESH=1
}

# The package would make a cluster and start it: the lab makes its own, elsewhere.
POSTGRESQL_QUIET=/etc/postgresql-common/createcluster.d/pgvs-lab.conf
keep_postgresql_quiet() {
    mkdir -p "${POSTGRESQL_QUIET%/*}"
    echo 'create_main_cluster = false' >"$POSTGRESQL_QUIET"
}

let_postgresql_be() {
    rm -f "$POSTGRESQL_QUIET"
    rmdir --ignore-fail-on-non-empty "${POSTGRESQL_QUIET%/*}" 2>/dev/null || true
}
