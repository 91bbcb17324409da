#!/bin/sh
# Installs the program of the Postern server at @URL@, and enrols this machine there when it is given a code:
#
#     curl -fsSL @URL@/install.sh | sudo sh -s -- CODE
#
# Where the Debian package is installed, its program is used. Nothing is changed before the download is whole and checked.
set -eu

url='@URL@'
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

# Sets `platform` and the SHA-256 of its program.
choose() {
    [ "$(uname -s)" = Linux ] || fail "there is no program for $(uname -s); on macOS and Windows use the pages of $url in a browser"
    case $(uname -m) in
        x86_64) platform=linux-amd64 ;;
        aarch64 | arm64) platform=linux-arm64 ;;
        *) fail "there is no program for $(uname -m)" ;;
    esac
    case $platform in
@SUMS@        *) fail "this server has no program for $platform; its administrator can put one into programs/postern-$platform of its state directory" ;;
    esac
}

install_program() {
    choose
    mkdir -p "$directory" 2> /dev/null || true
    [ -w "$directory" ] || fail "$directory cannot be written; run this with sudo, or set POSTERN_DIRECTORY"
    fresh=$directory/.postern-new
    trap 'rm -f "$fresh"' EXIT
    echo "Fetching postern-$platform from $url ..."
    fetch "$url/install/postern-$platform" "$fresh" || fail "the download failed"
    found=$(sha256sum "$fresh" | cut -d ' ' -f 1)
    [ "$found" = "$sum" ] || fail "the download is damaged: its SHA-256 is $found, and not $sum"
    chmod 0755 "$fresh"
    "$fresh" version > /dev/null || fail "the program does not run here; it needs glibc 2.36 or newer, as Debian 12 and Ubuntu 23.04 have it"
    # In one step, so that a running program is never half replaced.
    mv "$fresh" "$directory/postern"
    program=$directory/postern
    echo "Installed: $program"
}

install_service() {
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
    # A machine that is enrolled goes on with the new program.
    systemctl try-restart postern-agent.service
}

main() {
    has_systemd=no
    if [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ]; then has_systemd=yes; fi
    if [ -x /usr/bin/postern ]; then
        program=/usr/bin/postern
        echo "Postern is installed: $program"
        # A unit that this script wrote before the package was there would stand in front of the package's.
        if [ $has_systemd = yes ] && grep -qs '^ExecStart=/usr/local/bin/postern agent' /etc/systemd/system/postern-agent.service; then
            rm /etc/systemd/system/postern-agent.service
            systemctl daemon-reload
        fi
    else
        install_program
        if [ $has_systemd = yes ]; then install_service; fi
    fi
    if [ $# -gt 0 ]; then
        exec "$program" machine enroll "$url" "$@" < /dev/null
    fi
    if [ -e /var/lib/postern-agent/machine.json ]; then
        echo "This machine is enrolled: sudo $program machine status"
    else
        echo "To enrol this machine: sudo $program machine enroll $url CODE"
    fi
}

# At the end: a script that was cut off on its way does nothing.
main "$@"
