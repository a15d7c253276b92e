//! Why it launched and what would have been: records decided again, and supposed backlogs.
#![expect(
    clippy::unwrap_used,
    reason = "how a test fails, in functions that tests share too"
)]

mod explained;
mod replay;
mod replicas;
mod simulate;

use std::path::{Path, PathBuf};

/// A folder of a test's own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("slipway-why-{name}-{}", std::process::id()));
        // One of an earlier process with the same number.
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and tells its path.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
