//! Folders of the demo's own below the system's folder for temporary files.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A folder that goes away with this value.
#[derive(Debug)]
pub struct Passing(PathBuf);

impl Passing {
    /// A fresh one.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new() -> Result<Self, String> {
        fresh("jobrelay-demo-work").map(Self)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a folder of the demo could not be removed");
        }
    }
}

/// Makes a folder that did not exist before and that only this user can read.
///
/// # Errors
/// It can't be made.
pub fn fresh(name: &str) -> Result<PathBuf, String> {
    let path = std::env::temp_dir().join(format!("{name}-{:08x}", rand::random::<u32>()));
    DirBuilder::new().mode(0o700).create(&path).map_err(|error| format!("can't make the folder {}: {error}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_and_goes_with_all_that_is_in_it() {
        let folder = Passing::new().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(path.join("x"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
