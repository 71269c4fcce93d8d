#!/bin/sh
# Loads a feed of Riposte into nftables, for a Linux gateway. Run it every minute, as root: by cron or a systemd timer.
#
#   nftables-feed.sh https://riposte.example/feeds/TENANT/ip.txt
#
# The password is in a netrc file that root alone can read:
#   machine riposte.example login fw1 password PASSWORD
#
# Whatever goes wrong, what is blocked stays blocked: the sets are replaced in one transaction, or not at all.
set -eu

url=$1
netrc=${NETRC:-/etc/riposte-feed.netrc}
dir=${STATE_DIR:-/var/lib/riposte-feed}
nft=${NFT:-nft}

mkdir -p "$dir"
touch "$dir/etag"
code=$(curl --silent --show-error --fail --max-time 30 --netrc-file "$netrc" \
  --etag-compare "$dir/etag" --etag-save "$dir/etag.new" \
  --output "$dir/list.new" --write-out '%{http_code}' "$url")
# 304: it is as it was. After a restart of the gateway the sets are gone, and it is loaded again.
if [ "$code" = 304 ]; then
  $nft list table inet riposte_feed >/dev/null 2>&1 && exit 0
else
  [ "$code" = 200 ] || exit 1
  mv "$dir/list.new" "$dir/list"
fi

# Addresses and networks alone: nft would look up a name, and ask whoever answers.
elements() { grep -E '^[0-9a-f.:/]+$' "$dir/list" | grep "$@" | paste -sd, -; }
v4=$(elements -v : || true)
v6=$(elements : || true)
{
  echo 'add table inet riposte_feed'
  echo 'add set inet riposte_feed block_v4 { type ipv4_addr; flags interval; auto-merge; }'
  echo 'add set inet riposte_feed block_v6 { type ipv6_addr; flags interval; auto-merge; }'
  echo 'flush set inet riposte_feed block_v4'
  echo 'flush set inet riposte_feed block_v6'
  for hook in input forward output; do
    echo "add chain inet riposte_feed $hook { type filter hook $hook priority -10; policy accept; }"
    echo "flush chain inet riposte_feed $hook"
    for way in saddr daddr; do
      echo "add rule inet riposte_feed $hook ip $way @block_v4 counter drop"
      echo "add rule inet riposte_feed $hook ip6 $way @block_v6 counter drop"
    done
  done
  [ -z "$v4" ] || echo "add element inet riposte_feed block_v4 { $v4 }"
  [ -z "$v6" ] || echo "add element inet riposte_feed block_v6 { $v6 }"
} | $nft -f -
[ "$code" = 304 ] || mv "$dir/etag.new" "$dir/etag"
