# shellcheck shell=bash
#
# lib.sh
#	What the scripts have in common: how they talk, how they get Debian packages,
#	and a private PostgreSQL that nothing else on the machine notices.
#
# To be sourced. Expects nothing of the environment, which may be empty, and of the
# machine only Debian's smallest installation. Works as root, and as a user with sudo:
# what needs root goes through as_root, the server runs as postgres for root (initdb
# refuses root) and as the user otherwise.
#
# Note on set -e: bash ignores it inside anything that stands before || or in an if.
# So steps that can fail half-way are scripts of their own, not functions.

set -euo pipefail

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C.UTF-8
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
export HOME
umask 022

# shellcheck disable=SC2034  # read by the scripts that source this file
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
log=${BERT_LOG:-/dev/null} # what noisy commands print; handed on to scripts called

# ---- talking ----

# What no step expects to fail: the program's own message is above this one.
set -E
trap 'if ((BASH_SUBSHELL == 0)); then
	printf "\nFAILED: %s, in the steps: %s\n" "$0" "${FUNCNAME[*]:-main}" >&2
fi' ERR

step() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }

# die WHAT [WHAT TO DO]
die() {
	printf '\nFAILED: %s\n' "$1" >&2
	if [[ -n ${2:-} ]]; then printf '        %s\n' "$2" >&2; fi
	exit 1
}

# quietly WHAT HINT COMMAND...: its output goes to the log; should it fail, its last
# lines are shown, with what that means and what to do about it.
quietly() {
	local what=$1 hint=$2 output status=0
	shift 2
	output=$(mktemp)
	"$@" >"$output" 2>&1 </dev/null || status=$?
	cat "$output" >>"$log"
	if ((status)); then tail -n 25 "$output" | cut -c 1-200 | sed 's/^/   | /' >&2; fi
	rm -f "$output"
	if ((status)); then die "$what" "$hint"; fi
}

is_root() { (($(id -u) == 0)); }

as_root() {
	if is_root; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "this needs root: $*" "Run this script as root, or install sudo."
	fi
}

# ---- packages ----

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH="$PATH" \
		apt-get -q -y -o DPkg::Lock::Timeout=120 "$@"
}

is_installed() {
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

has_candidate() {
	[[ $(apt-cache policy "$1" 2>/dev/null) =~ "  Candidate: "[^\(] ]]
}

update_package_lists() {
	say "Refreshing the package lists (apt-get update)"
	quietly "apt-get update failed." "Check the network and /etc/apt/sources.list." \
		apt update
}

# need PACKAGE...: installs those that are missing; the lists are refreshed only if they
# do not know a package, or name a version that the mirror no longer has.
need() {
	local package missing=()
	for package; do is_installed "$package" || missing+=("$package"); done
	if ((${#missing[@]} == 0)); then return; fi

	for package in "${missing[@]}"; do
		has_candidate "$package" || {
			update_package_lists
			break
		}
	done
	say "Installing ${missing[*]}"
	if ! apt install --no-install-recommends --download-only "${missing[@]}" >>"$log" 2>&1; then
		update_package_lists
	fi
	keep_postgres_quiet
	quietly "apt-get could not install the packages." \
		"Repair it with: apt-get -f install, then run this again" \
		apt install --no-install-recommends "${missing[@]}"
	let_postgres_be
}

# A first postgresql-NN creates and starts a cluster "main" that nobody asked for here,
# and would also start clusters of other versions that were stopped. Both are switched
# off where Debian has a place for it, while packages are installed; policy-rc.d loses
# its effect with this process, should it be killed before it can clean up.
no_cluster=/etc/postgresql-common/createcluster.d/bert-no-cluster.conf
no_service=/usr/sbin/policy-rc.d
made_no_service=

keep_postgres_quiet() {
	trap let_postgres_be EXIT
	as_root mkdir -p "${no_cluster%/*}"
	as_root tee "$no_cluster" >/dev/null <<<'create_main_cluster = off'
	if [[ ! -e $no_service ]]; then
		made_no_service=yes
		as_root tee "$no_service" >/dev/null <<-EOF
			#!/bin/sh
			# Left by $0, process $$, should it have been killed; may be removed.
			kill -0 $$ 2>/dev/null && exit 101
			exit 0
		EOF
		as_root chmod 755 "$no_service"
	fi
	if command -v pg_conftool >/dev/null &&
		[[ $(pg_conftool /etc/postgresql-common/createcluster.conf show -bs create_main_cluster) != off ]]; then
		die "/etc/postgresql-common/createcluster.conf does not read createcluster.d." \
			"Set create_main_cluster = false in it while this runs: no cluster is to be created."
	fi
}

let_postgres_be() {
	as_root rm -f "$no_cluster"
	as_root rmdir -p --ignore-fail-on-non-empty "${no_cluster%/*}"
	if [[ -n $made_no_service ]]; then as_root rm -f "$no_service"; fi
	made_no_service=
	trap - EXIT
}

# private_apt DIR [SOURCE LINE]: apt directories of our own, so that nothing is changed
# in the machine's. To be used with apt-get -c DIR/apt.conf. Without a line: the
# machine's own sources. English descriptions are asked for: images switch them off.
private_apt() {
	local dir=$1 line=${2:-}
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	{
		printf 'Dir::State "%s/state";\n' "$dir"
		printf 'Dir::State::status "/var/lib/dpkg/status";\n'
		printf 'Dir::Cache "%s/cache";\n' "$dir"
		printf '#clear Acquire::Languages;\nAcquire::Languages "en";\n'
		printf 'APT::Sandbox::User "";\n' # _apt could not enter DIR
		if [[ -n $line ]]; then
			printf 'Dir::Etc::SourceList "%s/sources.list";\n' "$dir"
			printf 'Dir::Etc::SourceParts "/dev/null";\n'
			printf '%s\n' "$line" >"$dir/sources.list"
		fi
	} >"$dir/apt.conf"
	apt-get -c "$dir/apt.conf" -q update
}

# ---- PostgreSQL ----

# The newest PostgreSQL that is installed, or else the one of this Debian.
postgres_major() {
	local installed
	installed=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
	if [[ -x $installed ]]; then
		installed=${installed#/usr/lib/postgresql/}
		echo "${installed%%/*}"
	else
		apt-cache depends --important postgresql 2>/dev/null |
			sed -n 's/^ *Depends: postgresql-\([0-9]*\)$/\1/p'
	fi
}

# Sets major, pg_bin, pg_config, and in packages what building and running takes.
# shellcheck disable=SC2034  # read by the scripts that source this file
choose_postgres() {
	major=$(postgres_major)
	if [[ -z $major ]]; then
		update_package_lists
		major=$(postgres_major)
	fi
	[[ -n $major ]] || die "apt knows no package postgresql." \
		"Check /etc/apt/sources.list: Debian 12 or 13 is expected."
	pg_bin=/usr/lib/postgresql/$major/bin
	pg_config=$pg_bin/pg_config
	packages=(gcc libc6-dev make "postgresql-$major" "postgresql-server-dev-$major"
		ocl-icd-opencl-dev pocl-opencl-icd)
}

# The server, and what speaks to it, run as somebody whom it accepts.
as_server_user() {
	(
		cd / # postgres may not enter the folder that we are in
		if is_root; then runuser -u postgres -- "$@"; else "$@"; fi
	)
}

server_user() { if is_root; then echo postgres; else id -un; fi; }

# state_folder STATE: made, and checked before anything is downloaded in vain
state_folder() {
	local socket=$1/run/.s.PGSQL.5432
	if ((${#socket} > 107)); then
		die "the server's socket would have a name of ${#socket} bytes, 107 are allowed: $socket" \
			"Name a shorter folder: BERT_STATE=/some/folder $0"
	fi
	mkdir -p "$1"
}

# server_create STATE: a cluster below STATE that only a socket in a closed folder leads to
server_create() {
	local state=$1 folders=("$1/data" "$1/run")
	mkdir -p "${folders[@]}" && chmod 700 "${folders[@]}" || return
	if is_root; then chown postgres: "${folders[@]}" || return; fi
	as_server_user "$pg_bin/initdb" -D "$state/data" -U postgres -A trust \
		--encoding=UTF8 --locale=C.UTF-8 --no-instructions || return
	as_server_user tee -a "$state/data/postgresql.conf" >/dev/null <<-EOF

		# A private cluster: no network, a socket that only its owner can reach.
		listen_addresses = ''
		unix_socket_directories = '$state/run'
	EOF
}

server_running() { as_server_user "$pg_bin/pg_ctl" status -D "$1/data" >/dev/null; }

# server_start STATE: with an empty environment, as Debian's own pg_ctlcluster does it
server_start() {
	as_server_user env -i LC_ALL=C.UTF-8 "$pg_bin/pg_ctl" start -w -s \
		-D "$1/data" -l "$1/data/server.log" && return
	as_server_user tail -n 10 "$1/data/server.log"
	return 1
}

server_stop() { as_server_user "$pg_bin/pg_ctl" stop -w -s -m fast -D "$1/data"; }
