# Installs a Debian package for its programs only: no service is started, no database is made.
#
# Argument: the package. To be run by root, by one process at a time.

set -e

export DEBIAN_FRONTEND=noninteractive

# Asked by every package that would start a service; the images of containers often have one already.
policy=/usr/sbin/policy-rc.d
# Read by the package of PostgreSQL, which would otherwise make and keep a server of its own.
cluster=/etc/postgresql-common/createcluster.d/queue-testserver.conf

cleanup() {
    rm -f "$cluster"
    rmdir -p --ignore-fail-on-non-empty "${cluster%/*}"
    [ -z "$ours" ] || rm -f "$policy"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

ours=
if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
mkdir -p "${cluster%/*}"
echo 'create_main_cluster = false' >"$cluster"

install() {
    apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "$1"
}

# The lists of packages may be missing or too old.
install "$1" || {
    apt-get update
    install "$1"
}

# Nor at the next start of the machine. The service of PostgreSQL may stay: it has no database to start.
[ "$1" = postgresql ] || update-rc.d "$1" disable
