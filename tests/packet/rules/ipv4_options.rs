//! `ipv4-options`. What has options is not forwarded by XDP, so that the raw chain is looked at.

use super::*;

#[test]
fn by_kind_and_by_absence() {
    let mut rig = firewall();
    let with = |options: &[u8]| udp4().options(options);
    let (record, loose, strict, alert, time) = (
        [7, 7, 4, 0, 0, 0, 0, 0],
        [131, 7, 4, 0, 0, 0, 0, 0],
        [137, 7, 4, 0, 0, 0, 0, 0],
        [148, 4, 0, 0, 0, 0, 0, 0],
        [68, 8, 5, 0, 0, 0, 0, 0],
    );
    for (value, frame, met) in [
        ("any", with(&record), true),
        ("any", udp4(), false),
        ("none", udp4(), true),
        ("none", with(&alert), false),
        ("record-route", with(&record), true),
        ("no-record-route", with(&record), false),
        ("no-record-route", with(&time), true),
        ("loose-source-routing", with(&loose), true),
        ("strict-source-routing", with(&loose), false),
        ("strict-source-routing", with(&strict), true),
        ("no-source-routing", with(&strict), false),
        ("no-source-routing", with(&time), true),
        ("router-alert", with(&alert), true),
        ("timestamp", with(&time), true),
        ("timestamp", with(&[1, 1, 1, 68, 5, 5, 0, 0]), true),
        ("no-timestamp", with(&[1, 1, 1, 68, 5, 5, 0, 0]), false),
    ] {
        rig.rules(&format!("/{RAW4} ipv4-options={value} action=drop")).unwrap();
        let answer = rig.run(Hook::TcIngress, &frame.port, &frame.bytes()).unwrap();
        assert_eq!(answer.reasons == ["raw-drop"], met, "{value}: {:?}", answer.reasons);
    }
}
