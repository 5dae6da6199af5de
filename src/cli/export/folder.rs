//! Links to the files of models, in the folder of an export.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::lesson::Files;
use crate::cli::failure::Failure;
use crate::cli::outputs::unwritten;

/// Makes a folder of links to the files of a model: they may be large, and are copied where they are needed.
pub(super) fn link_model(folder: &Path, files: &Files) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
    for (name, target) in files {
        let link = folder.join(name);
        let fail = |error: std::io::Error| unwritten(&link, &error);
        let target = std::path::absolute(target).map_err(fail)?;
        match fs::symlink_metadata(&link) {
            Ok(there) if there.is_symlink() => fs::remove_file(&link).map_err(fail)?,
            Ok(_) => return Err(fail(ErrorKind::AlreadyExists.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
        symlink(target, &link).map_err(fail)?;
    }
    Ok(())
}
