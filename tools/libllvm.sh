#!/bin/sh
# Installs the libLLVM that tracing on a CPU needs, where there is none that is fit and apt is there.
set -eu
for library in /usr/lib/*/libLLVM.so.1[89].* /usr/lib/*/libLLVM.so.2?.* /usr/lib/*/libLLVM-1[678].so*; do
    [ -e "$library" ] && exit 0
done
if command -v apt-get >/dev/null; then
    [ "$(id -u)" = 0 ] || sudo=sudo
    ${sudo-} apt-get update -qq
    ${sudo-} apt-get install -y -qq libllvm19 || ${sudo-} apt-get install -y -qq libllvm18
else
    echo "tracing needs libLLVM 16 or newer: install it, or name it in DRJIT_LIBLLVM_PATH" >&2
fi
