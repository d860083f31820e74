#!/usr/bin/env bash
# Peers and the browser that the tests talk to come from the system's packages. As root they are installed; otherwise the
# exact command is printed, and the tests that need a missing program are skipped by name.
set -u
declare -A package=(
  [chromium]=chromium [clamd]=clamav-daemon [swaks]=swaks [mbsync]=isync [mutt]=mutt [postfix]=postfix [strace]=strace
  [nsd]=nsd [unbound]=unbound [ldns-signzone]=ldnsutils
)
missing=()
for program in "${!package[@]}"; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null 2>&1 || missing+=("${package[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
command="apt-get install -y --no-install-recommends ${missing[*]} fonts-liberation fonts-dejavu-core"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Some tests will be skipped. To run them too:  sudo $command"
  exit 0
fi
echo "Installing the browser and the mail programs that the tests talk to: ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
# The packages' own services are not wanted: tests start private instances.
made_policy=""
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d && made_policy=1
fi
apt-get -qq update >/dev/null 2>&1
# shellcheck disable=SC2086
$command -qq >/dev/null 2>&1 || echo "That did not work; the tests that need them will be skipped:  $command"
[ -n "$made_policy" ] && rm -f /usr/sbin/policy-rc.d
exit 0
