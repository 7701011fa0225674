//! Asking an image everything, for tests that hand over bytes that may be no image at all.

use kiln_erofs::{Error, Image, Nid};

/// Looks at everything that can be reached in `depth` steps down; returns the number of errors met.
pub fn explore(bytes: &[u8]) -> usize {
    let Ok(image) = Image::new(bytes) else {
        return 1;
    };
    let mut errors = 0;
    let mut visits = 0;
    let mut pending = vec![image.root(), Nid(0), Nid(u64::MAX), Nid(u64::MAX / 32)];
    while let Some(nid) = pending.pop() {
        visits += 1;
        if visits > 500 {
            break;
        }
        let inode = match image.inode(nid) {
            Ok(inode) => inode,
            Err(_) => {
                errors += 1;
                continue;
            }
        };
        let mut buffer = [0; 5000];
        for offset in [0, 1, 4095, 4096, u64::MAX] {
            errors += usize::from(image.read_at(&inode, offset, &mut buffer).is_err());
        }
        if let Ok(Some(extent)) = image.data_extent(&inode) {
            assert!(extent.offset + extent.length <= bytes.len() as u64);
        }
        errors += usize::from(image.symlink_target(&inode).is_err());
        for name in [&b"a"[..], b"lib", b"zz", b"", &[0xff; 300]] {
            let found = image.lookup(&inode, name);
            errors += usize::from(!matches!(found, Ok(_) | Err(Error::NotFound)));
        }
        for cookie in [0, 1, 12, 4095, 4096, u64::MAX] {
            let Ok(entries) = image.read_directory(&inode, cookie) else {
                continue;
            };
            let mut previous = None;
            // An entry takes 12 bytes of the image at least: more of them would be an endless walk.
            for (count, entry) in entries.enumerate() {
                assert!(count <= bytes.len() / 12);
                let Ok(entry) = entry else {
                    errors += 1;
                    break;
                };
                assert!(!entry.name.is_empty() && entry.name.len() <= 255);
                assert!(previous < Some(entry.next));
                previous = Some(entry.next);
                if cookie == 0 && !matches!(entry.name, b"." | b"..") {
                    pending.push(entry.nid);
                }
            }
        }
    }
    errors
}
