# shellcheck shell=bash
# Real input that every Debian machine has: what its package manager did, one line an event.

PACKAGE_LOG=/var/log/dpkg.log

package_log_name() { if [ -s "$PACKAGE_LOG" ]; then echo dpkg.log; else echo dpkg-query; fi; }

# Prints "PACKAGE<tab>LINE" for every event; where the log has been removed, for every installed package.
package_log() {
  if [ -s "$PACKAGE_LOG" ]; then
    awk '{
      key = $3 == "status" ? $5 : $3 == "startup" ? $3 : $4
      sub(/:.*/, "", key)
      print key "\t" $0
    }' "$PACKAGE_LOG"
  else
    dpkg-query -W -f '${Package}\t${Package} ${Version} ${db:Status-Status}\n'
  fi
}
