# What every shell part of the lab shares: one line for each thing that is done, one line when it cannot go on.

say() { printf 'lab: %s\n' "$*"; }

die() {
    printf 'lab: %s\n' "$*" >&2
    exit 2
}
