#!/bin/sh
# The first process of a test guest: mounts what the agent reads, brings up the network, then obeys the control channel.
#
# Nothing here depends on what a test will do, so that the same initramfs is measured in every boot.
export PATH=/usr/local/bin:/bin HOME=/
busybox mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/console 2>&1
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t securityfs securityfs /sys/kernel/security
for folder in /run /tmp /var/lib/vouchsafe-agent; do busybox mount -t tmpfs -o mode=700 tmpfs "$folder"; done
while read -r module; do busybox insmod "/modules/$module.ko"; done </modules/order
busybox mount -t efivarfs efivarfs /sys/firmware/efi/efivars
for link in lo eth0; do ip link set "$link" up; done
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
hostname guest
echo "guest: the clock says $(date -u +%FT%TZ)"

# A test sends one line, `run LENGTH` or `put LENGTH MODE PATH`, and that many bytes: a script, or a file's content. It gets
# one line, `STATUS LENGTH LENGTH`, and the output and the error output of the script.
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = control ] && exec 3<>"/dev/${port##*/}"
done
cd /run
echo ready >&3
while read -r verb length mode path <&3; do
    head -c "$length" <&3 >content
    : >out
    case $verb in
        run) sh content </dev/null >out 2>err 3>&- ;;
        put) { mkdir -p "${path%/*}" && cp content "$path.new" && chmod "$mode" "$path.new" && mv "$path.new" "$path"; } 2>err ;;
        *) echo "no such verb: $verb" >err; false ;;
    esac
    status=$?
    { echo "$status $(stat -c %s out) $(stat -c %s err)"; cat out err; } >&3
done
echo "guest: the control channel ended"
poweroff -f
