//! Names, shares and what is used again.

use kiln_object::{Answer, Incoming};

use super::*;

struct Nothing;

impl Dispatch for Nothing {
    fn interface_hash(&self) -> u64 {
        0
    }
    fn dispatch(&self, _call: &mut Incoming<'_>) -> Answer {
        Answer::done(0)
    }
}

#[test]
fn a_name_dies_with_its_object() {
    static SHARE: Share = Share::new(false);
    let table = Table::new();
    let first = table
        .insert(Arc::new(Nothing), Rights::READ, &SHARE)
        .unwrap();
    assert!(
        table
            .lookup(first)
            .is_ok_and(|(_, rights)| rights == Rights::READ)
    );
    assert_eq!(table.remove(first, || {}), Ok(()));
    let second = table
        .insert(Arc::new(Nothing), Rights::ALL, &SHARE)
        .unwrap();
    assert_eq!(second.slot(), first.slot());
    assert_ne!(second, first);
    assert!(matches!(table.lookup(first), Err(Error::BadReference)));
    assert_eq!(table.remove(first, || {}), Err(Error::BadReference));
    assert!(table.lookup(second).is_ok());
    assert!(table.lookup(ObjectName::new(9, 1)).is_err());
}

#[test]
fn no_giver_fills_a_table_and_what_is_taken_back_is_paid_no_more() {
    static GIVER: Share = Share::new(true);
    static OTHER: Share = Share::new(false);
    let table = Table::new();
    let give = |payer| table.insert(Arc::new(Nothing), Rights::READ, payer);
    let names: Vec<_> = (0..super::share::SHARE)
        .map(|_| give(&GIVER).unwrap())
        .collect();
    assert_eq!(give(&GIVER), Err(Error::Exhausted));
    assert!(give(&OTHER).is_ok());
    assert_eq!(table.is_paid_by(names[100], &GIVER), Ok(true));
    assert_eq!(table.is_paid_by(names[100], &OTHER), Ok(false));
    assert_eq!(table.remove(names[100], || {}), Ok(()));
    assert_eq!(
        table.is_paid_by(names[100], &GIVER),
        Err(Error::BadReference)
    );
    assert_eq!(
        give(&GIVER).map(ObjectName::slot),
        Ok(names[100].slot()),
        "the free slot is used again"
    );
    assert_eq!(table.remove(names[100], || {}), Err(Error::BadReference));
    for _ in super::share::SHARE + 1..LIMIT as u32 {
        assert!(give(&OTHER).is_ok());
    }
    assert_eq!(table.remove(names[200], || {}), Ok(()));
    assert!(give(&GIVER).is_ok());
    assert_eq!(give(&GIVER), Err(Error::Exhausted));
    table.clear();
    assert_eq!(GIVER.held(), 0);
    assert_eq!(OTHER.held(), 0);
    assert!(table.lookup(names[0]).is_err());
}

#[test]
fn names_of_slots_that_were_given_back_never_come_again() {
    static SHARE: Share = Share::new(false);
    let table = Table::new();
    let give = || {
        table
            .insert(Arc::new(Nothing), Rights::READ, &SHARE)
            .unwrap()
    };
    let mut seen = alloc::collections::BTreeSet::new();
    for round in 1..20 {
        let names: Vec<_> = (0..round * 17).map(|_| give()).collect();
        assert!(names.iter().all(|name| seen.insert(name.raw())));
        for name in &names {
            assert!(table.lookup(*name).is_ok());
            assert_eq!(table.remove(*name, || {}), Ok(()));
        }
        assert_eq!(table.changes.lock().chunks, 0);
    }
    assert_eq!(SHARE.held(), 0);
}
