//! Any bytes as an IP packet: no read beyond the frame, no length beyond the packet, no TTL that breaks a checksum.
#![no_main]

use libfuzzer_sys::fuzz_target;
use router_common::cursor::Cursor;
use router_common::parse;
use router_common::wire::ipv4::Ipv4;
use router_common::wire::ipv6::Ipv6;

fuzz_target!(|bytes: &[u8]| {
    let mut frame = bytes.to_vec();
    let whole = frame.len() as u32;
    let start = frame.as_mut_ptr() as usize;
    // SAFETY: the vector's memory, which nothing else refers to while a cursor lives.
    let cursor = || unsafe { Cursor::new(start, start + whole as usize) };
    for merged in [false, true] {
        let mut at = cursor();
        if let Ok(header) = at.take::<Ipv4>()
            && let Ok(length) = parse::ipv4(header, at, merged, || whole)
        {
            assert!((20..=whole).contains(&length));
            if header.ttl() > 0 {
                header.decrement_ttl();
                let mut again = cursor();
                assert!(again.take::<Ipv4>().is_ok());
                assert_eq!(
                    parse::ipv4(header, again, merged, || whole),
                    Ok(length),
                    "checksum after the TTL"
                );
            }
        }
        let mut at = cursor();
        if let Ok(header) = at.take::<Ipv6>()
            && let Ok(length) = parse::ipv6(header, at, merged, || whole)
        {
            assert!((40..=whole).contains(&length));
            let load = |offset: u32| {
                bytes.get(offset as usize..offset as usize + 8).and_then(|eight| eight.try_into().ok())
            };
            if let Ok(upper) = parse::extensions(header.next_header(), length, load, |_| ()) {
                assert!((40..=length).contains(&upper.offset()));
            }
        }
    }
});
