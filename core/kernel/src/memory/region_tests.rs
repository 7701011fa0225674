//! Regions against a model that knows every page.

use super::*;
use proptest::prelude::*;

fn anonymous(end: u64) -> Region {
    Region {
        end,
        protection: Protection::READ,
        backing: Backing::Anonymous,
    }
}

#[test]
fn neighbours_that_continue_each_other_are_one() {
    let mut map = RegionMap::new();
    map.insert(0x2000, anonymous(0x3000));
    map.insert(0x4000, anonymous(0x5000));
    map.insert(0x3000, anonymous(0x4000));
    assert_eq!(map.len(), 1);
    assert_eq!(map.find(0x4fff), Some((0x2000, &anonymous(0x5000))));
    let cache = Cache::new(0, 0x10000);
    let file = |offset, end| Region {
        end,
        protection: Protection::READ,
        backing: Backing::File { cache, offset },
    };
    map.insert(0x8000, file(0x1000, 0x9000));
    map.insert(0x9000, file(0x2000, 0xa000));
    assert_eq!(map.len(), 2);
    map.insert(0xa000, file(0x8000, 0xb000));
    assert_eq!(map.len(), 3);
}

#[test]
fn an_empty_range_has_no_pieces() {
    let mut map = RegionMap::new();
    map.insert(0x2000, anonymous(0x6000));
    assert_eq!(map.take_first(0x4000, 0x4000), None);
    assert_eq!(map.len(), 1);
    assert!(!map.is_split_by(0x2000, 0x6000));
    assert!(map.is_split_by(0x1000, 0x3000) && map.is_split_by(0x5000, 0x7000));
    assert_eq!(map.gap_around(0x7000, 0x8000), (0x6000, u64::MAX));
}

#[test]
fn room_is_found_from_the_top() {
    let mut map = RegionMap::new();
    map.insert(0x8000, anonymous(0x9000));
    assert_eq!(map.find_room(0x1000, 0x10000, 0x7000), Some(0x9000));
    assert_eq!(map.find_room(0x1000, 0x10000, 0x7001), None);
    assert_eq!(map.find_room(0x1000, 0x10000, 0x1000), Some(0xf000));
    assert_eq!(map.find_room(0x1000, 0x8800, 0x1000), Some(0x7000));
}

proptest! {
    #[test]
    fn agrees_with_a_page_by_page_model(
        operations in prop::collection::vec((any::<bool>(), 0u64..64, 1u64..16), 1..60)
    ) {
        let mut map = RegionMap::new();
        let mut model = [None::<u64>; 80];
        let cache = Cache::new(0, 1 << 30);
        for (add, page, pages) in operations {
            let (start, end) = (page << 12, (page + pages) << 12);
            let split = map.is_split_by(start, end);
            let before = map.len();
            let mut next = start;
            while let Some((from, region)) = map.take_first(next, end) {
                prop_assert!(next <= from && from < region.end && region.end <= end);
                next = region.end;
            }
            prop_assert!(map.is_free(start, end));
            prop_assert!(split || map.len() <= before);
            let (low, high) = map.gap_around(start, end);
            prop_assert!(map.is_free(low, high) && low <= start && end <= high);
            if add {
                map.insert(start, Region {
                    end,
                    protection: Protection::READ,
                    backing: Backing::File { cache, offset: start * 3 },
                });
            }
            for place in page..page + pages {
                model[place as usize] = add.then_some(start * 3 + ((place - page) << 12));
            }
            for (place, expected) in model.iter().enumerate() {
                let address = (place as u64) << 12;
                let found = map.find(address).map(|(from, region)| match region.backing {
                    Backing::File { offset, .. } => offset + (address - from),
                    _ => unreachable!(),
                });
                prop_assert_eq!(found, *expected);
                let free = model[place..].iter().take(3).all(Option::is_none);
                prop_assert_eq!(map.is_free(address, address + 0x3000), free);
                let covered = model[place..].iter().take(3).all(Option::is_some);
                prop_assert_eq!(map.is_covered(address, address + 0x3000), covered && place < 78);
                let room = (0..place.saturating_sub(2))
                    .rev()
                    .find(|first| model[*first..first + 3].iter().all(Option::is_none));
                let room = room.map(|first| (first as u64) << 12);
                prop_assert_eq!(map.find_room(0, address, 0x3000), room);
            }
        }
    }
}
