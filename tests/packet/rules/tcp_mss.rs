//! `tcp-mss`.

use super::*;

fn syn(mss: &[u8]) -> Frame {
    let mut bytes = vec![0x0f, 0xa0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0];
    bytes.extend([(5 + mss.len() as u8 / 4) << 4, 2, 0xfa, 0xf0, 0, 0, 0, 0]);
    bytes.extend(mss);
    from_host1().ip("192.0.2.2", "10.1.0.1").raw(6, &bytes)
}

#[test]
fn what_a_syn_announces() {
    let mut rig = firewall();
    let of = |mss: u16| syn(&[2, 4, mss.to_be_bytes()[0], mss.to_be_bytes()[1]]);
    check(
        &mut rig,
        FORWARD4,
        &[
            ("protocol=tcp tcp-mss=1460", of(1460), true),
            ("protocol=tcp tcp-mss=1461-65535", of(1460), false),
            ("protocol=tcp tcp-mss=0-1378", of(1379), false),
            ("protocol=tcp tcp-mss=!0-1378", of(1379), true),
            ("protocol=tcp tcp-mss=!0-1378", of(536), false),
            // Nothing announced, and nothing to announce.
            ("protocol=tcp tcp-mss=0-65535", syn(&[]), false),
            ("protocol=tcp tcp-mss=0-65535", tcp4(16), false),
        ],
    );
}
