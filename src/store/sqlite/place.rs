//! Where the file lies: SQLite needs a disk of this machine.

use std::path::Path;

use rustix::fs::statfs;

/// File systems by the numbers that Linux gives them (statfs(2)). On these, locks and memory that processes share, by which
/// SQLite keeps two from writing at once, do not work or not always; or what was written is not on a disk yet.
const UNSUITABLE: [(i128, &str); 12] = [
    (0x6969, "NFS (EFS is one)"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x00c3_6400, "CephFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x5346_414f, "AFS"),
    (0x0102_1997, "9p"),
    (0x786f_4256, "a shared folder of VirtualBox"),
    (0x6573_5546, "FUSE (which may be GlusterFS, a bucket, or a folder shared with a virtual machine)"),
];

/// Warns if the file lies where SQLite may lose it.
pub(super) fn warn_of_unsuitable(path: &Path) {
    // It is all the same for the file, which is there by now.
    let Ok(found) = statfs(path) else { return };
    if let Some(name) = unsuitable(i128::from(found.f_type)) {
        tracing::warn!(
            "the store {} lies on {name}, where SQLite may damage or lose it; move it to a disk of this machine, or use \
             PostgreSQL",
            path.display()
        );
    }
}

fn unsuitable(kind: i128) -> Option<&'static str> {
    UNSUITABLE.iter().find(|(number, _)| *number == kind & 0xffff_ffff).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_of_this_machine_are_told_from_those_of_others() {
        assert!(unsuitable(0x6969).is_some_and(|name| name.contains("EFS")));
        // Some platforms hold the number in 32 bits with a sign.
        assert_eq!(unsuitable(i128::from(0xff53_4d42_u32.cast_signed())), Some("CIFS"));
        for (ours, number) in
            [("ext4", 0xef53), ("XFS", 0x5846_5342), ("btrfs", 0x9123_683e), ("tmpfs", 0x0102_1994)]
        {
            assert_eq!(unsuitable(number), None, "{ours}");
        }
    }
}
