//! `time`.

use super::*;

const DAY_S: u32 = 86_400;

#[test]
fn a_time_of_the_day_and_days_of_the_week() {
    let mut rig = firewall();
    for (value, day, second, met) in [
        ("9h-18h,mon,tue", 1, 9 * 3600, true),
        ("9h-18h,mon,tue", 1, 18 * 3600, true),
        ("9h-18h,mon,tue", 1, 18 * 3600 + 60, false),
        ("9h-18h,mon,tue", 3, 12 * 3600, false),
        ("0s-1d,sun", 0, DAY_S - 60, true),
        ("0s-1d,sun", 6, 0, false),
        ("22h-6h,sun,mon,tue,wed,thu,fri,sat", 4, 23 * 3600, true),
        ("22h-6h,sun,mon,tue,wed,thu,fri,sat", 4, 5 * 3600, true),
        ("22h-6h,sun,mon,tue,wed,thu,fri,sat", 4, 12 * 3600, false),
        ("!9h-18h,mon", 1, 12 * 3600, false),
        ("!9h-18h,mon", 2, 12 * 3600, true),
    ] {
        rig.rules(&format!("/{FORWARD4} time={value} action=drop")).unwrap();
        rig.control(|control| {
            control.week_s = (7 * DAY_S + day * DAY_S + second - control.tick) % (7 * DAY_S);
        })
        .unwrap();
        for _ in 0..2 {
            let expected = if met { "filter-drop" } else { "forwarded" };
            assert_eq!(reason(&mut rig, &udp4()), expected, "{value} on day {day} at {second}");
        }
    }
}
