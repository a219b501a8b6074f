# Boots the guest in QEMU, with KVM where KVM works, and brings the exit status of its command back.

PROBE_LIMIT=5     # seconds for KVM to boot to its first line
BOOT_LIMIT=120    # seconds for the guest to reach its command
MEMORY=3072       # megabytes, touched only as far as used

# Sets ACCEL to QEMU's arguments for the processor. The verdict on KVM is kept for this machine.
find_accelerator() {
    local verdict=$LAB/kvm machine
    machine="$(uname -rn) $(ls -l /dev/kvm 2>/dev/null | cut -c1-10)"
    if [[ ! -e /dev/kvm ]]; then
        say "no /dev/kvm: the processor is emulated"
    elif [[ -s $verdict && $(head -n 1 "$verdict") == "$machine" ]]; then
        say "$(tail -n 1 "$verdict") (seen earlier)"
    else
        say "trying KVM for at most $PROBE_LIMIT s"
        if kvm_boots; then
            printf '%s\nKVM works\n' "$machine" >"$verdict"
        else
            printf '%s\nKVM does not work here: the processor is emulated\n' "$machine" >"$verdict"
        fi
        say "$(tail -n 1 "$verdict")"
    fi
    ACCEL=(-accel "tcg,thread=multi" -cpu max)
    if [[ -e /dev/kvm && $(tail -n 1 "$verdict") == 'KVM works' ]]; then
        ACCEL=(-accel kvm -cpu host)
    fi
}

kvm_boots() {
    timeout -s KILL "$PROBE_LIMIT" qemu-system-x86_64 -accel kvm -cpu host -m 256 -display none -vga none -monitor none \
        -serial stdio -no-reboot -nic none -kernel "$KERNEL_DIR/vmlinuz" -initrd "$KERNEL_DIR/initrd.gz" \
        -append 'console=ttyS0 panic=-1 quiet lab_probe=1' </dev/null 2>&1 | grep -q 'this machine boots'
}

# Runs a command in the guest: $1 the artefacts' directory, $2 the time limit in seconds, then the directory and the command.
# The guest sees the machine's file system as it is and may write where it likes: only the artefacts remain.
run_in_guest() {
    local out=$1 limit=$2 qemu
    shift 2
    [[ $out$HERE != *[[:space:]]* ]] || die "the path $out has blanks in it, which a kernel command line cannot carry"
    printf '%s\n' "$@" >"$out/command"
    rm -f "$out/status" "$out/booted"
    say "booting Linux $KERNEL_VERSION"
    timeout -k 5 "$limit" qemu-system-x86_64 "${ACCEL[@]}" -smp 2 -m "$MEMORY" -display none -vga none -monitor none \
        -no-reboot -nic none -kernel "$KERNEL_DIR/vmlinuz" -initrd "$KERNEL_DIR/initrd.gz" \
        -serial "file:$out/console.log" -serial stdio \
        -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
        -virtfs "local,path=$out,mount_tag=out,security_model=none" \
        -append "console=ttyS0 panic=-1 quiet mitigations=off nokaslr lab_main=$HERE/guest/main lab_out=$out lab_modules=$KERNEL_DIR/lib/modules/$KERNEL_VERSION" \
        </dev/null 2>"$out/qemu.log" &
    qemu=$!
    trap 'kill "$qemu" 2>/dev/null' EXIT
    wait_for_boot "$out" "$qemu" || true
    wait "$qemu" || true
    trap - EXIT
    [[ -s $out/status ]] || show_dead_guest "$out" "$limit"
    return "$(<"$out/status")"
}

wait_for_boot() {
    local out=$1 qemu=$2 waited
    for ((waited = 0; waited < BOOT_LIMIT * 5; waited++)); do
        [[ ! -e $out/booted ]] || return 0
        kill -0 "$qemu" 2>/dev/null || return 1
        sleep 0.2
    done
    say "the guest did not come up within $BOOT_LIMIT s"
    kill "$qemu"
    return 1
}

show_dead_guest() {
    say "the guest ended without a status (time limit $2 s); the end of its console:"
    tail -n 40 "$1/console.log" "$1/qemu.log" | tr -d '\r' | sed 's/^/lab: | /'
    echo 2 >"$1/status"
}
