# Installs only the programs of a Debian package: starts no service, creates no database.
#
# Argument: the package. Must be run by root and by one process at a time.

set -e

export DEBIAN_FRONTEND=noninteractive

# Each package with a service calls this policy. Container images often have one.
policy=/usr/sbin/policy-rc.d
# The PostgreSQL package reads this setting, otherwise it would create a server.
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

# Services must not start at the next boot either. PostgreSQL's may, because it has no database.
[ "$1" = postgresql ] || update-rc.d "$1" disable
