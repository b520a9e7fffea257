//! What rules log, as lines of the router's log.

use router_tests::support::{B4, Router, eventually, pings};

#[test]
fn a_packet_that_a_rule_logs_is_a_line_of_the_log() {
    let rules = "/ip firewall filter\n\
         add chain=forward protocol=icmp connection-state=new action=log log-prefix=seen\n\
         /ip firewall nat\n\
         add chain=srcnat out-interface=ether2 action=masquerade\n\
         add chain=srcnat\n\
         /ip firewall raw\n\
         add chain=prerouting protocol=udp dst-port=7 log=yes log-prefix=echo action=drop\n";
    let router = Router::start("rlog", "xdp", rules);
    assert_eq!(pings(router.a(), B4, "-c 1 -W 2"), (1, 1));
    let log = || router.ctl(&["/log print where topics~\"firewall\""]);
    eventually("the line is there", || {
        log().contains("seen forward: in:ether1 out:ether2, connection-state:new")
    });
    let line = log();
    assert!(line.contains("proto ICMP (type 8, code 0), 192.0.2.2->198.51.100.2, len 84"), "{line}");
    assert!(router.daemon.log().contains("seen forward: in:ether1 out:ether2"), "{}", router.daemon.log());

    router.a().run("bash -c echo>/dev/udp/198.51.100.2/7").unwrap();
    eventually("the drop is told of", || log().contains("echo prerouting: in:ether1 out:(unknown 0)"));
}
