#!/bin/sh
# As root: install-debian.sh "SERVERS" PACKAGE...  Installs the packages without starting the named servers among them
# ("postgresql", "redis"), which this machine did not have before; what already runs is left as it is.
set -eu
servers=$1
shift
system=${DOORSTEP_SYSTEM:-} # another file system root, for the tests
policy=$system/usr/sbin/policy-rc.d
cluster=$system/etc/postgresql-common/createcluster.d/doorstep.conf
mark='Placed by the Doorstep set-up while it installs packages'

clean() {
    for file in "$policy" "$cluster"; do
        if grep -qs "$mark" "$file"; then rm -f "$file"; fi
    done
}
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
clean # what a killed run may have left

# Debian asks policy-rc.d before it starts a service. An administrator's own policy stays in force untouched.
if [ -n "$servers" ] && [ ! -e "$policy" ]; then
    cat >"$policy" <<POLICY
#!/bin/sh
# $mark.
for server in $servers; do
    case "\$1" in "\$server"*) exit 101 ;; esac
done
exit 0
POLICY
    chmod 755 "$policy"
fi

# No system-wide cluster either, which would take a port and start with the machine.
case " $servers " in *" postgresql "*)
    mkdir -p "${cluster%/*}"
    printf '# %s.\ncreate_main_cluster = false\n' "$mark" >"$cluster"
    ;;
esac

DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@"
