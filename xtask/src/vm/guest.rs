//! The two scripts that run in the guest: from memory until the file system is there, then around the command.

use std::{fs, path::Path};

use anyhow::Result;

use super::{Card, Options};

/// First process. busybox alone: every program from the shared file system costs a tenth of a second.
pub const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /lower /upper /kernel /new
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /modules/*; do insmod $module || echo "insmod $module failed"; done
share() { mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,$3 $1 $2; }
share host /lower ro,cache=loose || poweroff -f
share kernel /kernel ro,cache=loose || poweroff -f
mount -t tmpfs -o size=70% none /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work none /new || poweroff -f
release=$(uname -r)
mkdir -p /new/lib/modules/$release /new/proc /new/sys /new/dev /new/run
mount -o bind /kernel/lib/modules/$release /new/lib/modules/$release
mount -t tmpfs none /new/run
mkdir -p /new/run/vm /new/run/netns /new/run/lock
share exchange /new/run/vm rw || poweroff -f
. /new/run/vm/shares
mkdir -p /dev/pts /dev/shm
mount -t devpts none /dev/pts
mount -t tmpfs none /dev/shm
mount -t bpf none /sys/fs/bpf
mount -t debugfs none /sys/kernel/debug
mount -t tracefs none /sys/kernel/tracing
mount -t cgroup2 none /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
hostname vm
ip link set lo up
for port in /sys/class/virtio-ports/*; do
    [ "$(cat $port/name)" = output ] && ln -s ${port##*/} /dev/output
done
for tree in proc sys dev; do mount --move /$tree /new/$tree; done
exec switch_root /new /bin/sh /run/vm/session
"#;

/// Around the command. The port can be opened only once, so a `cat` holds it and others write to a pipe.
const SESSION: &str = r#"
for module in $MODULES; do modprobe $module || echo "modprobe $module failed" >/dev/console; done
for card in $CARDS; do
    for device in /sys/class/net/*; do
        read mac <$device/address
        [ "$mac" = "${card%=*}" ] && ip link set ${device##*/} name ${card#*=}
    done
done
ulimit -l unlimited
ulimit -n 65536
mkfifo /run/output
cat </run/output >/dev/output & relay=$!
( cd "$FOLDER" && eval "exec $COMMAND" ) </dev/null >/run/output 2>&1
status=$?
tries=0
while [ -d /proc/$relay ] && [ $tries -lt 30 ]; do sleep 0.1; tries=$((tries + 1)); done
echo $status >/run/vm/status
sync
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
"#;

/// Writes the session's script and the list of writable folders into the exchange folder.
pub fn write(exchange: &Path, options: &Options, cards: &[Card]) -> Result<()> {
    let mut shares = String::new();
    for (index, folder) in options.writable.iter().enumerate() {
        let folder = quote(&fs::canonicalize(folder)?.display().to_string());
        shares += &format!("mkdir -p /new{folder}\nshare rw{index} /new{folder} rw\n");
    }
    fs::write(exchange.join("shares"), shares)?;
    let mut modules: Vec<&str> = options.modules.iter().map(String::as_str).collect();
    for card in cards {
        let driver = if card.model == "virtio-net-pci" { "virtio_net" } else { &card.model };
        if !modules.contains(&driver) {
            modules.push(driver);
        }
    }
    let names: Vec<String> = cards.iter().map(|card| format!("{}={}", card.mac, card.name)).collect();
    let command: Vec<String> = options.command.iter().map(|word| quote(word)).collect();
    let path = std::env::var("PATH").unwrap_or_default();
    let variables = [
        ("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin")),
        ("HOME", "/root".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("ROUTERD_VM", options.kernel.clone()),
        ("MODULES", modules.join(" ")),
        ("CARDS", names.join(" ")),
        ("FOLDER", std::env::current_dir()?.display().to_string()),
        ("COMMAND", command.join(" ")),
    ];
    let mut session = String::new();
    for (name, value) in variables {
        session += &format!("export {name}={}\n", quote(&value));
    }
    fs::write(exchange.join("session"), session + SESSION)?;
    Ok(())
}

/// One word for the shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_survive_the_shell() {
        let word = "it's $HOME \"and\" `more`";
        let mut echo = std::process::Command::new("sh");
        let out = echo.arg("-c").arg(format!("printf %s {}", quote(word))).output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
    }
}
