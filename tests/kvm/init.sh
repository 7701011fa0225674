#!/bin/busybox sh
# The first process of the Linux that has KVM: boots each image of /cases in a machine of its own
# and says what came out of it. /cases has lines of: name, nested paging, QEMU options, words for the
# kernel, image. An image that is a disc brings its own boot loader, which has the words.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mkdir -p /tmp
for module in irqbypass ccp kvm; do
    [ ! -e /modules/$module.ko ] || $b insmod /modules/$module.ko
done
loaded=
while IFS='|' read -r name npt options words image; do
    if [ "$loaded" != "$npt" ]; then
        [ -z "$loaded" ] || $b rmmod kvm_amd
        $b insmod /modules/kvm-amd.ko npt="$npt" || echo "@@trouble kvm-amd does not load"
        loaded=$npt
    fi
    : >/tmp/console
    : >/tmp/messages
    case $image in
        *.iso) set -- -boot d -cdrom "$image" ;;
        *) set -- -append "stdin=pipe stdout=pipe $words" -kernel "$image" ;;
    esac
    # The options are words on purpose.
    $b timeout 60 /usr/bin/qemu-system-x86_64 -L /usr/share/qemu -L /usr/share/seabios -accel kvm -cpu host \
        $options -nodefaults -no-user-config -display none -monitor none -no-reboot \
        -chardev file,id=console,path=/tmp/console -serial chardev:console \
        -chardev file,id=messages,path=/tmp/messages -device isa-debugcon,iobase=0xe9,chardev=messages \
        -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
        "$@" </dev/null >/tmp/complaints 2>&1
    status=$?
    echo
    echo "@@console $name"
    $b cat /tmp/console
    echo
    echo "@@messages $name"
    $b cat /tmp/messages
    echo
    echo "@@complaints $name"
    $b cat /tmp/complaints
    echo
    echo "@@status $name $status"
done </cases
# How long it believes that it took.
read -r seconds rest </proc/uptime
echo "@@done ${seconds%.*}"
$b poweroff -f
