# Fetches Debian's stock kernel and makes an initramfs that mounts the machine's own file system.
# Keeps both under $LAB/kernel/VERSION and changes nothing outside of $LAB.

# Modules that the guest needs before it can reach the machine's file system.
EARLY_MODULES=(9p 9pnet_virtio virtio_pci overlay)

# Sets KERNEL_DIR to a directory with vmlinuz, initrd.gz and lib/modules/VERSION.
find_kernel() {
    local version
    mkdir -p "$LAB/kernel"
    if [[ -s $LAB/kernel/version ]]; then
        version=$(<"$LAB/kernel/version")
    else
        version=$(fetch_kernel) || exit 2
        echo "$version" >"$LAB/kernel/version"
    fi
    KERNEL_VERSION=$version
    KERNEL_DIR=$LAB/kernel/$version
    [[ $KERNEL_DIR/initrd.gz -nt $HERE/guest/early && $KERNEL_DIR/initrd.gz -nt $HERE/shell/kernel.sh ]] ||
        make_initramfs
}

# Downloads and unpacks the kernel that linux-image-amd64 stands for; prints its version.
fetch_kernel() {
    local package version dir=$LAB/kernel/new
    package=$(stock_kernel_package)
    if [[ -z $package ]]; then
        update_lists >&2
        package=$(stock_kernel_package)
    fi
    [[ -n $package ]] || die "no package linux-image-amd64 in the package lists; add Debian's main archive"
    version=${package#linux-image-}
    say "downloading $package" >&2
    rm -rf "$dir" && mkdir -p "$dir"
    if ! (cd "$dir" && apt-get download -qq "$package") >"$LAB/apt.log" 2>&1; then
        update_lists >&2
        (cd "$dir" && apt-get download -qq "$package") >"$LAB/apt.log" 2>&1 ||
            die "apt-get download $package: $(tail -n 2 "$LAB/apt.log")"
    fi
    say "unpacking it" >&2
    dpkg -x "$dir"/*.deb "$dir" || die "dpkg -x $package: see above"
    rm -rf "$dir"/*.deb "$dir/usr" "$dir/lib/modules/$version/kernel/"{sound,drivers/gpu,drivers/media}
    depmod -b "$dir" "$version" || die "depmod: see above"
    mv "$dir/boot/vmlinuz-$version" "$dir/vmlinuz"
    rm -rf "${LAB:?}/kernel/$version"
    mv "$dir" "$LAB/kernel/$version"
    echo "$version"
}

stock_kernel_package() {
    apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image-[0-9]/ { print $2; exit }'
}

# Static busybox, the early modules in the order in which they load, and guest/early as init.
make_initramfs() {
    local root=$KERNEL_DIR/initramfs module file
    say "making the guest's initramfs"
    rm -rf "$root"
    mkdir -p "$root"/{bin,modules,proc,sys,dev,lower,upper,root}
    cp /bin/busybox "$root/bin/busybox"
    cp "$HERE/guest/early" "$root/init"
    chmod 755 "$root/init"
    for module in "${EARLY_MODULES[@]}"; do
        modprobe -d "$KERNEL_DIR" -S "$KERNEL_VERSION" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
        while read -r file; do
            cp "$file" "$root/modules/"
            echo "${file##*/}" >>"$root/modules/order"
        done
    [[ -s $root/modules/order ]] || die "modprobe --show-depends: no modules in $KERNEL_DIR"
    (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$KERNEL_DIR/initrd.gz"
    rm -rf "$root"
}
