//! The firewall under real clients: `a` is the local network's host, `b` the Internet's, which knows no way to `a`.

mod bad;
mod counted;
mod forwards;
mod fragment;
mod home;
mod log;
mod mtu;
mod reload;
mod scan;
mod talk;
mod time;
mod uplinks;

use lab::Netns;
use talk::Talk;

use router_tests::support::Router;

/// A home router: what belongs to a connection passes, the local network may go out behind the router's address,
/// from outside comes what is forwarded and nothing else.
const HOME: &str = "\
/interface list
add name=LAN
add name=WAN
/interface list member
add interface=ether1 list=LAN
add interface=ether2 list=WAN
/ip firewall filter
add action=accept chain=input comment=in-known connection-state=established,related,untracked
add action=drop chain=input comment=in-invalid connection-state=invalid
add action=accept chain=input comment=in-icmp protocol=icmp
add action=drop chain=input comment=in-rest in-interface-list=!LAN
add action=accept chain=forward comment=fwd-known connection-state=established,related,untracked
add action=drop chain=forward comment=fwd-invalid connection-state=invalid
add action=drop chain=forward comment=fwd-outside connection-nat-state=!dstnat connection-state=new in-interface-list=WAN
/ip firewall nat
add action=masquerade chain=srcnat comment=masquerade out-interface-list=WAN
/ipv6 firewall filter
add action=accept chain=input connection-state=established,related,untracked
add action=drop chain=input connection-state=invalid
add action=accept chain=input protocol=icmpv6
add action=drop chain=input in-interface-list=!LAN
add action=accept chain=forward connection-state=established,related,untracked
add action=drop chain=forward connection-state=invalid
add action=accept chain=forward protocol=icmpv6
add action=reject chain=forward in-interface-list=!LAN reject-with=icmp-admin-prohibited
";

/// A [`HOME`] router with more lines; `b` has no route to the local network of IPv4.
fn home(label: &str, mode: &str, more: &str) -> Router {
    let router = Router::start(label, mode, &format!("{HOME}{more}"));
    router.b().ip("route del default").unwrap();
    router
}

/// What a program prints, whatever its exit status.
#[track_caller]
fn said(netns: &Netns, line: &str) -> String {
    let mut words = line.split_whitespace();
    let out = netns.command(words.next().unwrap()).args(words).output().unwrap();
    String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
}

/// Bytes of the page that `curl` fetched, as text.
#[track_caller]
fn curl(netns: &Netns, page: &str) -> String {
    said(netns, &format!("curl -s -m 10 -o /dev/null -w %{{size_download}} {page}"))
}

/// The address that `dig` is told for a name.
#[track_caller]
fn ask(netns: &Netns, server: &str, options: &str) -> String {
    let line = format!("dig {options} +short +tries=2 +timeout=2 @{server} www.example.com");
    said(netns, &line).trim().to_owned()
}
