//! What runs in the guest before and after the command: two small scripts for busybox.

use std::path::Path;

use super::{OUTPUTS, cpio::Archive};

/// One boot: everything that differs from run to run.
pub struct Boot<'b> {
    /// Modules of the initramfs, in order.
    pub load: &'b [String],
    /// Release of the kernel and, on the host, the folder of its modules.
    pub release: &'b str,
    pub modules: &'b Path,
    /// Loaded by name once the root file system is there.
    pub later: &'b [String],
    /// MAC address of each card, in order: they become `ether1`, `ether2`, ...
    pub cards: &'b [String],
    /// 9p tag and folder of what the guest may write to.
    pub writable: &'b [(String, String)],
    pub folder: &'b Path,
    pub environment: &'b [(String, String)],
    pub command: &'b [String],
}

impl Boot<'_> {
    /// `/init` and the session's script, to stand behind the kernel's initramfs.
    pub fn archive(&self) -> Vec<u8> {
        let mut archive = Archive::default();
        archive.file("/init", self.init().as_bytes());
        archive.file("/session", self.session().as_bytes());
        archive.finish()
    }

    /// Mounts the host's file system under an overlay in memory and moves there. All of it runs from memory:
    /// starting a program of the host costs a tenth of a second under emulation.
    fn init(&self) -> String {
        let mut writable = String::new();
        for (tag, folder) in self.writable {
            let target = quote(&format!("/new{folder}"));
            writable += &format!(
                "mkdir -p {target}\nmount -t 9p -o $share,rw,cache=mmap {tag} {target} || die 'mount {tag}'\n"
            );
        }
        INIT.replace("@LOAD@", &self.load.join(" "))
            .replace("@WRITABLE@", &writable)
            .replace("@RELEASE@", self.release)
            .replace("@MODULES@", &quote(&self.modules.to_string_lossy()))
            .replace("@CARDS@", &self.cards.join(" "))
    }

    fn session(&self) -> String {
        let environment: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("export {name}={}", quote(value))).collect();
        let command: Vec<String> = self.command.iter().map(|word| quote(word)).collect();
        SESSION
            .replace("@STREAMS@", &OUTPUTS.join(" "))
            .replace("@LATER@", &self.later.join(" "))
            .replace("@ENVIRONMENT@", &environment.join("\n"))
            .replace("@FOLDER@", &quote(&self.folder.to_string_lossy()))
            .replace("@COMMAND@", &command.join(" "))
    }
}

const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
die() { echo "routerd-vm: $1 failed" >/dev/console; poweroff -f; }
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in @LOAD@; do insmod /modules/$module.ko || die "insmod $module"; done
share=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o $share,ro,cache=loose root /host || die 'mount of the host'
mount -t tmpfs -o size=75% ram /ram
mkdir /ram/upper /ram/work
mount -t overlay -o lowerdir=/host,upperdir=/ram/upper,workdir=/ram/work root /new || die 'overlay'
@WRITABLE@mkdir -p /new/lib/modules /new/run /new/proc /new/sys /new/dev
ln -sfn @MODULES@ /new/lib/modules/@RELEASE@
mount -t tmpfs run /new/run
mkdir -p /new/run/vm /new/run/lock /new/run/netns /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
ln -s /proc/self/fd /dev/fd
for stream in stdin:0 stdout:1 stderr:2; do ln -s /proc/self/fd/${stream#*:} /dev/${stream%:*}; done
for port in /sys/class/virtio-ports/*; do read -r name <$port/name && ln -s /dev/${port##*/} /dev/$name; done
# The order of the cards on the command line, whatever the order in which the driver found them.
number=0
for mac in @CARDS@; do
    number=$((number + 1))
    for link in /sys/class/net/*; do
        read -r own <$link/address
        [ "$own" = $mac ] && ip link set ${link##*/} name ether$number
    done
done
ip link set lo up
hostname router
cp /bin/busybox /session /new/run/vm
for folder in proc sys dev; do mount -o move /$folder /new/$folder; done
exec switch_root /new /run/vm/busybox sh /run/vm/session
"#;

/// The command starts through `env`: Debian's busybox would take its own applet for `ip` or `ping`.
const SESSION: &str = r#"box=/run/vm/busybox
set -- @STREAMS@
out=/dev/$1 err=/dev/$2 status=/dev/$3
@ENVIRONMENT@
for module in @LATER@; do modprobe $module || echo "routerd-vm: modprobe $module failed" >$err; done
ulimit -l unlimited
ulimit -n 65536
cd @FOLDER@ 2>/dev/null || cd /
# Through pipes: the ports themselves can be opened only once, and programs open /dev/stderr again.
{
    {
        ( exec /usr/bin/env -- @COMMAND@ ) </dev/null 3>&-
        echo $? >/run/vm/status
    } 2>&1 >&3 | $box cat >$err
} 3>&1 | $box cat >$out &
streams=$!
until [ -e /run/vm/status ]; do $box sleep 0.05; done
# A process left behind may hold the streams open for ever.
rounds=0
while [ -d /proc/$streams ] && [ $rounds -lt 40 ]; do $box sleep 0.05; rounds=$((rounds + 1)); done
$box cat /run/vm/status >$status
$box poweroff -f
"#;

/// A word as the shell reads it back.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn quoted_words_come_back_unchanged() {
        for word in ["", "plain", "two words", "it's", "$HOME `x` \\ \"", "a\nb"] {
            let out =
                Command::new("sh").arg("-c").arg(format!("printf %s {}", quote(word))).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stdout), word);
        }
    }
}
