#!/bin/sh
# Installs the program of the Postern server at @URL@, and enrols this machine there when it is given a code:
#
#     curl -fsSL @URL@/install.sh | sudo sh -s -- CODE
#
# Where the Debian package is installed, its program is used. Nothing is changed before the download is whole and checked.
set -eu

url='@URL@'
code=${1:-}
directory=${POSTERN_DIRECTORY:-/usr/local/bin}

fail() {
    echo "postern: $*" >&2
    exit 1
}

fetch() {
    if command -v curl > /dev/null; then
        curl -fsSL -o "$2" "$1"
    elif command -v wget > /dev/null; then
        wget -q -O "$2" "$1"
    else
        fail "curl or wget is needed"
    fi
}

[ "$(uname -s)" = Linux ] || fail "there is no program for $(uname -s); on macOS and Windows use the pages of $url in a browser"
case $(uname -m) in
    x86_64) platform=linux-amd64 ;;
    aarch64 | arm64) platform=linux-arm64 ;;
    *) fail "there is no program for $(uname -m)" ;;
esac
case $platform in
@SUMS@    *) fail "this server has no program for $platform; its administrator can put one into programs/postern-$platform of its state directory" ;;
esac

if [ -x /usr/bin/postern ]; then
    program=/usr/bin/postern
    echo "Postern is installed: $program"
else
    [ "$(id -u)" = 0 ] || [ -w "$directory" ] || fail "$directory cannot be written; run this with sudo, or set POSTERN_DIRECTORY"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    echo "Fetching postern-$platform from $url ..."
    fetch "$url/install/postern-$platform" "$work/postern" || fail "the download failed"
    found=$(sha256sum "$work/postern" | cut -d ' ' -f 1)
    [ "$found" = "$sum" ] || fail "the download is damaged: its SHA-256 is $found, and not $sum"
    chmod 0755 "$work/postern"
    "$work/postern" version > /dev/null || fail "the program does not run here; it needs glibc 2.36 or newer, as Debian 12 and Ubuntu 23.04 have it"
    mkdir -p "$directory"
    # In one step, so that a running program is never half replaced.
    cp "$work/postern" "$directory/.postern-new"
    chmod 0755 "$directory/.postern-new"
    mv "$directory/.postern-new" "$directory/postern"
    program=$directory/postern
    echo "Installed: $program"
fi

if [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ] && [ "$program" != /usr/bin/postern ]; then
    getent passwd postern-agent > /dev/null ||
        useradd --system --user-group --home-dir /var/lib/postern-agent --no-create-home --shell /usr/sbin/nologin postern-agent
    install -d -m 0750 -o root -g postern-agent /etc/postern-agent
    if [ ! -e /etc/postern-agent/agent.yml ]; then
        cat > /etc/postern-agent/agent.yml << 'END-OF-SETTINGS'
@SETTINGS@END-OF-SETTINGS
        chgrp postern-agent /etc/postern-agent/agent.yml
        chmod 0640 /etc/postern-agent/agent.yml
    fi
    sed "s#^ExecStart=/usr/bin/postern#ExecStart=$program#" > /etc/systemd/system/postern-agent.service << 'END-OF-UNIT'
@UNIT@END-OF-UNIT
    systemctl daemon-reload
fi

if [ -z "$code" ]; then
    echo "To enrol this machine: sudo $program machine enroll $url CODE"
    exit 0
fi
exec "$program" machine enroll "$url" "$code" < /dev/null
