//! `headers`.

use super::*;

#[test]
fn which_headers_there_are() {
    let mut rig = firewall();
    let with = |number: u8| udp6().extension(number, &[0, 0, 1, 4, 0, 0, 0, 0]);
    let (hop, dst) = (with(0), with(60));
    let both = udp6().extension(0, &[0, 0, 1, 4, 0, 0, 0, 0]).extension(60, &[0, 0, 1, 4, 0, 0, 0, 0]);
    for (value, frame, met) in [
        ("proto:exact", udp6(), true),
        ("proto", hop.clone(), false),
        ("proto:contains", hop.clone(), true),
        ("hop:contains", hop.clone(), true),
        ("hop:exact", hop.clone(), false),
        ("hop,proto:exact", hop, true),
        ("dst:contains", dst.clone(), true),
        ("hop,dst:contains", dst, false),
        ("hop,dst:contains", both, true),
        (
            "frag:contains",
            from_host1().ip("2001:db8:1::2", "2001:db8:a1::1").udp(4000, 53, 24).part(7, 0, true),
            true,
        ),
        ("!proto:contains", udp6(), false),
    ] {
        rig.rules(&format!("/{RAW6} headers={value} action=drop")).unwrap();
        let answer = rig.run(Hook::TcIngress, &frame.port, &frame.bytes()).unwrap();
        assert_eq!(answer.reasons == ["raw-drop"], met, "{value}: {:?}", answer.reasons);
    }
}
