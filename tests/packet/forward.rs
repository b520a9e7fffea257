//! Plain forwarding.

use router_tests::packet::Hook;

use crate::lab::{HOST2, ROUTER2, from_host1, router};

#[test]
fn smoke() {
    let mut rig = router();
    println!("{:?}", rig.verified_instructions().unwrap());
    for (source, destination) in [("192.0.2.2", "10.1.0.1"), ("2001:db8:1::2", "2001:db8:a1::1")] {
        for _ in 0..2 {
            let frame = from_host1().ip(source, destination);
            let answer = rig.run(Hook::Xdp, "ether1", &frame.bytes()).unwrap();
            let expected = frame.clone().macs(ROUTER2, HOST2).ttl(63).bytes();
            println!("{answer:?}");
            assert_eq!(answer.frame, expected);
            let answer = rig.run(Hook::TcIngress, "ether1", &frame.bytes()).unwrap();
            println!("{answer:?}");
        }
    }
}
