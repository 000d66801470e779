# shellcheck shell=sh
# need.sh: installs Debian packages that are missing; read by ./run and ./test.
#
#   need PACKAGE...      installs them all: as root, or with sudo, or says in a sentence what to install and ends with status 1
#
# Speaks on standard error only, and only when there is something to install.

need() {
    if ! command -v apt-get >/dev/null; then
        echo "Medusa needs what Debian calls: $*. Install that with this system's package manager and try again." >&2
        return 1
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null; then
        as_root=sudo
    else
        echo "Medusa needs some packages. As root, do: apt-get install --no-install-recommends $*" >&2
        return 1
    fi
    echo "Installing $* ..." >&2
    need_log=$(mktemp)
    if { $as_root apt-get update -q &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } >"$need_log" 2>&1 </dev/null; then
        rm -f "$need_log"
        return 0
    fi
    cat "$need_log" >&2
    rm -f "$need_log"
    echo "That did not work. When the reason above is mended, try again, or do: apt-get install $*" >&2
    return 1
}
