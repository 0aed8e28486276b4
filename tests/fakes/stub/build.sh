#!/bin/sh
# build.sh [tag]: builds the stub's image where its sources changed, tags it zaki/openclaw-stub:test
# (and TAG), and prints the tag that names these very sources.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C # the order of the files is part of the hash

hash=$(cat Dockerfile build.sh passwd group ./*.h ./*.c | sha256sum | cut -c1-12)
image="zaki/openclaw-stub:$hash"

if ! docker image inspect "$image" >/dev/null 2>&1; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	root="$work/rootfs"
	mkdir -p "$root/usr/local/bin" "$root/etc" "$root/home/node/.openclaw" \
		"$root/home/node/workspace" "$root/tmp"
	chmod 1777 "$root/tmp"
	cp passwd group "$root/etc/"
	# --no-warnings: the linker warns of getaddrinfo in static programs; glibc has had the files
	# and dns sources built in since 2.34, and the stub needs no other.
	"${CC:-gcc}" -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -s -pthread \
		-Wl,--no-warnings -o "$root/usr/local/bin/openclaw" ./*.c -lm
	ln "$root/usr/local/bin/openclaw" "$root/usr/local/bin/node"
	cp Dockerfile "$work/"
	# The classic builder: Debian's engine has no other.
	DOCKER_BUILDKIT=0 docker build -q -t "$image" "$work" >"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; exit 1; }
fi
for tag in zaki/openclaw-stub:test "$@"; do
	docker tag "$image" "$tag"
done
echo "$image"
