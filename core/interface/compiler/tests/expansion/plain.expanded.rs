#[diagnostic::do_not_recommend]
impl ::kiln_object::Plain for Entry {
    const LAYOUT: u64 = ::kiln_object::fingerprint::combine(
        ::kiln_object::fingerprint::text("Entry {number:u64,name:[u8;24],}"),
        &[
            <u64 as ::kiln_object::Plain>::LAYOUT,
            <[u8; 24] as ::kiln_object::Plain>::LAYOUT,
        ],
    );
}
